# SPDX-License-Identifier: Apache-2.0
"""The image by itself: what is in it, what is not, and how each of its programs behaves as process 1 of a container.

$DOCKER_HOST names the engine; $SLUICE_IMAGE and its like name the images."""
import hashlib
import json
import os
import subprocess
import threading
import time
import uuid

import pytest
import requests

IMAGE = os.environ.get("SLUICE_IMAGE", "sluice:latest")
SAMPLE = os.environ.get("SLUICE_SAMPLE_IMAGE", "sluice-sample:latest")
RABBITMQ = os.environ.get("SLUICE_RABBITMQ_IMAGE", "sluice-rabbitmq:latest")
REDIS = os.environ.get("SLUICE_REDIS_IMAGE", "sluice-redis:latest")

MIB = 1024 * 1024
PROGRAMS = ["sluice", "sluice-ingress", "sluice-dispatcher", "sluice-worker"]
PORTS = {"ingress": 8080, "dispatcher": 8081, "worker": 8082}
# Nothing that a program of ours needs is missing then.
CONFINED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
# Longer than any drain here; who has not ended by then is killed, and has not ended with 0.
GRACE_S = 120
TOKEN = "token-of-the-image-tests"
CONFIG = {
    "worker": {"drain_s": 30},
    "keys": [{"name": "tests", "hash": "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest(),
              "scopes": ["submit", "read", "admin"]}],
    "tenants": {"sample": {"instances": [{"url": "http://sample:8093", "concurrency": 16}],
                           "timeouts": {"total_s": 20, "sync_s": 20}}},
}


def docker(*words, check=True):
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=300)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(words)}: {done.stdout}{done.stderr}")
    return done


def inspect(name, kind="container"):
    return json.loads(docker(kind, "inspect", name).stdout)[0]


def wait_until(is_so, what, bound_s=120):
    end = time.monotonic() + bound_s
    while not (found := is_so()):
        assert time.monotonic() < end, f"{what}: not within {bound_s} s"
        time.sleep(0.1)
    return found


def health_of(name):
    return inspect(name)["State"]["Health"]["Status"]


def run_once(*command, image=IMAGE, options=()):
    return docker("run", "--rm", "--network", "none", *CONFINED, *options, image, *command, check=False)


class Parts:
    """Containers in a network of their own."""

    def __init__(self, folder):
        self.name = "image-" + uuid.uuid4().hex[:8]
        self.config = folder / "sluice.yaml"
        self.config.write_text(json.dumps(CONFIG))
        self.config.chmod(0o644)
        self.made = []
        docker("network", "create", self.name)

    def start(self, part, image, *command, options=()):
        name = f"{self.name}-{part}"
        self.made.append(name)
        docker("run", "--detach", "--name", name, "--network", self.name, "--network-alias", part, "--hostname", part,
               *CONFINED, *options, image, *command)
        return name

    def start_engines(self):
        names = [self.start("rabbitmq", RABBITMQ, options=["-e", "RABBITMQ_DEFAULT_USER=sluice",
                                                           "-e", "RABBITMQ_DEFAULT_PASS=secret"]),
                 self.start("redis", REDIS, "redis-server", "/etc/redis/redis.conf", "--requirepass", "secret")]
        for name in names:
            wait_until(lambda n=name: health_of(n) == "healthy", f"{name} is healthy", 180)
        self.start("sample", SAMPLE)

    def start_daemon(self, part):
        port = PORTS[part]
        return self.start(part, IMAGE, f"sluice-{part}", "--config", "/etc/sluice/sluice.yaml", "--listen",
                          f"0.0.0.0:{port}", options=[
                              "-v", f"{self.config}:/etc/sluice/sluice.yaml:ro", "-p", f"127.0.0.1::{port}",
                              "-e", "SLUICE_CFG_BROKER_URL=amqp://sluice:secret@rabbitmq:5672/%2f",
                              "-e", "SLUICE_CFG_STORE_URL=redis://:secret@redis:6379/0",
                              "--health-interval", "1s"])

    def url(self, part):
        return "http://" + docker("port", f"{self.name}-{part}", str(PORTS[part])).stdout.split()[0]

    def remove(self):
        for name in self.made:
            docker("rm", "--force", "--volumes", name, check=False)
        docker("network", "rm", self.name, check=False)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    p = Parts(tmp_path_factory.mktemp("image"))
    try:
        p.start_engines()
        for part in PORTS:
            p.start_daemon(part)
        for part in PORTS:
            wait_until(lambda n=f"{p.name}-{part}": health_of(n) == "healthy", f"{part} is healthy")
        yield p
    finally:
        p.remove()


# --- what it is -----------------------------------------------------------------------------------


def test_size():
    assert inspect(IMAGE, "image")["Size"] <= 120 * MIB


def test_user_is_a_number_and_not_root():
    user = inspect(IMAGE, "image")["Config"]["User"]
    assert all(part.isdigit() and int(part) > 0 for part in user.split(":")), user


