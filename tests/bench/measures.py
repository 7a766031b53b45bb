# SPDX-License-Identifier: Apache-2.0
"""What is measured: each measurement has its contenders, and takes one of them at a time; see MEASURES at the end."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time

import meter
from contenders import BROKER_OFFSET, REDIS_OFFSET, ROOT, Failed, Nginx, Peer, Sluice, ask

BIN = ROOT / "build/release/bin"


def setting(name, default):
    return int(os.environ.get(name, default))


def sizes(name, default):
    return sorted(int(word) for word in os.environ.get(name, default).split(","))


COUNT = setting("COUNT", 20000)
SECONDS = setting("SECONDS_EACH", 5)
HELD = setting("HELD", 10000)
DELAY_S = setting("DELAY_S", 10)
D_CALLERS, D_COUNT = 200, setting("D_COUNT", 2000)
BACKLOGS = sizes("BACKLOGS", "0,100000,1000000")
TENANTS = sizes("TENANTS", "1,100,1000")
WORKERS = sizes("WORKERS", "1,2,4,8")
BODIES = sizes("BODIES", "100,1024,102400,1048576")
# Per measurement of bodies, one way: what they leave behind must fit a Redis of 2 GB, in and out, for BODY_TTL_S.
BODIES_MIB = setting("BODIES_MIB", 64)
BODY_TTL_S = 15
CONCURRENCY = setting("CONCURRENCY", 256)
# Of the measurements of growth, which have Sluices only.
QUEUE_TYPE = os.environ.get("QUEUE_TYPE", "quorum")
# A backlog is a few KiB a job on disk: log, segments, append-only file.
BACKLOG_KIB = 8

# The names of the figures; the table's rows refer to them.
ASYNC = "async jobs/s"
OWN_CPU = "own CPU, s per 1,000 jobs"
ALL_CPU = "all CPU, s per 1,000 jobs"
BROKER_CPU = "the broker alone: its CPU, s per 1,000 messages"
SYNC = "sync calls/s at 64"
ONE_P50 = "sync p50 at 1, ms"
ONE_P99 = "sync p99 at 1, ms"
IDLE_CPU = "idle CPU, % of a core"
IDLE_MEMORY = "idle memory, MiB"
HELD_S = "held: seconds until all were answered"
HELD_ERRORS = "held: errors"
HELD_FRONT = "held: front, KiB a caller"
HELD_WORKER = "held: worker, KiB an attempt"
D_S = "d: seconds, of 100"
D_ERRORS = "d: errors"
BACKLOG = "async jobs/s before a backlog"
BACKLOG_OWN_CPU = "before a backlog: own CPU, s per 1,000 jobs"
BACKLOG_ALL_CPU = "before a backlog: all CPU, s per 1,000 jobs"
BACKLOG_MEMORY = "before a backlog: own memory, MiB"
MANY = "async jobs/s over many tenants"
MANY_OWN_CPU = "over many tenants: own CPU, s per 1,000 jobs"
MANY_ALL_CPU = "over many tenants: all CPU, s per 1,000 jobs"
MANY_MEMORY = "over many tenants: own memory, MiB"
MANY_IDLE = "over many tenants: idle CPU of all, % of a core"


class Load:
    """The load client. `busiest` is its share of a core where it had most to do: at 1 it would be what is measured."""
    busiest = 0.0

    def __init__(self, port, *words, bound_s=120):
        self.child = subprocess.Popen([BIN / "sluice-bench-load", f"--to=127.0.0.1:{port}", f"--bound={bound_s}",
                                       *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.bound_s, self.begun, self.before = bound_s, time.monotonic(), self.children_s()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    @staticmethod
    def children_s():
        """Processor time of the children that have ended: with one at a time, the client's."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def end(self):
        """The client's report. What was not answered within the bound is no failure: who needs all, counts."""
        try:
            out, error = self.child.communicate(timeout=self.bound_s + 30)
        except subprocess.TimeoutExpired as e:
            raise Failed("the load client does not end") from e
        if not out:
            raise Failed(f"the load client: {error.strip()}")
        Load.busiest = max(Load.busiest, (self.children_s() - self.before) / (time.monotonic() - self.begun))
        return json.loads(out)


