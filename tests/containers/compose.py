# SPDX-License-Identifier: Apache-2.0
"""Compose: one Sluice in containers, by deploy/up --containers, on the engine that $DOCKER_HOST names; and those who hurt it.

The images are named by what they are made of: whoever comes second finds them."""
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pika
import redis
import yaml
from harness import ProcessFailed, free_port_base, new_session, wait_until

ROOT = Path(__file__).resolve().parents[2]
READY_S = 240


def run(*command, timeout=300, env=None, check=True):
    """What it printed; ProcessFailed when it fails."""
    words = [str(w) for w in command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout, check=False, env=env)
    if check and done.returncode != 0:
        raise ProcessFailed(f"{shlex.join(words)}: {done.returncode}\n{done.stdout}")
    return done.stdout


def as_root(*command):
    return run(*(() if os.geteuid() == 0 else ("sudo", "-n")), *command)


class Events:
    """What the engine says of a project's containers while it lives: who got which signal, who ended with which code."""

    def __init__(self, path, project, env):
        self.path = path
        with open(path, "wb") as log:
            self._process = subprocess.Popen(
                ["docker", "events", "--format", "{{json .}}", "--filter", "type=container", "--filter", "event=die",
                 "--filter", "event=kill", "--filter", "event=oom", "--filter", f"label=com.docker.compose.project={project}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env)

    def seen(self):
        """[(name, what, signal or exit code)]"""
        found = []
        for line in self.path.read_text().splitlines():
            event = json.loads(line)
            said = event["Actor"]["Attributes"]
            found.append((said["name"], event["Action"], int(said.get("exitCode", said.get("signal", 0)))))
        return found

    def close(self):
        self._process.terminate()
        self._process.wait(10)


class Compose:
    """config: a document as harness.load.config_of makes it; instances are at sample(). Keys are made by deploy/up."""

    def __init__(self, directory, config, **options):
        """options: of deploy/up, like workers=2."""
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.options = options
        self.port_base = free_port_base()
        self.tenants = tuple(config["tenants"])
        self.env = dict(os.environ)
        self.vars = {}
        self.events = None
        self._local = threading.local()

    @staticmethod
    def sample(**keys):
        return {"name": "sample-1", "url": "http://sample:8093", **keys}

    # --- living ---

    def start(self):
        # Of all projects nothing may be left in the end; see suite.sh.
        if os.environ.get("SLUICE_TEST_PROJECTS"):
            with open(os.environ["SLUICE_TEST_PROJECTS"], "a") as names:
                names.write(f"sluice-{hashlib.sha256(str(self.stack).encode()).hexdigest()[:8]}\n")
        (self.directory / "sluice.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        self._up()
        self.events = Events(self.directory / "events.jsonl", self.project, self.env)
        self.redis = redis.from_url(self.vars["SLUICE_REDIS_URL"], decode_responses=True)
        self.raw_redis = redis.from_url(self.vars["SLUICE_REDIS_URL"])
        return self

    def _up(self):
        options = [word for name, value in self.options.items() for word in (f"--{name}", value)]
        run(ROOT / "deploy/up", "--containers", "--no-demo", "--dir", self.stack, "--port-base", self.port_base,
            "--config", self.directory / "sluice.yaml", *options, timeout=900)
        text = run("bash", "-c", 'set -a; . "$1"; env -0', "env", self.stack / "env")
        self.vars = dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)
        self.env = {**os.environ, **{k: v for k, v in self.vars.items() if re.match("SLUICE|COMPOSE|DOCKER", k)}}

    @property
    def stack(self):
        return self.directory / "stack"

    @property
    def project(self):
        return self.vars["COMPOSE_PROJECT_NAME"]

    def docker(self, *words, timeout=120, check=True):
        return run("docker", *words, timeout=timeout, env=self.env, check=check).strip()

    def compose(self, *words, timeout=300):
        return run("docker-compose", *words, timeout=timeout, env=self.env)

    def containers(self, service=None, everyone=False):
        """The names of those that run, by number."""
        words = ["ps", "--format", "{{.Names}}", "--filter", f"label=com.docker.compose.project={self.project}"]
        words += ["--filter", f"label=com.docker.compose.service={service}"] if service else []
        names = self.docker(*words, *(["--all"] if everyone else [])).split()
        return sorted(names, key=lambda n: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", n)])

    def one(self, service):
        [name] = self.containers(service)
        return name

    def scale(self, n):
        """Plain compose, as anybody would; those that are surplus drain."""
        self.compose("up", "-d", "--no-deps", "--no-recreate", "--scale", f"worker={n}", "worker")

    def wait_healthy(self, *names, timeout=READY_S):
        def health():
            said = self.docker("inspect", "--format", "{{.State.Health.Status}}", *names).split()
            return all(word == "healthy" for word in said)

        wait_until(health, timeout, f"{names} are healthy", every=0.2)

    def kill(self, name):
        self.docker("kill", name)

    def pid(self, name):
        return self.docker("inspect", "--format", "{{.State.Pid}}", name)

    def network(self, name):
        return f"{self.project}_{name}"

    def cut(self, name, network):
        """Off the network, as a cable is pulled: nobody hears of it."""
        self.docker("network", "disconnect", self.network(network), name)

    def mend(self, name, network, *options):
        """With another address, perhaps."""
        self.docker("network", "connect", *options, self.network(network), name)

    def inside(self, name, *command):
        """Something of this machine, in the container's network."""
        return as_root("nsenter", "--target", self.pid(name), "--net", *command)

    def address(self, name, network):
        return self.docker("inspect", "--format", f'{{{{(index .NetworkSettings.Networks "{self.network(network)}").IPAddress}}}}',
                           name)

    # --- talking to it ---

    @property
    def http(self):
        if not hasattr(self._local, "session"):
            self._local.session = new_session()
            self._local.session.headers["Authorization"] = f"Bearer {self.vars['SLUICE_KEY']}"
        return self._local.session

    def call(self, method, path, timeout=40, **options):
        return self.http.request(method, self.vars["SLUICE_INGRESS_URL"] + path, timeout=timeout, **options)

    def ask(self, path, timeout=10, **options):
        return self.http.get(self.vars["SLUICE_DISPATCHER_URL"] + path, timeout=timeout, **options)

    def submit(self, path="/orders", tenant="sample", **job):
        return self.call("POST", "/v1/jobs", json={"tenant": tenant, "request": {"method": "POST", "path": path}, **job})

    def queues(self):
        """{name: (ready, unacknowledged)}"""
        text = self.docker("exec", self.one("rabbitmq"), "rabbitmqctl", "-q", "list_queues", "--no-table-headers", "name",
                           "messages_ready", "messages_unacknowledged")
        rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 2]
        return {row[0]: tuple(int(n or 0) for n in row[1:]) for row in rows}

    def amqp(self):
        return pika.BlockingConnection(pika.URLParameters(self.vars["SLUICE_AMQP_URL"]))

    def ledger_lines(self):
        path = self.stack / "ledger.jsonl"
        text = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in text.split(b"\n")[:-1]]

    def leases(self):
        return self.redis.hgetall("{sluice}:w")

    # --- the end ---

    def save_logs(self):
        """Of all containers, also of those that ended."""
        folder = self.directory / "logs"
        folder.mkdir(exist_ok=True)
        for name in self.containers(everyone=True):
            (folder / f"{name}.log").write_text(self.docker("logs", "--timestamps", name, check=False))
            (folder / f"{name}.json").write_text(self.docker("inspect", name, check=False))

    def tails(self):
        if not self.vars:
            return "--- no containers"
        self.save_logs()
        logs = sorted((self.directory / "logs").glob("*.log"))
        return "\n".join("\n".join([f"--- {p}", *p.read_text(errors="replace").splitlines()[-15:]]) for p in logs)

    def close(self, is_failed=False):
        try:
            if self.events is not None:
                self.events.close()
            if is_failed and self.vars:
                self.save_logs()
                # Nothing in it is needed any more.
                names = self.containers()
                if names:
                    self.docker("kill", *names, check=False)
        finally:
            run(ROOT / "deploy/down", "--dir", self.stack, "--purge", timeout=600)
        if not is_failed:
            shutil.rmtree(self.directory, ignore_errors=True)


class Clock:
    """The seconds since it was made; at(s) waits until then."""

    def __init__(self):
        self.begun = time.monotonic()

    def now(self):
        return time.monotonic() - self.begun

    def at(self, seconds):
        time.sleep(max(0.0, seconds - self.now()))