def test_configuration():
    config = inspect(IMAGE, "image")["Config"]
    labels = config["Labels"]
    for name in ("title", "description", "licenses", "version", "revision"):
        assert labels.get(f"org.opencontainers.image.{name}"), name
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "sluice-health"]
    assert config["Entrypoint"] == ["sluice-entry"] and config["Cmd"] == ["sluice", "help"]


@pytest.mark.parametrize("image", [SAMPLE, RABBITMQ, REDIS])
def test_the_others_are_not_root_either(image):
    user = inspect(image, "image")["Config"]["User"]
    assert int(user.split(":")[0]) > 0


@pytest.mark.parametrize("image", [IMAGE, SAMPLE])
def test_nothing_belongs_to_its_user_and_no_shell_is_there(image):
    name = "image-" + uuid.uuid4().hex[:8]
    docker("create", "--name", name, image)
    try:
        exported = subprocess.run(f"docker export {name} | tar -tv --numeric-owner", shell=True, check=True,
                                  capture_output=True, text=True).stdout.splitlines()
    finally:
        docker("rm", name)
    fields = [line.split() for line in exported]
    assert not [f for f in fields if f[1].split("/")[0] not in ("0",)]
    # Set-user-id programs, and what everybody may write, but /tmp.
    assert not [f for f in fields if f[0][0] == "-" and ("s" in f[0] or f[0][8] == "w")]
    programs = [f[5] for f in fields if f[5].startswith(("usr/bin/", "usr/sbin/", "bin/")) and f[0][0] == "-"]
    assert all(p.startswith("usr/bin/sluice") for p in programs), programs


@pytest.mark.parametrize("program", PROGRAMS)
def test_version(program):
    done = run_once(program, "--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, program), done.stderr


def test_any_user_may_run_it():
    assert run_once("sluice-worker", "--version", options=["--user", "65534:65534"]).returncode == 0


def test_certificates_and_zones_are_there(tmp_path):
    config = dict(CONFIG, schedules={"tick": {"cron": "0 4 * * *", "timezone": "US/Eastern",
                                              "job": {"tenant": "sample", "request": {"method": "GET", "path": "/"}}}})
    file = tmp_path / "sluice.yaml"
    file.write_text(json.dumps(config))
    file.chmod(0o644)
    done = run_once("sluice-dispatcher", "--config", "/sluice.yaml", "--check", options=["-v", f"{file}:/sluice.yaml:ro"])
    assert done.returncode == 0, done.stdout + done.stderr
    name = "image-" + uuid.uuid4().hex[:8]
    docker("create", "--name", name, IMAGE)
    try:
        docker("cp", f"{name}:/etc/ssl/certs/ca-certificates.crt", str(tmp_path / "certificates"))
    finally:
        docker("rm", name)
    assert (tmp_path / "certificates").read_text().count("BEGIN CERTIFICATE") > 50


# --- how it behaves -------------------------------------------------------------------------------


def test_a_call_goes_through(parts):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(parts.url("ingress") + "/call/sample/echo", data=b"here", headers=headers, timeout=60)
    assert (answer.status_code, answer.content) == (200, b"here")
    assert requests.post(parts.url("ingress") + "/call/sample/echo", timeout=60).status_code == 401


def test_health_says_whom_it_asked():
    done = run_once("sluice-health")
    assert done.returncode == 1 and "no daemon of Sluice" in done.stderr


def test_unhealthy_without_its_store(parts):
    """A dispatcher that cannot reach the store is up, and not ready; it becomes ready again."""
    docker("network", "disconnect", parts.name, f"{parts.name}-redis")
    try:
        wait_until(lambda: health_of(f"{parts.name}-dispatcher") == "unhealthy", "the dispatcher is unhealthy")
    finally:
        docker("network", "connect", "--alias", "redis", parts.name, f"{parts.name}-redis")
    for part in PORTS:
        wait_until(lambda n=f"{parts.name}-{part}": health_of(n) == "healthy", f"{part} is healthy again")


def test_sigterm_lets_a_call_end(parts):
    """Ingress and worker are told to stop while a call runs: the caller has its answer, and both end with 0."""
    got = []
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = parts.url("ingress") + "/call/sample/slow?sleep_ms=4000"
    caller = threading.Thread(target=lambda: got.append(requests.get(url, headers=headers, timeout=90)))
    caller.start()
    scale = parts.url("dispatcher") + "/v1/scale"
    wait_until(lambda: requests.get(scale, headers=headers, timeout=20).json().get("running") == 1, "it runs")
    stops = [threading.Thread(target=docker, args=("stop", "--time", str(GRACE_S), f"{parts.name}-{part}"))
             for part in ("worker", "ingress")]
    for t in stops:
        t.start()
    for t in stops + [caller]:
        t.join()
    assert [a.status_code for a in got] == [200]
    for part in ("worker", "ingress"):
        assert inspect(f"{parts.name}-{part}")["State"]["ExitCode"] == 0, part


def test_sigterm_ends_the_dispatcher_and_the_engines(parts):
    for part in ("dispatcher", "redis", "rabbitmq"):
        docker("stop", "--time", str(GRACE_S), f"{parts.name}-{part}")
        assert inspect(f"{parts.name}-{part}")["State"]["ExitCode"] == 0, part
