# SPDX-License-Identifier: Apache-2.0
"""deploy/container/compose.cluster.yaml as a test has it: made, started, parts found by what they do now, killed, cut off,
and taken away without a trace. The engine is that of DOCKER_HOST; the images are those that the variables of the
compose file name."""
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTAINER = ROOT / "deploy" / "container"


def run(*command, timeout=60, check=True, env=None):
    """What it printed."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, env=env)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def fetch(url, key=None, timeout=5):
    """(status, text); status 0: no answer."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait_until(predicate, timeout, what, every=0.2):
    end = time.monotonic() + timeout
    while True:
        found = predicate()
        if found:
            return found
        assert time.monotonic() < end, f"{what}: not within {timeout} s; the last was {found!r}"
        time.sleep(every)


class Cluster:
    def __init__(self, directory, project, port, net, docker="docker", compose=("docker-compose",)):
        self.directory, self.project, self.port, self.net = Path(directory), project, port, net
        self.docker, self.compose = docker, compose
        self.env = {**os.environ, "SLUICE_CLUSTER_NET": net, "SLUICE_INGRESS_PORT": str(port),
                    "SLUICE_DISPATCHER_PORT": str(port + 1)}
        self.host = None     # of the balancer, in the engine's network: no proxy of the engine's in between
        self.events = []     # (monotonic, what)
        self._restarts = []

    # --- its life ---

    def prepare(self, config=None):
        if "SLUICE_IMAGE" not in self.env:
            self._take(run(CONTAINER / "images", self.directory / "images", timeout=1500, env=self.env))
        said = run(CONTAINER / "cluster" / "prepare", self.directory, *([config] if config else []), env=self.env)
        self._take(said)
        self.key = self.secret("api_key")

    def _take(self, said):
        self.env.update(line.split("=", 1) for line in said.splitlines())

    def secret(self, name):
        return (self.directory / "secrets" / name).read_text().strip()

    def _compose(self, *words, timeout=300):
        return run(*self.compose, "-p", self.project, "-f", CONTAINER / "compose.cluster.yaml", *words, timeout=timeout,
                   env=self.env)

    def up(self, *words):
        # Of all projects nothing may be left in the end; see suite.sh.
        if os.environ.get("SLUICE_TEST_PROJECTS"):
            with open(os.environ["SLUICE_TEST_PROJECTS"], "a") as names:
                names.write(f"{self.project}\n")
        # Compose gives up on a node that was slow to become healthy, as on a busy machine; who asks again goes on from there.
        end = time.monotonic() + 240
        while True:
            try:
                self._compose("up", "-d", *words)
                return
            except AssertionError as error:
                if "is unhealthy" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(2)

    def wait_ready(self, timeout=240):
        self.host = self.address(self.of("balancer")[0])
        wait_until(lambda: fetch(f"http://{self.host}:8080/readyz")[0] == 200, timeout, "a ready cluster")
        wait_until(lambda: all(fetch(f"http://{self.address(c)}:{p}/readyz")[0] == 200 for kind, p, network in
                               (("ingress", 8080, "front"), ("dispatcher", 8081, "front"))
                               for c in self.of(kind)), timeout, "all ready")

    def down(self):
        for timer in self._restarts:
            timer.cancel()
        self._compose("down", "--volumes", "--timeout", "2", "--remove-orphans")

    def keep_logs(self, directory):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for container in run(self.docker, "ps", "-a", "--filter", f"label=com.docker.compose.project={self.project}",
                             "--format", "{{.Names}}").split():
            done = subprocess.run([self.docker, "logs", container], capture_output=True, timeout=30)
            (directory / f"{container}.log").write_bytes(done.stdout + done.stderr)

    # --- who is who ---

    def of(self, service):
        """The names of its containers that run."""
        return sorted(run(self.docker, "ps", "--filter", f"label=com.docker.compose.project={self.project}", "--filter",
                          f"label=com.docker.compose.service={service}", "--format", "{{.Names}}").split())

    def address(self, container, network="front"):
        networks = json.loads(run(self.docker, "inspect", "-f", "{{json .NetworkSettings.Networks}}", container))
        return networks[f"{self.project}_{network}"]["IPAddress"]

    def exec(self, container, *command, env=(), timeout=60):
        return run(self.docker, "exec", *(w for pair in env for w in ("-e", pair)), container, *command, timeout=timeout)

    def any(self, kind):
        return next(c for n in (1, 2, 3) for c in self.of(f"{kind}-{n}"))

    def queue_leaders(self):
        """{queue: the number of the node that leads it}"""
        said = self.exec(self.any("rabbitmq"), "rabbitmqctl", "--quiet", "list_queues", "--no-table-headers", "name", "leader")
        return {name: int(leader[-1]) for name, leader in (line.split("\t") for line in said.splitlines())
                if leader.startswith("rabbit@")}

    def queue_leader(self, part):
        """The service that leads the first queue with `part` in its name."""
        leaders = {name: node for name, node in self.queue_leaders().items() if part in name}
        assert leaders, f"no queue with {part} in its name"
        return f"rabbitmq-{leaders[sorted(leaders)[0]]}"

    def sentinel(self, *words, number=None):
        container = f"{self.project}_sentinel-{number}_1" if number else self.any("sentinel")
        return self.exec(container, "redis-cli", "-p", "26379", *words,
                         env=[f"REDISCLI_AUTH={self.secret('sentinel_password')}"]).splitlines()

    def redis_primary(self):
        address = self.sentinel("sentinel", "get-master-addr-by-name", "sluice")[0]
        return f"redis-{address[-1]}"

    def redis(self, service, *words):
        return self.exec(self.of(service)[0], "redis-cli", "--no-auth-warning", "--user", "sluice", "--pass",
                         self.secret("redis_password"), *words).splitlines()

    def replicas(self):
        """How many replicas the primary counts as good."""
        return sum("state=online" in line for line in self.redis(self.redis_primary(), "info", "replication"))

    def leading_dispatcher(self):
        for container in self.of("dispatcher"):
            metrics = fetch(f"http://{self.address(container)}:8081/metrics", self.key)[1]
            if any(line.startswith("sluice_leader") and line.split()[-1] == "1" for line in metrics.splitlines()):
                return container
        return None

    # --- what is done to it ---

    def note(self, what):
        self.events.append((time.monotonic(), what))

    def kill(self, container, again_after_s=15):
        """docker kill; started again later. Returns the instant, monotonic."""
        at = time.monotonic()
        run(self.docker, "kill", container)
        self.note(f"killed {container}")
        self._later(again_after_s, self.start, container)
        return at

    def _later(self, seconds, do, *arguments):
        timer = threading.Timer(seconds, do, arguments)
        timer.daemon = True
        timer.start()
        self._restarts.append(timer)

    def start(self, container):
        self.note(f"started {container}")
        run(self.docker, "start", container)

    def cut(self, service, network, address, again_after_s):
        """Off a network on which it has a fixed address."""
        container = self.of(service)[0]
        at = time.monotonic()
        run(self.docker, "network", "disconnect", f"{self.project}_{network}", container)
        self.note(f"cut {container} off {network}")
        self._later(again_after_s, self.mend, container, network, address)
        return at

    def mend(self, container, network, address):
        run(self.docker, "network", "connect", "--ip", address, f"{self.project}_{network}", container)
        self.note(f"mended {container}")

    def receipts(self):
        path = self.directory / "ledger" / "ledger.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
