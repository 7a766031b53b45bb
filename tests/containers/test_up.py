# SPDX-License-Identifier: Apache-2.0
"""deploy/up --containers, deploy/scale and deploy/down, in the order in which a person uses them.

The engine is the one at DOCKER_HOST or the machine's; where none answers, deploy/up starts one of its own, and then
that must be gone as well. The tests build on each other, as the commands do.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OFFSETS = (0, 1, 10, 11, 13)
LONGEST_S = 1500  # the images, made from nothing on a busy machine


def free_base():
    for base in range(22000, 32000, 37):
        taken = False
        for offset in OFFSETS:
            with socket.socket() as s:
                taken = taken or s.connect_ex(("127.0.0.1", base + offset)) == 0
        if not taken:
            return base
    raise AssertionError("no free ports")


class Deployment:
    def __init__(self, home):
        self.dir = home / "stack"
        self.base = free_base()

    def run(self, command, *words, check=True):
        done = subprocess.run([ROOT / "deploy" / command, *words, "--dir", self.dir], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST_S)
        assert not check or done.returncode == 0, done.stdout
        return done

    def env(self):
        said = subprocess.run(["bash", "-c", '. "$1"; env -0', "env", self.dir / "env"], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        return dict(pair.split("=", 1) for pair in said.split("\0") if "=" in pair)

    def docker(self, *words, env):
        return subprocess.run(["docker", *words], check=True, stdout=subprocess.PIPE, text=True, timeout=120,
                              env=env).stdout.split("\n")[:-1]

    def ids(self, env):
        """The containers that run: {name: id and the moment of its start}."""
        names = self.docker("ps", "--filter", f"label=com.docker.compose.project={env['COMPOSE_PROJECT_NAME']}",
                            "--format", "{{.Names}}", env=env)
        return {n: self.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", n, env=env)[0] for n in names}

    def left(self, env, *what):
        return self.docker(*what, "--quiet", "--filter", f"label=com.docker.compose.project={env['COMPOSE_PROJECT_NAME']}",
                           env=env)

    def get(self, url, key=None, data=None):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(url, data=data, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()


@pytest.fixture(scope="module")
def deployment():
    home = pathlib.Path(tempfile.mkdtemp(prefix="sluice-up-"))
    d = Deployment(home)
    yield d
    if d.dir.exists():
        d.run("down", "--purge", check=False)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def up(deployment):
    said = deployment.run("up", "--containers", "--port-base", str(deployment.base)).stdout
    return deployment, deployment.env(), said


def only(containers, service):
    return {name: what for name, what in containers.items() if f"_{service}_" in name or f"-{service}-" in name}


def without(containers, service):
    return {name: what for name, what in containers.items() if name not in only(containers, service)}


def test_the_demonstration_is_shown(up):
    d, env, said = up
    for step in ("1. A synchronous call", "2. An asynchronous job", "3. A duplicate", '"schedule": "sample-tick"'):
        assert step in said, said
    assert env["SLUICE_KEY"] not in said
    assert d.dir.joinpath("env").stat().st_mode & 0o077 == 0


def test_keys_are_on(up):
    d, env, _ = up
    assert d.get(env["SLUICE_INGRESS_URL"] + "/call/sample/x")[0] == 401
    assert d.get(env["SLUICE_INGRESS_URL"] + "/call/sample/x", env["SLUICE_KEY"])[0] == 200
    assert d.get(env["SLUICE_DISPATCHER_URL"] + "/v1/tenants")[0] == 401
    assert d.get(env["SLUICE_DISPATCHER_URL"] + "/v1/tenants", env["SLUICE_KEY"])[0] == 200


def test_containers_are_confined_and_ports_are_loopback(up):
    d, env, _ = up
    for name in d.ids(env):
        what = json.loads("\n".join(d.docker("inspect", name, env=env)))[0]
        host = what["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and host["Memory"] > 0, name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert what["Config"]["User"] not in ("", "root", "0"), name
        for bindings in (host["PortBindings"] or {}).values():
            assert {b["HostIp"] for b in bindings} == {"127.0.0.1"}, name


def test_workers_are_scaled_and_nothing_else_is_touched(up):
    d, env, _ = up
    before = d.ids(env)
    for count in (3, 0, 1):
        assert f"{count} now" in d.run("scale", str(count)).stdout
        after = d.ids(env)
        assert len(only(after, "worker")) == count
        assert without(after, "worker") == without(before, "worker")
    assert d.get(env["SLUICE_INGRESS_URL"] + "/call/sample/x", env["SLUICE_KEY"])[0] == 200


def test_a_second_up_starts_only_what_does_not_run(up):
    d, env, _ = up
    before = d.ids(env)
    (worker,) = only(before, "worker")
    d.docker("kill", worker, env=env)
    d.run("up", "--no-demo")
    after = d.ids(env)
    assert after.keys() == before.keys() and after[worker] != before[worker]
    assert without(after, "worker") == without(before, "worker")


def wait_served(d, env, tenant):
    """Daemons look at their file every second or two."""
    end = time.monotonic() + 60
    while (status := d.get(f"{env['SLUICE_INGRESS_URL']}/call/{tenant}/x", env["SLUICE_KEY"])[0]) != 200:
        assert time.monotonic() < end, f"{tenant}: {status}"
        time.sleep(0.2)


def test_a_configuration_of_ones_own_gets_the_key(up):
    d, env, _ = up
    file = d.dir.parent / "mine.yaml"
    file.write_text("tenants:\n  mine:\n    instances: [{name: m, url: 'http://sample:8093'}]\n")
    d.run("up", "--no-demo", "--config", str(file))
    wait_served(d, env, "mine")
    file.write_text("tenants: 7\n")
    assert d.run("up", "--no-demo", check=False).returncode == 1
    assert d.get(env["SLUICE_INGRESS_URL"] + "/call/mine/x", env["SLUICE_KEY"])[0] == 200
    d.run("up", "--no-demo", "--config", str(ROOT / "deploy" / "sluice.yaml"))
    wait_served(d, env, "sample")


def test_what_makes_no_sense_is_refused(up):
    d, _, _ = up
    assert d.run("up", "--ingresses", "2", check=False).returncode == 2
    assert d.run("up", "--port-base", str(d.base + 100), "--no-demo", check=False).returncode == 1
    assert d.run("scale", "many", check=False).returncode == 2


def test_down_keeps_the_data_and_purge_leaves_nothing(up):
    d, env, _ = up
    status, job = d.get(env["SLUICE_INGRESS_URL"] + "/v1/jobs", env["SLUICE_KEY"],
                        json.dumps({"tenant": "sample", "request": {"path": "/kept"}, "delay_s": 3600}).encode())
    assert status == 202
    # Not the suite's, which is of the same kind.
    is_own = "/run/sluice-engine/" in env["DOCKER_HOST"] and env["DOCKER_HOST"] != os.environ.get("DOCKER_HOST")
    d.run("down")
    if is_own:
        assert not pathlib.Path(env["DOCKER_HOST"][len("unix://"):]).exists()
    else:
        assert d.left(env, "ps", "--all") == [] and d.left(env, "network", "ls") == []
        assert len(d.left(env, "volume", "ls")) == 2
    assert d.run("down").stdout == ""
    d.run("up", "--no-demo")
    assert d.get(env["SLUICE_INGRESS_URL"] + "/v1/jobs/" + json.loads(job)["id"], env["SLUICE_KEY"])[0] == 200
    d.run("down", "--purge")
    assert not d.dir.exists()
    if is_own:
        command = subprocess.run(["pgrep", "-fa", env["DOCKER_HOST"][len("unix://"):-len("docker.sock")]],
                                 stdout=subprocess.PIPE, text=True).stdout
        assert command == ""
    else:
        for what in (("ps", "--all"), ("network", "ls"), ("volume", "ls")):
            assert d.left(env, *what) == []
