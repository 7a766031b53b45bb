# SPDX-License-Identifier: Apache-2.0
"""Stack: the processes of one Sluice, as deploy/up would lay them out, under the tests' own hand.

RabbitMQ and Redis are started by deploy/up itself. The broker is shared by all tests, a virtual host
each, unless a test asks for one of its own; every stack has a Redis of its own.
"""
import os
import shutil
import subprocess
import threading
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pika
import redis
import yaml

from .contract import CONTRACT, watch
from .http import new_session
from .ports import free_port_base
from .process import Process, ProcessFailed
from .replica import Replica
from .tools import Proxy, Tenant
from .waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
ENDED = ("succeeded", "failed", "expired", "canceled", "in_doubt")


def binaries():
    return Path(os.environ.get("SLUICE_BIN", ROOT / "build" / "dev" / "bin")).resolve()


class Parts:
    """Some of rabbitmq and redis, by deploy/up in a directory."""

    def __init__(self, directory, port_base, only):
        self.directory = Path(directory)
        self.port_base = port_base
        self.only = only

    def _deploy(self, script, *arguments):
        done = subprocess.run(
            [ROOT / "deploy" / script, "--dir", self.directory, *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=300, check=False)
        if done.returncode != 0:
            raise ProcessFailed(f"deploy/{script} failed:\n{done.stdout}")

    def start(self):
        self._deploy("up", "--port-base", self.port_base, "--only", ",".join(self.only), "--no-demo",
                     "--prefix", binaries())
        return self

    def stop(self):
        self._deploy("down")

    def pid(self, name):
        return int((self.directory / "run" / f"{name}.pid").read_text())

    def signal(self, name, number):
        os.kill(self.pid(name), number)

    def kill(self, name, number=SIGKILL):
        pid = self.pid(name)
        os.kill(pid, number)
        wait_until(lambda: not _lives(pid), 60, f"the end of {name}")


def _lives(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class Broker:
    """A RabbitMQ node; `vhost` picks what of it is looked at."""

    def __init__(self, directory, port_base=None, parts=None):
        self.port_base = port_base or free_port_base()
        self.parts = parts or Parts(directory, self.port_base, ["rabbitmq"])
        self.port = self.port_base + 10
        self._vhosts = 0

    def start(self):
        self.parts.start()
        return self

    def stop(self):
        self.parts.stop()

    def ctl(self, *arguments):
        """rabbitmqctl; returns what it printed. Takes most of a second."""
        done = subprocess.run(
            ["bash", "-c", 'set -a; . "$1"; shift; exec /usr/lib/rabbitmq/bin/rabbitmqctl -q "$@"',
             "ctl", self.parts.directory / "rabbitmq" / "env", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise ProcessFailed(f"rabbitmqctl {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def add_vhost(self):
        self._vhosts += 1
        name = f"test-{os.getpid()}-{self._vhosts}"
        self.ctl("eval", f'''V = <<"{name}">>, ok = rabbit_vhost:add(V, <<"guest">>),
            A = <<".*">>, ok = rabbit_auth_backend_internal:set_permissions(
                <<"guest">>, V, A, A, A, <<"test">>).''')
        return name

    def delete_vhost(self, name):
        self.ctl("delete_vhost", name)

    def url(self, vhost="/"):
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{vhost.replace('/', '%2f')}"

    def connect(self, vhost="/"):
        parameters = pika.ConnectionParameters(
            "127.0.0.1", self.port, vhost, pika.PlainCredentials("guest", "guest"))
        return pika.BlockingConnection(parameters)

    def queues(self, vhost="/"):
        """{name: (ready, unacknowledged, consumers)}"""
        fields = ("name", "messages_ready", "messages_unacknowledged", "consumers")
        lines = self.ctl("list_queues", "-p", vhost, "--no-table-headers", *fields).splitlines()
        rows = [line.split("\t") for line in lines if line]
        return {row[0]: tuple(int(n or 0) for n in row[1:]) for row in rows}


class Stack:
    """Build it, add tenants if you want more than the sample, then start().

    config: the whole configuration as a dict, or a function of the stack that returns it (ports are
    known then). Default: sample_config(). Broker and store addresses come by environment, unless `env` names them with
    None: then the configuration has them.
    """

    def __init__(self, directory, broker=None, config=None, workers=1, dispatchers=1, ingresses=1,
                 env=None):
        """broker: a shared one (a virtual host of it is used), or None: one of its own."""
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.binaries = binaries()
        self.port_base = free_port_base()
        self.is_private = broker is None
        only = ["rabbitmq", "redis"] if self.is_private else ["redis"]
        self.parts = Parts(self.directory / "parts", self.port_base, only)
        self.broker = broker or Broker(self.parts.directory, self.port_base, self.parts)
        self.vhost = "/"
        self.env = env or {}
        self.ledger = self.directory / "ledger.jsonl"
        self.processes = {}
        self._config = config or Stack.sample_config
        self._counts = {"dispatcher": dispatchers, "worker": workers, "ingress": ingresses}
        self._local = threading.local()
        self.redis_port = self.port_base + 11
        self.redis = redis.Redis(port=self.redis_port, decode_responses=True)
        self.tenant = self.add_tenant("sample-1", port=self.port_base + 13)

    # --- building ---

    def add_tenant(self, name, limit=0, port=None):
        """An instance of a backend; not started before start(), unless the stack runs."""
        tenant = Tenant(name, self.binaries, self.directory, limit, self.ledger, port)
        self.processes[name] = tenant
        return tenant

    def add_proxy(self, name, target_port, **options):
        proxy = Proxy(name, self.binaries, self.directory, target_port, **options)
        self.processes[name] = proxy
        return proxy

    def add_replica(self, name):
        """A replica of this stack's Redis."""
        self.processes[name] = Replica(name, self.directory, self.redis_port)
        return self.processes[name]

    def sample_config(self, schedules=None, instances=None, **tenant):
        """The tenant `sample` on self.tenant, with other keys of the tenant as given."""
        instances = instances or [{"name": "sample-1", "url": self.tenant.url, "concurrency": 256}]
        sample = {"instances": instances, **tenant}
        return {"tenants": {"sample": sample}, "schedules": schedules or {}}

    @property
    def config_file(self):
        return self.directory / "sluice.yaml"

    def configure(self, config):
        """Writes the configuration, whole or not at all; running daemons see the change."""
        self._config = config
        document = config(self) if callable(config) else config
        new = self.config_file.with_suffix(".new")
        new.write_text(yaml.safe_dump(document, sort_keys=False))
        new.rename(self.config_file)

    def _environment(self):
        given = {
            "SLUICE_CFG_BROKER_URL": self.broker.url(self.vhost),
            "SLUICE_CFG_STORE_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            **self.env,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _daemon(self, kind, number):
        name = kind if number == 1 and kind != "worker" else f"{kind}-{number}"
        offset = {"ingress": 0, "dispatcher": 1, "worker": 2}[kind]
        more = {"ingress": 58, "dispatcher": 38, "worker": 18}[kind]
        port = self.port_base + (offset if number == 1 else more + number)
        url = f"http://127.0.0.1:{port}"
        command = [self.binaries / f"sluice-{kind}", "--config", self.config_file,
                   "--listen", f"127.0.0.1:{port}"]
        process = Process(name, command, self.directory, self._environment(),
                          lambda: self.http.get(url + "/readyz", timeout=5).status_code == 200)
        process.url = url
        process.port = port
        watch(url, kind)  # every answer is held to schemas/openapi.json
        self.processes[name] = process
        return process

    # --- living ---

    def start(self, name=None, wait=True):
        """Everything, or the one that is named."""
        if name in ("rabbitmq", "redis"):
            self.parts.start()
        elif name is not None:
            self[name].start(wait)
        else:
            self._start_all(wait)
        return self

    def start_parts(self):
        """RabbitMQ and Redis only."""
        self.parts.start()
        if not self.is_private and self.vhost == "/":
            self.vhost = self.broker.add_vhost()
        return self

    def _start_all(self, wait):
        self.start_parts()
        self.configure(self._config)
        for process in list(self.processes.values()):
            process.start()
        for kind, count in self._counts.items():
            for number in range(1, count + 1):
                self._daemon(kind, number).start(wait=False)
        if wait:
            self.wait_ready()

    def add(self, kind):
        """One more worker, dispatcher or ingress; started, not waited for."""
        self._counts[kind] += 1
        return self._daemon(kind, self._counts[kind]).start(wait=False)

    def wait_ready(self, timeout=60):
        for process in self.processes.values():
            if process.is_running:
                process.wait_ready(timeout)

    def __getitem__(self, name):
        return self.processes["worker-1" if name == "worker" else name]

    def pid(self, name):
        return self.parts.pid(name) if name in ("rabbitmq", "redis") else self[name].pid

    def stop(self, name, timeout=60):
        return self[name].stop(timeout)

    def kill(self, name, number=SIGKILL):
        """By default -9; also rabbitmq (only if private) and redis."""
        if name == "rabbitmq" and not self.is_private:
            raise ValueError("the broker is shared: make the stack with private=True")
        if name in ("rabbitmq", "redis"):
            self.parts.kill(name, number)
        else:
            self[name].kill(number)

    def signal(self, name, number):
        os.kill(self.pid(name), number)

    def restart(self, name, number=SIGTERM, wait=True):
        if name in ("rabbitmq", "redis"):
            self.kill(name, number)
            self.parts.start()
        else:
            self[name].restart(number, wait)

    # --- talking to it ---

    @property
    def http(self):
        """A session of this thread."""
        if not hasattr(self._local, "session"):
            self._local.session = new_session()
        return self._local.session

    @property
    def ingress_url(self):
        return f"http://127.0.0.1:{self.port_base}"

    @property
    def dispatcher_url(self):
        return f"http://127.0.0.1:{self.port_base + 1}"

    def call(self, method, path, timeout=40, **options):
        """A request to the ingress, as it is: call("GET", "/call/sample/hello")."""
        return self.http.request(method, self.ingress_url + path, timeout=timeout, **options)

    def ask(self, path, timeout=10, **options):
        """A GET of the dispatcher: ask("/v1/scale")."""
        return self.http.get(self.dispatcher_url + path, timeout=timeout, **options)

    def submit(self, path="/orders", tenant="sample", method="POST", body=None, headers=None, **job):
        """POST /v1/jobs; the answer, whatever it is."""
        request = {"method": method, "path": path}
        if body is not None:
            request["body"] = body
        return self.call("POST", "/v1/jobs", headers=headers,
                         json={"tenant": tenant, "request": request, **job})

    def job(self, job_id, wait_s=None):
        headers = {} if wait_s is None else {"Prefer": f"wait={wait_s}"}
        answer = self.call("GET", f"/v1/jobs/{job_id}", headers=headers)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return answer.json()

    def wait_job(self, job_id, states=ENDED, timeout=30):
        """The job's document once its state is one of these; a refusal on the way is asked again."""
        wanted = (states,) if isinstance(states, str) else states
        seen = {}

        def arrived():
            answer = self.call("GET", f"/v1/jobs/{job_id}")
            if answer.status_code == 200:
                seen.update(answer.json())
            return answer.status_code == 200 and seen["state"] in wanted

        wait_until(arrived, timeout, f"job {job_id} in {wanted}")
        return seen

    def result(self, job_id, **options):
        return self.call("GET", f"/v1/jobs/{job_id}/result", **options)

    def receipts(self, **wanted):
        return self.tenant.receipts(**wanted)

    def metric(self, name, process="ingress", **labels):
        """The sum of a metric's samples that carry these labels; 0 when there is none."""
        text = self.http.get(self[process].url + "/metrics", timeout=10).text
        total = 0.0
        for line in text.splitlines():
            head, _, value = line.rpartition(" ")
            base, _, pairs = head.partition("{")
            if base == name and all(f'{k}="{v}"' in pairs for k, v in labels.items()):
                total += float(value)
        return total

    def queues(self):
        """{name: (ready, unacknowledged, consumers)} of this stack's virtual host."""
        return self.broker.queues(self.vhost)

    def unacknowledged(self):
        return sum(row[1] for row in self.queues().values())

    def amqp(self):
        return self.broker.connect(self.vhost)

    # --- the end ---

    def tails(self):
        logs = [p.tail() for p in self.processes.values()]
        for path in sorted((self.parts.directory / "log").glob("*.log")):
            logs.append("\n".join([f"--- {path}", *path.read_text(errors="replace").splitlines()[-15:]]))
        return "\n".join(logs)

    def close(self, is_failed=False):
        """Ends everything; complains of what a sanitizer found and of exits that are not 0."""
        complaints = []
        try:
            complaints = self._stop_processes(is_failed)
        finally:
            for process in self.processes.values():
                process.kill()
            self.redis.close()
            self._stop_parts()
        if complaints and not is_failed:
            raise ProcessFailed("\n".join(complaints))
        if not is_failed:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _stop_processes(self, is_failed):
        complaints = []
        order = ("ingress", "dispatcher", "worker", "")
        for process in sorted(self.processes.values(),
                              key=lambda p: next(i for i, k in enumerate(order) if p.name.startswith(k))):
            was_running = process.is_running
            try:
                code = process.stop(2 if is_failed else 30) if was_running else 0
            except ProcessFailed as error:
                code = 0
                complaints.append(str(error))
            report = process.sanitizer_reports()
            if report:
                complaints.append(f"{process.name}: {report}")
            elif code != 0:
                complaints.append(f"{process.name} exited with {code}\n{process.tail()}")
            elif not was_running and process.popen and process.popen.returncode not in (0, None) \
                    and not process.was_killed:
                complaints.append(f"{process.name} had ended with {process.popen.returncode}\n{process.tail()}")
        # Those that a thread of a load client saw, whose exceptions nobody sees.
        complaints += [str(v) for v in CONTRACT.take_violations()]
        return complaints

    def _stop_parts(self):
        for name in self.parts.only:
            try:
                # Nothing in it is needed any more: no orderly end. SIGKILL ends a stopped one, too.
                self.parts.kill(name)
            except (FileNotFoundError, ProcessLookupError):
                pass
        if self.parts.directory.exists():
            self.parts.stop()
        if not self.is_private and self.vhost != "/":
            self.broker.delete_vhost(self.vhost)
