# SPDX-License-Identifier: Apache-2.0
"""deploy/up and deploy/down, and the harness itself: what can be judged of them without the daemons
by tests of RabbitMQ, Redis and the sample tenant, and the rest with them."""
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pika
import pytest
import redis

from harness import free_port_base, new_session, wait_until
from harness.stack import ROOT

PARTS = "rabbitmq,redis,tenant"
KINDS = ("ingress", "dispatcher", "worker")


class Deployed:
    """A directory that deploy/up writes to; ended by deploy/down whatever happens."""

    def __init__(self, directory, bin_dir, port_base=None):
        self.dir = directory
        self.bin_dir = bin_dir
        self.base = port_base or free_port_base()

    def run(self, script, *arguments, code=0, timeout=240):
        done = subprocess.run(
            [ROOT / "deploy" / script, "--dir", self.dir, *map(str, arguments)], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout, check=False)
        assert done.returncode == code, done.stdout
        return done.stdout

    def up(self, *arguments, only=PARTS, code=0):
        chosen = ["--only", only] if only else []
        return self.run("up", "--port-base", self.base, "--prefix", self.bin_dir, "--no-demo",
                        *chosen, *arguments, code=code)

    def down(self, *arguments):
        return self.run("down", *arguments)

    def pid(self, name):
        return int((self.dir / "run" / f"{name}.pid").read_text())

    def pids(self):
        return {p.stem: int(p.read_text()) for p in (self.dir / "run").glob("*.pid")}

    def processes(self):
        """Pids of everything alive that names this directory in its command or environment."""
        found = []
        for proc in Path("/proc").glob("[0-9]*"):
            try:
                words = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
                state = (proc / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(self.dir).encode() in words and state not in "ZX":
                found.append(int(proc.name))
        return [pid for pid in found if pid != os.getpid()]

    def kill(self, name):
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in self.processes(), 20)
        return pid

    def redis(self):
        return redis.Redis(port=self.base + 11)

    def amqp(self):
        credentials = pika.PlainCredentials("guest", "guest")
        return pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", self.base + 10, "/", credentials))


@pytest.fixture
def deployed(tmp_path, bin_dir):
    it = Deployed(tmp_path / "stack", bin_dir)
    yield it
    it.down()
    assert it.processes() == []


def listening(pids):
    """Addresses that these processes listen on."""
    rows = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    return {line.split()[3] for line in rows.splitlines()
            if any(f"pid={pid}," in line for pid in pids)}


def test_it_starts_answers_and_leaves_nothing(deployed):
    said = deployed.up()
    assert set(deployed.pids()) == {"epmd", "rabbitmq", "redis", "tenant"}
    for name in ("rabbitmq", "redis", "tenant"):
        assert f"Starting {name}" in said
        assert (deployed.dir / "log" / f"{name}.log").exists()
    with deployed.amqp() as connection:
        assert connection.is_open
    assert deployed.redis().ping()
    assert new_session().get(f"http://127.0.0.1:{deployed.base + 13}/stats").status_code == 200
    assert deployed.down() == "Stopping tenant redis rabbitmq epmd\n"
    assert deployed.processes() == [] and deployed.pids() == {}
    assert deployed.down() == ""


def test_everything_listens_on_loopback_and_on_its_port(deployed):
    deployed.up()
    addresses = listening(deployed.pids().values())
    wanted = {f"127.0.0.1:{deployed.base + n}" for n in (10, 11, 12, 13, 14)}
    assert wanted <= addresses
    assert all(a.startswith(("127.0.0.1:", "[::1]:")) for a in addresses)


def test_redis_is_strict(deployed):
    deployed.up(only="redis")
    got = deployed.redis().config_get("*")
    assert (got["appendonly"], got["appendfsync"], got["maxmemory-policy"], got["save"]) == (
        "yes", "always", "noeviction", "")
    assert int(got["maxmemory"]) > 0


def test_the_env_file_is_shell(deployed):
    deployed.up(only="redis")
    shown = subprocess.run(["sh", "-c", f". '{deployed.dir}/env'; env"], capture_output=True,
                           text=True, check=True).stdout.splitlines()
    base = deployed.base
    for line in (f"SLUICE_INGRESS_URL=http://127.0.0.1:{base}",
                 f"SLUICE_DISPATCHER_URL=http://127.0.0.1:{base + 1}",
                 f"SLUICE_AMQP_URL=amqp://guest:guest@127.0.0.1:{base + 10}/%2f",
                 f"SLUICE_REDIS_URL=redis://127.0.0.1:{base + 11}/0",
                 f"SLUICE_TENANT_URL=http://127.0.0.1:{base + 13}"):
        assert line in shown


