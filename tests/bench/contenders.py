# SPDX-License-Identifier: Apache-2.0
"""Who is measured: a Sluice, the peers, nginx. Each has a front at its port, a folder of its own, and (but nginx) a
RabbitMQ and a Redis of its own from deploy/up, append-only with fsync every second, unless it is to be strict."""

import json
import os
import pathlib
import shutil
import subprocess
import time
import urllib.request

import meter

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEER = ROOT / "tests/bench/peers/peer"
ENGINES = ("rabbitmq", "redis", "epmd")
PORTS_EACH = 100
REDIS_OFFSET, BROKER_OFFSET = 11, 10
# A deploy/up has bounds of its own for each part, which are shorter; this one is for what hangs.
START_BOUND_S = 600


class Failed(Exception):
    """A contender that does not start, or does not do its work: its figure is left out, and that is said."""


def run(*command, **more):
    """Fails with the end of what the command said."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=START_BOUND_S,
                          stdin=subprocess.DEVNULL, check=False, **more)
    if done.returncode != 0:
        raise Failed(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def ask(url, method="GET", bound_s=10):
    """What a JSON interface answers; {} without a body."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=bound_s) as answer:
        body = answer.read()
    return json.loads(body) if body else {}


class Contender:
    has_async = True
    path = "/call/sample/bench"
    paths = 0  # see the load client's --paths

    def __init__(self, name, directory, port, tenant):
        self.name, self.dir, self.port, self.tenant = name, directory, port, tenant

    def deploy(self, *words):
        run(ROOT / "deploy/up", "--no-demo", "--dir", self.dir, "--port-base", self.port, *words)

    def sync_each_second(self):
        meter.redis_say(self.port + REDIS_OFFSET, b"CONFIG", b"SET", b"appendfsync", b"everysec")

    def _pids(self, folder):
        return {path.stem: int(path.read_text().split()[0]) for path in folder.glob("*.pid")}

    def own_pids(self):
        """{name: pid} of what is not the broker, the store or the tenant."""
        return {name: pid for name, pid in self._pids(self.dir / "run").items()
                if name.split("-")[0] not in (*ENGINES, "tenant")}

    def engine_pids(self):
        return {name: pid for name, pid in self._pids(self.dir / "run").items() if name in ENGINES}

    def front_pids(self):
        return [pid for name, pid in self.own_pids().items() if name.startswith(("front", "ingress"))]

    def worker_pids(self):
        return [pid for name, pid in self.own_pids().items() if name.startswith("worker")]

    def keep_logs(self, folder):
        if folder.is_dir():
            shutil.copytree(folder, self.dir.parent / "log" / self.dir.name, dirs_exist_ok=True)

    def stop(self):
        """Nothing of it stays but its logs: a million jobs are gigabytes."""
        self.keep_logs(self.dir / "log")
        subprocess.run([ROOT / "deploy/down", "--dir", self.dir, "--purge"], stdout=subprocess.DEVNULL, check=False)


class Sluice(Contender):
    """settings: queue_type, durability, concurrency, tenants (how many, alike), keys (of each tenant)."""

    def __init__(self, name, directory, port, tenant, **settings):
        super().__init__(name, directory, port, tenant)
        self.settings = settings
        self.n_tenants = settings.get("tenants", 1)
        if self.n_tenants > 1:
            self.path, self.paths = "/call/t*/bench", self.n_tenants

    def config(self):
        tenant = {"instances": [{"url": f"http://{self.tenant}"}], "timeouts": {"sync_s": 60},
                  **self.settings.get("keys", {})}
        names = ["sample"] if self.n_tenants == 1 else [f"t{n}" for n in range(self.n_tenants)]
        return {"store": {"durability": self.settings.get("durability", "fast")},
                "broker": {"queue_type": self.settings.get("queue_type", "quorum")},
                "worker": {"concurrency": self.settings.get("concurrency", 256)},
                "defaults": tenant, "tenants": {name: {} for name in names}}

    def start(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        config = self.dir / "bench.json"
        config.write_text(json.dumps(self.config()))
        self.deploy("--config", config)
        if self.config()["store"]["durability"] == "fast":
            self.sync_each_second()

    def scale_workers(self, count):
        self.deploy("--workers", count)

    def say(self, method, path):
        return ask(f"http://127.0.0.1:{self.port + 1}{path}", method)

    def wait_idle(self, bound_s=120):
        """Until nothing is queued or running, four times in a row (the figure is up to a second old)."""
        quiet, end = 0, time.monotonic() + bound_s
        while quiet < 4:
            s = self.say("GET", "/v1/scale")
            quiet = quiet + 1 if s["queued"] == 0 and s["running"] == 0 else 0
            if time.monotonic() > end:
                raise Failed(f"{self.name} does not become idle: {s['queued']} queued, {s['running']} running")
            time.sleep(0.25)


class Peer(Contender):
    """One of tests/bench/peers on a RabbitMQ and a Redis from deploy/up. settings are environment variables."""

    def __init__(self, name, directory, port, tenant, **settings):
        super().__init__(name, directory, port, tenant)
        self.settings = settings

    def start(self):
        self.deploy("--only", "rabbitmq,redis")
        self.sync_each_second()
        kind, _, queue = self.name.partition("-")
        run(PEER, "start", kind, self.dir / "peer", self.port, f"http://{self.tenant}",
            f"amqp://guest:guest@127.0.0.1:{self.port + BROKER_OFFSET}/",
            f"redis://127.0.0.1:{self.port + REDIS_OFFSET}/0",
            env={**os.environ, "QUEUE_TYPE": queue or "classic", **self.settings})

    def own_pids(self):
        return self._pids(self.dir / "peer/run")

    def stop_peer(self):
        self.keep_logs(self.dir / "peer/log")
        subprocess.run([PEER, "stop", self.dir / "peer"], stdout=subprocess.DEVNULL, check=False)

    def stop(self):
        self.stop_peer()
        super().stop()


class Nginx(Peer):
    """The floor of a front: it only passes on."""
    has_async = False

    def start(self):
        run(PEER, "start", "nginx", self.dir / "peer", self.port, f"http://{self.tenant}")

    def engine_pids(self):
        return {}

    def stop(self):
        self.stop_peer()
        shutil.rmtree(self.dir, ignore_errors=True)
