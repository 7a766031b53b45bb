# SPDX-License-Identifier: Apache-2.0
"""The Sluice that a chaos run hurts: its processes, its configuration, who hurts it, and what is read of
it when all is over."""
import json
import re
import threading
import time
from signal import SIGCONT, SIGSTOP

import plan
import redis
import requests
from harness import ProcessFailed, Stack, wait_until
from harness.load import config_of

SCHEDULES = {"tick-plain": "plain", "tick-held": "held"}
STEP_MS = 1000
POLICIES = {"plain": "retry", "held": "hold", "capped": "retry", "bridge": "hold", "later": "hold", "paced": "retry"}
# Calls at a time: of the tenant, of each instance; 0 none.
UNLIMITED = 1000000
LIMITS = {"capped": (8, 5), "bridge": (0, 1), "later": (0, 12), "paced": (0, 6)}
DROPPING = ("bridge", "later")
RATE = {"limit": 40, "period_s": 1, "burst": 5}
MORE = {"later": {"offload": {"enabled": True, "poll_s": 0.3, "max_s": 30}},
        "paced": {"rate": RATE, "per_key": {"header": "X-Customer", "concurrency": 2}}}
WORD_S = 60  # a word over HTTP is said again until a dispatcher has taken it


class World(Stack):
    """Two ingresses, three workers, two dispatchers; some reach broker and store through proxies."""

    def __init__(self, directory):
        self._override = {}
        super().__init__(directory, config=World.config, workers=3, dispatchers=2, ingresses=2)
        del self.processes["sample-1"]
        for tenant, names in plan.TENANTS.items():
            for name in names:
                self.add_tenant(name, limit=LIMITS[tenant][1] if tenant in DROPPING else 0)
        for name in plan.PROXIES:
            self.add_proxy(name, self.broker.port if name.endswith("broker") else self.redis_port)

    tenants = tuple(plan.TENANTS)

    @property
    def raw_redis(self):
        return redis.Redis(port=self.redis_port)

    def _environment(self):
        return {**super()._environment(), **self._override}

    def _daemon(self, kind, number):
        name = kind if number == 1 and kind != "worker" else f"{kind}-{number}"
        if name in plan.PROXIED:
            broker, store = (self.processes[f"{name}-to-{party}"] for party in ("broker", "store"))
            url = self.broker.url(self.vhost).replace(f":{self.broker.port}/", f":{broker.port}/")
            self._override = {"SLUICE_CFG_BROKER_URL": url,
                              "SLUICE_CFG_STORE_URL": f"redis://127.0.0.1:{store.port}/0"}
        try:
            return super()._daemon(kind, number)
        finally:
            self._override = {}

    def instance(self, tenant, name):
        limit = LIMITS.get(tenant, (0, 0))[1]
        return {"url": self[name].url, **({"concurrency": limit} if limit else {})}

    def config(self, with_schedules=True):
        def tenant(name):
            tenant_limit = LIMITS.get(name, (0, 0))[0]
            instances = [{"name": i, **self.instance(name, i)} for i in plan.TENANTS[name]]
            return {"instances": instances, "in_doubt": {"policy": POLICIES[name]},
                    **({"concurrency": tenant_limit} if tenant_limit else {}),
                    "retry": {"max_attempts": 12, "initial_s": 0.1, "max_s": 1},
                    "timeouts": {"connect_s": 1, "first_byte_s": 4, "total_s": 5, "sync_s": 12},
                    "result_ttl_s": 86400, "sync_result_ttl_s": 86400, **MORE.get(name, {})}

        schedules = {name: {"cron": "* * * * * *", "timezone": "UTC", "overlap": "allow", "catch_up": "all",
                            "job": {"tenant": tenant, "request": {"method": "POST", "path": f"/w/{name}"}}}
                     for name, tenant in SCHEDULES.items()}
        return config_of(self, {name: tenant(name) for name in plan.TENANTS}, schedules if with_schedules else {},
                         worker={"lease_s": plan.LEASE_S, "concurrency": 128},
                         dispatcher={"leader_lease_s": plan.LEADER_LEASE_S}, ingress={"drain_s": 5})

    def warm_up(self):
        """Every tenant has done a job, every schedule has fired."""
        def has_fired():
            return {r["schedule"] for r in self.ledger_lines()} >= set(SCHEDULES)

        for name in plan.TENANTS:
            wait_until(lambda name=name: self.submit("/warm", name).status_code == 202, 60, f"{name} accepts")
        wait_until(has_fired, 60, "the first fires")

    def ledger_lines(self):
        text = self.ledger.read_bytes() if self.ledger.exists() else b""
        return [json.loads(line) for line in text.split(b"\n")[:-1]]

    # --- hurting it ---

    def say(self, method, path, document=None):
        """To whichever dispatcher takes it."""
        def is_taken():
            for name in plan.DISPATCHERS:
                try:
                    answer = self.http.request(method, self[name].url + "/v1/tenants/" + path, json=document, timeout=5)
                except requests.RequestException:
                    continue
                if answer.status_code in (200, 201):
                    return True
                assert answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text}"
            return False

        wait_until(is_taken, WORD_S, f"{method} {path} is taken")

    def begin(self, fault):
        if fault.kind == "rest":
            self.say("POST", f"{fault.target}/pause", {"note": "chaos"})
        elif fault.kind == "drain":
            self.say("POST", f"{plan.tenant_of(fault.target)}/instances/{fault.target}/drain")
        elif fault.kind == "kill":
            self.kill(fault.target)
        elif fault.kind == "stop":
            self.stop(fault.target)
        elif fault.kind == "pause":
            self.signal(fault.target, SIGSTOP)
        elif fault.kind == "hang":
            self[fault.target].control(pause=1)
        else:
            self[fault.target].order("/" + fault.kind)

    def end(self, fault):
        if fault.kind == "rest":
            self.say("POST", f"{fault.target}/resume")
        elif fault.kind == "drain":
            tenant = plan.tenant_of(fault.target)
            self.say("PUT", f"{tenant}/instances/{fault.target}", self.instance(tenant, fault.target))
        elif fault.kind in ("kill", "stop"):
            self.start(fault.target, wait=False)
        elif fault.kind == "pause":
            self.signal(fault.target, SIGCONT)
        elif fault.kind == "hang":
            self[fault.target].control(pause=0)
        elif fault.kind == "blackhole":
            # It has swallowed bytes. No network goes on in the middle of a stream: whoever speaks again finds it
            # reset.
            self[fault.target].order("/cut")
            self[fault.target].order("/resume")
        elif fault.kind == "stop-reading":
            self[fault.target].order("/resume")