def test_a_second_run_starts_only_what_does_not_run(deployed):
    deployed.up()
    before = deployed.pids()
    assert deployed.up() == ""
    assert deployed.pids() == before
    deployed.kill("tenant")
    assert re.fullmatch(r"Starting tenant .*\n", deployed.up())
    after = deployed.pids()
    assert after.pop("tenant") != before.pop("tenant") and after == before


@pytest.mark.timeout_s(240)
def test_killed_broker_and_store_come_back_with_their_data(deployed):
    deployed.up()
    deployed.redis().set("kept", "1")
    with deployed.amqp() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        # Nothing that can be asked says when this is over. Measured on RabbitMQ 3.10.8, single runs: a
        # quorum queue killed 0, 0.3, 0.6 or 0.8 s after its declaration did not answer for 65 s
        # after the restart, its confirmed message included; at 1 and 3 s it did. The cause is not
        # established (names.dets, written late, is the suspect).
        time.sleep(2)
        channel.basic_publish("", "kept", b"1", pika.BasicProperties(delivery_mode=2), mandatory=True)
    deployed.kill("rabbitmq")
    deployed.kill("redis")
    deployed.up()
    assert deployed.redis().get("kept") == b"1"
    with deployed.amqp() as connection:
        channel = connection.channel()
        assert wait_until(lambda: channel.basic_get("kept", auto_ack=True)[2], 30) == b"1"


def test_options_are_kept(deployed):
    deployed.up(only="redis")
    deployed.kill("redis")
    deployed.run("up", "--no-demo", "--only", "redis")
    assert deployed.redis().ping()
    said = deployed.run("up", "--no-demo", "--only", "redis", "--port-base", deployed.base + 1, code=1)
    assert f"runs at port base {deployed.base}" in said


def test_a_pid_that_belongs_to_another_program_is_left_alone(deployed):
    deployed.up(only="redis")
    deployed.kill("redis")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (deployed.dir / "run" / "redis.pid").write_text(f"{stranger.pid}\n")
        assert deployed.down() == ""
        assert stranger.poll() is None
        (deployed.dir / "run" / "redis.pid").write_text(f"{stranger.pid}\n")
        assert "Starting redis" in deployed.up(only="redis")
        assert stranger.poll() is None and deployed.pid("redis") != stranger.pid
        stranger.kill()


def test_a_stopped_process_is_ended_too(deployed):
    deployed.up(only="redis,tenant")
    os.kill(deployed.pid("redis"), signal.SIGSTOP)
    begun = time.monotonic()
    deployed.down()
    assert deployed.processes() == [] and time.monotonic() - begun < 10


def test_a_port_in_use_is_named(deployed, bin_dir, tmp_path):
    deployed.up(only="redis")
    other = Deployed(tmp_path / "other", bin_dir, deployed.base)
    assert f"port {deployed.base + 11}, which redis needs, is in use" in other.up(only="redis", code=1)
    assert deployed.redis().ping()


@pytest.mark.timeout_s(240)
def test_two_stacks_live_side_by_side(deployed, bin_dir, tmp_path):
    other = Deployed(tmp_path / "other", bin_dir)
    try:
        deployed.up()
        other.up()
        deployed.down()
        with other.amqp() as connection:
            assert connection.is_open
        assert other.redis().ping()
    finally:
        other.down()
    assert other.processes() == []