def build():
    """The programs of a bench; deploy/up builds Sluice's."""
    targets = ["sluice-bench-load", "sluice-bench-broker", "sluice-sample-tenant"]
    for words in (["--preset", "release"], ["--build", "build/release", "--target", *targets]):
        subprocess.run(["cmake", *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def load(c, *words, bound_s=120):
    """Of which every request must be served."""
    with Load(c.port, f"--path={c.path}", f"--paths={c.paths}", *words, bound_s=bound_s) as client:
        said = client.end()
    if said["ok"] != said["requests"] or said["broken"] or not said["ok"]:
        raise Failed(f"not all were served: {json.dumps(said)}")
    return said


def tell_errors(c, count, said):
    if said["ok"] != count:
        print(f"  {c.name}: {said['ok']} of {count} were served; {said['statuses']}, {said['broken']} broken off",
              file=sys.stderr)


def load_tenant(address):
    """What the load client makes of the tenant itself: its own limit, or the tenant's."""
    with Load(int(address.split(":")[1]), "--path=/bench", f"--seconds={SECONDS}", "--connections=64") as client:
        return client.end()["rate"]


def press(c, *words):
    """A load of which nothing is asked; who does not stand it will not stand the next one."""
    with Load(c.port, f"--path={c.path}", f"--paths={c.paths}", *words) as client:
        client.end()


def warm_up(c):
    """A process that compiles what is hot, a pool of connections: thrown away."""
    press(c, "--count=3000")
    if c.has_async:
        press(c, "--async", "--await", "--count=5000")


def warm_up_queues(c):
    press(c, "--async", "--count=3000")


def touch(c):
    """Less, where its memory at rest is to be known."""
    press(c, "--count=200", "--connections=16")


def served(c):
    """How many calls the tenant has answered."""
    return ask(f"http://{c.tenant}/stats")["served"]


def wait_for(what, is_so, bound_s, step_s=0.01):
    end = time.monotonic() + bound_s
    while not is_so():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {bound_s} s")
        time.sleep(step_s)


def costs(c):
    """(processor time of its own processes, of the broker and the store)"""
    return meter.cpu_s(c.own_pids().values()), meter.cpu_s(c.engine_pids().values())


def per_1000(before, after, count):
    """(own, all), s per 1,000"""
    own, engines = (b - a for a, b in zip(before, after))
    return own * 1000 / count, (own + engines) * 1000 / count


# --- each with the default set of contenders ---

def measure_async(c):
    """From the first request until the last results are readable."""
    before, count = costs(c), served(c)
    said = load(c, "--async", "--await", f"--count={COUNT}", "--connections=64", bound_s=60 + COUNT // 50)
    own, everything = per_1000(before, costs(c), said["ok"])
    if served(c) - count < said["ok"]:
        raise Failed(f"the tenant had {served(c) - count} calls for {said['ok']} jobs")
    return {ASYNC: said["ok"] / said["done_seconds"], OWN_CPU: own, ALL_CPU: everything}


def measure_sync(c):
    return {SYNC: load(c, f"--seconds={SECONDS}", "--connections=64")["rate"]}


def measure_one(c):
    said = load(c, f"--seconds={SECONDS}", "--connections=1")
    return {ONE_P50: said["p50_ms"], ONE_P99: said["p99_ms"]}


def measure_idle(c):
    pids = c.own_pids().values()
    before, begun = meter.cpu_s(pids), time.monotonic()
    time.sleep(10)
    return {IDLE_CPU: (meter.cpu_s(pids) - before) * 100 / (time.monotonic() - begun),
            IDLE_MEMORY: meter.pss_kib(pids) / 1024}


def measure_d(c):
    """Situation D, blocking: 200 connections, 2,000 requests, a tenant that takes 10 s: 100 s, were there nothing between
    them."""
    with Load(c.port, f"--path=/call/sample/d?sleep_ms={DELAY_S * 1000}", f"--connections={D_CALLERS}",
              f"--count={D_COUNT}", bound_s=D_COUNT // D_CALLERS * DELAY_S * 2 + 60) as callers:
        said = callers.end()
    tell_errors(c, D_COUNT, said)
    ideal = D_COUNT / D_CALLERS * DELAY_S
    return {D_S: said["seconds"] * 100 / ideal, D_ERRORS: D_COUNT - said["ok"]}


# --- each with contenders of its own ---

def measure_held(c):
    """All callers at once on a tenant that takes 10 s. Memory is against that of the idle process, before its first
    load: what it keeps of an earlier round counts."""
    if not hasattr(c, "idle_kib"):
        c.idle_kib = meter.pss_kib(c.front_pids()), meter.pss_kib(c.worker_pids())
    most = 0
    front = worker = 0
    with Load(c.port, f"--path=/call/sample/held?sleep_ms={DELAY_S * 1000}", f"--connections={HELD}",
              f"--count={HELD}", bound_s=DELAY_S * 2 + 60) as callers:
        while callers.child.poll() is None:
            running = ask(f"http://{c.tenant}/stats")["running"]
            if running > most:
                most, front, worker = running, meter.pss_kib(c.front_pids()), meter.pss_kib(c.worker_pids())
            time.sleep(0.25)
        said = callers.end()
    tell_errors(c, HELD, said)
    found = {HELD_S: said["seconds"], HELD_ERRORS: HELD - said["ok"], HELD_FRONT: (front - c.idle_kib[0]) / HELD}
    if c.worker_pids():
        found[HELD_WORKER] = (worker - c.idle_kib[1]) / max(1, most)
    return found


def measure_backlog(c):
    """The queue is worked off while as many jobs are added: COUNT accepted and COUNT answered by the tenant, whatever
    is later, so that an empty queue and a long one do the same work."""
    try:
        if c.backlog:
            c.say("POST", "/v1/tenants/sample/resume")
            begun = served(c)
            wait_for("the backlog moves", lambda: served(c) > begun + 100, 60)
        before, count, begun = costs(c), served(c), time.monotonic()
        accepted = load(c, "--async", f"--count={COUNT}", "--connections=64")["ok"]
        wait_for("the jobs are worked off", lambda: served(c) >= count + accepted, 300)
        took, worked = time.monotonic() - begun, served(c) - count
        # What was worked off beyond that is work, too.
        own, everything = per_1000(before, costs(c), max(accepted, worked))
        return {BACKLOG: accepted / took, BACKLOG_OWN_CPU: own, BACKLOG_ALL_CPU: everything,
                BACKLOG_MEMORY: meter.pss_kib(c.own_pids().values()) / 1024}
    finally:
        if c.backlog:
            c.say("POST", "/v1/tenants/sample/pause")


def measure_many(c):
    """Jobs for all tenants in turn, each with queues of its own."""
    before, begun = sum(costs(c)), time.monotonic()
    time.sleep(5)
    idle = (sum(costs(c)) - before) * 100 / (time.monotonic() - begun)
    before, count, begun = costs(c), served(c), time.monotonic()
    accepted = load(c, "--async", f"--count={COUNT}", "--connections=64")["ok"]
    wait_for("the jobs are worked off", lambda: served(c) >= count + accepted, 300)
    took = time.monotonic() - begun
    own, everything = per_1000(before, costs(c), accepted)
    return {MANY: accepted / took, MANY_OWN_CPU: own, MANY_ALL_CPU: everything, MANY_IDLE: idle,
            MANY_MEMORY: meter.pss_kib(c.own_pids().values()) / 1024}


def measure_bodies(c):
    """There and, since the tenant answers with what it got, back."""
    found = {}
    for size in BODIES:
        count = max(64, min(COUNT, BODIES_MIB * 1048576 // size))
        words = [f"--body={size}", f"--count={count}", "--connections=64"]
        found[f"sync calls/s at 64, {size} bytes"] = load(c, *words)["rate"]
        if c.has_async:
            said = load(c, "--async", "--await", *words)
            found[f"async jobs/s, {size} bytes"] = said["ok"] / said["done_seconds"]
        time.sleep(BODY_TTL_S if size * count > 32 * 1048576 else 1)
    return found


def measure_workers(c):
    found = {}
    for workers in WORKERS:
        c.scale_workers(workers)
        warm_up(c)
        row = measure_async(c)
        found |= {(f"by workers: {what}", f"{workers} workers"): value for what, value in row.items()}
    return found


# --- who takes part ---

def plain(make, names):
    settings = {"sluice-quorum": {}, "sluice-classic": {"queue_type": "classic"},
                "sluice-strict": {"durability": "strict"}}
    peers = ("node-quorum", "node-classic", "bullmq", "celery")
    made = [make(Sluice, name, concurrency=CONCURRENCY, **settings[name]) for name in names if name in settings]
    made += [make(Peer, name, CONCURRENCY=str(CONCURRENCY)) for name in names if name in peers]
    return [*made, make(Nginx, "nginx")]


def floors(make, names):
    """For a measurement that takes minutes: the first Sluice, and nginx."""
    return plain(make, [n for n in names if n.startswith("sluice")][:1])


def held(make, names):
    """Nobody waits in a queue; one process of each, as in all measurements. nginx holds two descriptors a caller."""
    made = [make(Sluice, "sluice-quorum", concurrency=HELD + 100)] if "sluice-quorum" in names else []
    made += [make(Peer, "node-quorum", CONCURRENCY=str(HELD))] if "node-quorum" in names else []
    return [*made, make(Nginx, "nginx")]


def fill(c, count):
    """Jobs of the tenant that wait in its queue, accepted while the tenant is paused."""
    c.say("POST", "/v1/tenants/sample/pause")
    time.sleep(2)  # the ingress and the worker hear of it
    load(c, "--async", f"--count={count}", "--connections=64", bound_s=60 + count // 500)
    used = meter.redis_used(c.port + REDIS_OFFSET) / 1048576
    print(f"  {c.name}: filled; {used:.0f} MiB in Redis", file=sys.stderr)


class Backlogged(Sluice):
    """A Sluice before a backlog. Between two measurements the tenant is paused, so that it stands."""

    def start(self):
        self.backlog = self.settings["backlog"]
        free = shutil.disk_usage(self.dir.parent).free
        if free < self.backlog * BACKLOG_KIB * 1024 + (2 << 30):
            raise Failed(f"{self.name}: {free >> 30} GiB free on disk are too few")
        super().start()
        warm_up(self)  # before there is a queue to wait in
        if self.backlog:
            fill(self, self.backlog)


def backlogs(make, names):
    del names
    settings = {"queue_type": QUEUE_TYPE, "concurrency": CONCURRENCY, "keys": {"max_queue": 100000000}}
    return [make(Backlogged, f"{n} waiting", backlog=n, **settings) for n in BACKLOGS]


def many(make, names):
    del names
    return [make(Sluice, f"{n} tenants", tenants=n, queue_type=QUEUE_TYPE, concurrency=CONCURRENCY) for n in TENANTS]


def bodies(make, names):
    made = [make(Sluice, "sluice-quorum", concurrency=CONCURRENCY,
                 keys={"result_ttl_s": BODY_TTL_S, "sync_result_ttl_s": 1})] if "sluice-quorum" in names else []
    made += [make(Peer, name, CONCURRENCY=str(CONCURRENCY), RESULT_TTL_S=str(BODY_TTL_S))
             for name in ("node-quorum", "bullmq") if name in names]
    return [*made, make(Nginx, "nginx")]


def workers(make, names):
    del names
    return [make(Sluice, f"sluice-{QUEUE_TYPE}", queue_type=QUEUE_TYPE, concurrency=CONCURRENCY)]


class Measure:
    """together: its contenders stand side by side, and a round takes each in turn. Else each is started for each of its
    measurements: a thousand tenants' queues keep a broker busy even when nothing is in them."""

    def __init__(self, take, who, is_default=True, together=True, needs_async=False, warm=warm_up):
        self.take, self.who, self.is_default = take, who, is_default
        self.together, self.needs_async, self.warm = together, needs_async, warm


MEASURES = {
    "async": Measure(measure_async, plain, needs_async=True),
    "sync": Measure(measure_sync, plain),
    "one": Measure(measure_one, plain),
    "idle": Measure(measure_idle, plain),
    "held": Measure(measure_held, held, warm=touch),
    "workers": Measure(measure_workers, workers, is_default=False, warm=touch),
    "bodies": Measure(measure_bodies, bodies, is_default=False),
    "d": Measure(measure_d, floors, is_default=False, warm=touch),
    "backlog": Measure(measure_backlog, backlogs, is_default=False, warm=None),
    "tenants": Measure(measure_many, many, is_default=False, together=False, warm=warm_up_queues),
}


def measure_broker(c, queue_type):
    """What a RabbitMQ carries by itself: c's."""
    words = ["--classic"] if queue_type == "classic" else []
    pids = [c.engine_pids()["rabbitmq"]]
    before = meter.cpu_s(pids)
    done = subprocess.run([BIN / "sluice-bench-broker", f"--port={c.port + BROKER_OFFSET}", f"--count={COUNT}", *words],
                          capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise Failed(f"the broker alone: {done.stderr.strip()}")
    return {ASYNC: json.loads(done.stdout)["rate"], BROKER_CPU: (meter.cpu_s(pids) - before) * 1000 / COUNT}
