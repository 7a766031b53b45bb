# SPDX-License-Identifier: Apache-2.0
"""A name server that does not answer: whoever is told to stop does not wait for it."""
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("SLUICE_BIN", ROOT / "build/dev/bin"))
APART = ["unshare", "--map-root-user", "--mount", "--net"]
BOUND_S = 20  # the resolver is patient for a minute


def stop_all(directory):
    """In name spaces of its own: this one's resolver asks a port that hears and never answers. Prints "<program> <code> <seconds>"."""
    (directory / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:2\n")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--bind", directory / "resolv.conf", "/etc/resolv.conf"], check=True)
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind(("127.0.0.1", 53))
    config = directory / "sluice.yaml"
    config.write_text("broker: {url: 'amqp://u:s@broker.sluice.example:5672/'}\nstore: {url: 'redis://store.sluice.example:6379/0'}\n")
    for program in ("sluice-worker", "sluice-dispatcher", "sluice-ingress"):
        with open(directory / f"{program}.log", "wb") as log:
            process = subprocess.Popen([BIN / program, "--config", config], stdout=log, stderr=log)
        mute.settimeout(20)
        asked = mute.recv(512)
        assert b"sluice" in asked
        while b"id=listening" not in (directory / f"{program}.log").read_bytes():
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(90)
        print(program, code, time.monotonic() - began, flush=True)
        mute.setblocking(False)
        while True:
            try:
                mute.recv(512)
            except BlockingIOError:
                break


def test_a_mute_name_server_keeps_nobody_from_stopping(tmp_path):
    if subprocess.run([*APART, "true"], capture_output=True).returncode != 0:
        pytest.skip("no name spaces here")
    done = subprocess.run([*APART, sys.executable, __file__, tmp_path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in done.stdout.splitlines():
        program, code, took = line.split()
        log = (tmp_path / f"{program}.log").read_text()
        assert code == "0" and "because=drained" in log, f"{line}\n{log}"
        assert float(took) < BOUND_S, f"{program} ended {took} s after SIGTERM"
    assert len(done.stdout.splitlines()) == 3


if __name__ == "__main__":
    stop_all(Path(sys.argv[1]))
