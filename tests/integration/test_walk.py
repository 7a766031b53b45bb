# SPDX-License-Identifier: Apache-2.0
"""The job scripts on a real Redis: a random walk, every script sent twice now and then, with the invariants
checked along the way (tests/model/walk.py). A mutant shows that the checker sees."""
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from harness.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LUA = ROOT / "common/store/lua"
STEPS = "2500"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    port = free_port()
    directory = tmp_path_factory.mktemp("walk")
    server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                               "--dir", str(directory)], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    end = time.monotonic() + 10
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < end, "Redis does not start"
            time.sleep(0.05)
    yield port
    server.terminate()
    server.wait(timeout=10)


def walk(port, lua, seed):
    redis.Redis(port=port).flushall()
    return subprocess.run([sys.executable, str(ROOT / "tests/model/walk.py"), str(port), str(lua), STEPS, seed],
                          capture_output=True, text=True, timeout=250)


@pytest.mark.slow
@pytest.mark.timeout_s(300)
@pytest.mark.parametrize("seed", ["2", "3", "11"])
def test_no_walk_breaks_an_invariant(store, seed):
    done = walk(store, LUA, seed)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.timeout_s(600)
@pytest.mark.parametrize("file, rule, without", [
    ("_common.lua", r"r\.cnt == 0 and r\.ps ~= '1'", "r.cnt == 0"),
    ("complete.lua", r"if r\.dn == mine then", "if false then"),
    ("resolve.lua", r"if r\.sh ~= '1' and redis", "if redis"),
])
def test_a_walk_sees_a_rule_taken_out(store, tmp_path, file, rule, without):
    broken = tmp_path / "lua"
    shutil.copytree(LUA, broken)
    text = (broken / file).read_text()
    mutant, n = re.subn(rule, without, text)
    assert n == 1
    (broken / file).write_text(mutant)
    for seed in ("2", "3", "11", "12"):
        done = walk(store, broken, seed)
        if done.returncode == 1 and "VIOLATION" in done.stdout:
            return
    pytest.fail("no seed found it: " + done.stdout[-500:])