def test_its_output_can_be_piped(deployed, bin_dir):
    """No process holds the pipe: the reader sees its end."""
    done = subprocess.run(
        f"{ROOT}/deploy/up --dir {deployed.dir} --port-base {deployed.base} --prefix {bin_dir} "
        "--only redis,tenant --no-demo | cat", shell=True, capture_output=True, text=True, timeout=60,
        check=True)
    assert "Starting tenant" in done.stdout
    for pid in deployed.pids().values():
        held = {os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
        assert str(deployed.dir / "lock") not in held


@pytest.mark.parametrize("arguments, words", [
    (["--nonsense"], "--nonsense"), (["--port-base", "x"], "--port-base"),
    (["--workers", "99"], "--workers"), (["--port-base", "80"], "--port-base"), (["--dir"], "--dir")])
def test_a_wrong_option_is_said(tmp_path, arguments, words):
    done = subprocess.run([ROOT / "deploy" / "up", "--dir", tmp_path / "d", *arguments], text=True,
                          capture_output=True, timeout=30, check=False)
    assert done.returncode == 2 and words in done.stderr


def test_purge_removes_only_what_up_has_made(deployed, tmp_path):
    deployed.up(only="redis")
    deployed.down("--purge")
    assert not deployed.dir.exists()
    precious = tmp_path / "precious"
    (precious / "run").mkdir(parents=True)
    subprocess.run([ROOT / "deploy" / "down", "--dir", precious, "--purge"], capture_output=True,
                   check=False)
    assert (precious / "run").is_dir()


# --- the whole, with the daemons ---


@pytest.fixture
def has_daemons(bin_dir):
    missing = [k for k in KINDS if not (bin_dir / f"sluice-{k}").exists()]
    if missing:
        pytest.skip(f"not built: {missing}")


@pytest.mark.timeout_s(240)
def test_the_whole_with_its_demonstration(deployed, has_daemons, bin_dir):
    said = deployed.run("up", "--port-base", deployed.base, "--prefix", bin_dir)
    for step in ("1. A synchronous call", "2. An asynchronous job", "3. A duplicate", "4. A cron entry",
                 "Sluice runs in"):
        assert step in said
    assert set(deployed.pids()) == {
        "epmd", "rabbitmq", "redis", "tenant", "ingress", "dispatcher", "worker-1"}
    for kind, offset in zip(KINDS, range(3)):
        answer = new_session().get(f"http://127.0.0.1:{deployed.base + offset}/readyz")
        assert answer.status_code == 200, kind


@pytest.mark.timeout_s(300)
def test_counts_follow_the_options(deployed, has_daemons):
    deployed.up("--workers", 3, "--dispatchers", 2, "--ingresses", 2, only=None)
    names = {"worker-1", "worker-2", "worker-3", "dispatcher", "dispatcher-2", "ingress", "ingress-2"}
    assert names <= set(deployed.pids())
    for offset in (0, 60, 1, 40, 2, 20, 21):
        url = f"http://127.0.0.1:{deployed.base + offset}/readyz"
        assert new_session().get(url).status_code == 200
    kept = deployed.pid("worker-1")
    assert "Draining worker-3 worker-2" in deployed.up("--workers", 1, only=None)
    assert set(deployed.pids()) & names == names - {"worker-2", "worker-3"}
    assert deployed.pid("worker-1") == kept


@pytest.mark.timeout_s(300)
def test_any_process_may_be_killed_and_started_again(deployed, has_daemons):
    deployed.up(only=None)
    for name in ("ingress", "dispatcher", "worker-1", "tenant", "redis", "rabbitmq"):
        before = deployed.pids()
        deployed.kill(name)
        deployed.up(only=None)
        after = deployed.pids()
        assert {n for n in before if before[n] != after[n]} == {name}
        url = f"http://127.0.0.1:{deployed.base}/call/sample/after-{name}"
        assert new_session().get(url, timeout=40).status_code == 200


def test_a_wrong_configuration_starts_nothing(deployed, has_daemons, tmp_path):
    (tmp_path / "wrong.yaml").write_text("tenants: {sample: {instances: [], nonsense: 1}}\n")
    said = deployed.up("--config", tmp_path / "wrong.yaml", only=None, code=1)
    assert "nonsense" in said and deployed.pids() == {}


def test_the_harness_starts_a_whole_stack(make_stack, has_daemons):
    stack = make_stack()
    assert stack.call("GET", "/call/sample/hello").json()["path"] == "/hello"
    job = stack.submit(body={"n": 1}).json()["id"]
    assert stack.wait_job(job)["state"] == "succeeded"
    assert stack.result(job).json() == {"n": 1}
    assert len(stack.receipts(job=job)) == 1
    wait_until(lambda: stack.unacknowledged() == 0, 20)


def test_the_harness_isolates_stacks_on_one_broker(make_stack):
    one, two = make_stack(start=False), make_stack(start=False)
    one.start_parts()
    two.start_parts()
    assert one.vhost != two.vhost and one.redis_port != two.redis_port
    with one.amqp() as connection:
        channel = connection.channel()
        channel.queue_declare("mine", durable=True)
        channel.basic_publish("", "mine", b"1")
        wait_until(lambda: one.queues() == {"mine": (1, 0, 0)}, 20)
        assert two.queues() == {}
    one.redis.set("k", "v")
    assert two.redis.get("k") is None


@pytest.mark.timeout_s(240)
def test_the_harness_kills_a_private_broker_and_store(make_stack):
    stack = make_stack(private=True, start=False).start_parts()
    stack.redis.set("k", "v")
    for name in ("redis", "rabbitmq"):
        before = stack.pid(name)
        stack.kill(name)
        stack.start(name)
        assert stack.pid(name) != before
    assert stack.redis.get("k") == "v"
    assert stack.queues() == {}