class Faults:
    """Does the plan's faults, each in a thread of its own; knows which ingress was down when."""

    def __init__(self, world, faults):
        self.world = world
        self.faults = faults
        self.kills = []
        self.rests = []  # what was said over HTTP and by when it was taken, and when it began to be taken back
        self.lines = []
        self.errors = []
        self._deploy = threading.Lock()  # deploy/up is run once at a time
        self._threads = []

    def start(self):
        self.begun = time.monotonic()
        for fault in self.faults:
            thread = threading.Thread(target=self._run, args=(fault,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _say(self, fault, what):
        self.lines.append(f"{time.time():.3f} {time.monotonic() - self.begun:8.3f} {what:<6} {fault.kind} {fault.target}")

    def _run(self, fault):
        try:
            time.sleep(max(0, self.begun + fault.at - time.monotonic()))
            since = round(time.time() * 1000)
            self._say(fault, "begin")
            self.world.begin(fault)
            self._say(fault, "begun")
            said = round(time.time() * 1000)
            time.sleep(fault.lasts)
            if fault.kind in ("rest", "drain"):
                self.rests.append([fault.target, said, round(time.time() * 1000)])
            self._end(fault)
            self._say(fault, "ended")
            if fault.target in plan.INGRESSES and fault.kind in ("kill", "stop"):
                self.kills.append((self.world[fault.target].port, since, round(time.time() * 1000)))
        except Exception as error:  # judged by whoever reads self.errors
            self.errors.append(f"{fault}: {error!r}")

    def _end(self, fault):
        if fault.target not in ("redis", "rabbitmq") or fault.kind != "kill":
            self.world.end(fault)
            return
        with self._deploy:
            for turn in range(3):
                try:
                    self.world.end(fault)
                    return
                except ProcessFailed:
                    if turn == 2:
                        raise

    def wait(self):
        for thread in self._threads:
            thread.join(120)
        assert not any(t.is_alive() for t in self._threads), "a fault does not end"


# --- what is read when all is over: see reading.py ---


def limits():
    """As the checker wants them."""
    found = {tenant: {"tenant": n or UNLIMITED, "instance": each or UNLIMITED} for tenant, (n, each) in LIMITS.items()}
    for tenant, more in MORE.items():
        if "per_key" in more:
            found[tenant]["customer"] = more["per_key"]["concurrency"]
        if "rate" in more:
            found[tenant]["rate"] = [more["rate"]["limit"], more["rate"]["period_s"] * 1000, more["rate"]["burst"]]
    return found


def end_schedules(world):
    """Takes them out of the configuration, and waits until none fires; gives their cursors."""
    def cursors():
        return {n: int(world.redis.hget(f"{{{t}}}:c", n) or 0) for n, t in SCHEDULES.items()}

    def has_stopped():
        before = cursors()
        time.sleep(3)
        return before == cursors() and before

    world.configure(lambda w: w.config(with_schedules=False))
    return wait_until(has_stopped, 60, "the schedules' end")


def read_log_lines(world, words):
    """The daemons' lines that name one of these words: {word: [line, …]}."""
    found = {w: [] for w in words}
    for process in world.processes.values():
        if re.match("ingress|worker|dispatcher", process.name) and process.log.exists():
            for line in open(process.log, errors="replace"):
                for word in words:
                    if word in line:
                        found[word].append(f"{process.name}: {line.strip()}")
    return found
