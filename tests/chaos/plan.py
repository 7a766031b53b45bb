# SPDX-License-Identifier: Apache-2.0
"""The plan of a chaos run: from a seed, when which process is hurt how, and what each caller asks for.
Pure: the same seed gives the same plan."""
import random
from dataclasses import asdict, dataclass

# Longer than what worker and dispatcher are configured with (config.py): whoever is paused so long is
# declared dead, or loses the lead.
LEASE_S = 3
LEADER_LEASE_S = 2

INGRESSES = ("ingress", "ingress-2")
WORKERS = ("worker-1", "worker-2", "worker-3")
DISPATCHERS = ("dispatcher", "dispatcher-2")
# Those whose ways to broker and store lead through a proxy; the others have direct ones.
PROXIED = ("ingress", "worker-1", "dispatcher")
PROXIES = tuple(f"{name}-to-{party}" for name in PROXIED for party in ("broker", "store"))
# tenant -> instances. What "bridge" gets beyond one call at a time it drops, and "later" beyond what it may work on;
# "later" offloads most of its work, "paced" has a rate, a limit a customer, and answers that cool.
TENANTS = {"plain": ("plain-1", "plain-2"), "held": ("held-1", "held-2"), "capped": ("capped-1", "capped-2"),
           "bridge": ("bridge-1", "bridge-2", "bridge-3", "bridge-4"), "later": ("later-1", "later-2"),
           "paced": ("paced-1", "paced-2")}
INSTANCES = tuple(i for names in TENANTS.values() for i in names)
# One that hangs beyond its attempt's limit may see one call more than its own limit: not promised.
MAY_HANG = tuple(i for i in INSTANCES if not i.startswith(("bridge", "later")))
# What is said of them over HTTP, and taken back.
MAY_REST = ("plain", "paced", "later")
MAY_DRAIN = ("plain-1", "capped-2", "later-1", "paced-2")


def tenant_of(instance):
    return next(t for t, names in TENANTS.items() if instance in names)


OVERLAP = 2  # faults at a time
QUIET_BEFORE_S, QUIET_AFTER_S = 3.0, 4.0


@dataclass(frozen=True)
class Fault:
    at: float  # seconds after the load's begin
    kind: str
    target: str
    lasts: float  # 0: over at once

    @property
    def until(self):
        return self.at + self.lasts


# kind, weight, targets, least and most seconds. A broker takes some seconds to come up, by itself.
KINDS = (
    ("kill", 14, WORKERS, 0.1, 5.0),
    ("kill", 9, INGRESSES, 0.1, 4.0),
    ("kill", 8, DISPATCHERS, 0.1, 4.0),
    ("kill", 6, INSTANCES, 0.1, 3.0),
    ("kill", 5, ("redis",), 0.1, 4.0),
    ("kill", 4, ("rabbitmq",), 0.1, 3.0),
    ("pause", 12, WORKERS, 1.0, LEASE_S + 5.0),
    ("pause", 6, INGRESSES, 1.0, 7.0),
    ("pause", 6, DISPATCHERS, 1.0, LEADER_LEASE_S + 4.0),
    ("pause", 4, ("redis",), 0.5, 7.0),
    ("pause", 3, ("rabbitmq",), 0.5, 7.0),
    ("cut", 10, PROXIES, 0.0, 0.0),
    ("blackhole", 8, PROXIES, 1.0, 8.0),
    ("stop-reading", 4, PROXIES, 1.0, 6.0),
    ("stop", 4, INGRESSES + WORKERS + DISPATCHERS, 0.1, 2.0),
    ("hang", 3, MAY_HANG, 1.0, 8.0),
    ("rest", 5, MAY_REST, 0.5, 5.0),
    ("drain", 5, MAY_DRAIN, 0.5, 6.0),
)
# What these two cost, and how long they may take to come back.
DEAR = {("kill", "rabbitmq"): (25.0, 12.0), ("kill", "redis"): (12.0, 3.0), ("pause", "rabbitmq"): (15.0, 2.0)}


def faults_of(seed, seconds):
    """A list of Fault, by time. At most OVERLAP at once, never two of one target."""
    rng = random.Random(f"faults {seed}")
    found = []
    at = QUIET_BEFORE_S
    while at < seconds - QUIET_AFTER_S:
        kind, _, targets, least, most = rng.choices(KINDS, [k[1] for k in KINDS])[0]
        fault = Fault(round(at, 2), kind, rng.choice(targets), round(rng.uniform(least, most), 2))
        if fault.until < seconds - 1 and _fits(fault, found):
            found.append(fault)
            at += rng.uniform(0.3, 3.2)
        else:
            at += 0.2
    return found


def _end(fault):
    return fault.until + DEAR.get((fault.kind, fault.target), (0, 0.5))[1]


def _fits(fault, before):
    running = [f for f in before if _end(f) > fault.at]
    gap = DEAR.get((fault.kind, fault.target), (0, 0))[0]
    same = [f for f in before if (f.kind, f.target) == (fault.kind, fault.target)]
    return (len(running) < OVERLAP and fault.target not in [f.target for f in running]
            and not any(fault.at - f.at < gap for f in same))


# --- the load ---

# kind, weight. `copies` and the rest are drawn in request_of().
MIX = (
    ("async", 34), ("async-key", 14), ("sync", 20), ("sync-get", 5), ("sync-key", 6), ("wait", 6),
    ("delayed", 8), ("ttl", 2), ("cancel", 2), ("hangup", 1), ("call-async", 2),
)
SHARES = (("plain", 44), ("held", 22), ("capped", 10), ("bridge", 7), ("later", 8), ("paced", 9))
CUSTOMERS = 5
KEYED = ("async-key", "sync-key")
# Where nothing is held for a person: a held job would hold its line for ever.
ORDERED = ("async", "delayed")
LINES = 12
PRIORITIES = ("", "", "high", "normal", "low")


@dataclass(frozen=True)
class Request:
    """What one caller wants: sent `len(copies)` times if it has a key."""
    number: int
    kind: str
    tenant: str
    method: str
    path: str  # with query; it carries the nonce
    body: str
    key: str
    delay_s: float
    ttl_s: float
    wait_s: int
    copies: tuple  # (interface, seconds after the first)
    first: int  # the ingress that is tried first
    ordering_key: str = ""
    priority: str = ""
    customer: str = ""  # "paced" has a limit for each

    def as_dict(self):
        return asdict(self)


def nonce_of(seed, number):
    return f"n{seed}-{number}"


def _query(rng, tenant, kind):
    dice = rng.random()
    if tenant == "later" and dice > 0.3:
        # Most are polled, some posted as well, some posted only, to the port that load.py puts there.
        how = "" if dice < 0.75 else "&complete_at=PORT" if dice < 0.9 else "&complete_at=PORT&location=no"
        return f"?offload_ms={rng.randrange(50, 2500)}{how}"
    if tenant == "paced" and dice < 0.015:
        return "?fail_times=1&status=503&retry_after=1"  # it cools
    if dice < 0.004 and tenant in ("held", "plain"):
        return "?drop=1"  # the connection breaks after the request, always
    if dice < 0.02:
        return "?fail_times=1&status=503"  # answered; the retry policy decides
    if dice < 0.03 and kind != "sync-get":
        return "?status=404"  # the tenant's word is final
    slow = rng.random() < 0.3
    if not slow:
        return ""
    return f"?sleep_ms={rng.randrange(5, 30) if tenant == 'bridge' else rng.randrange(20, 180)}"


def request_of(seed, number):
    rng = random.Random(f"request {seed} {number}")
    kind = rng.choices([m[0] for m in MIX], [m[1] for m in MIX])[0]
    tenant = rng.choices([s[0] for s in SHARES], [s[1] for s in SHARES])[0]
    nonce = nonce_of(seed, number)
    interface = "jobs" if kind in ("async", "async-key", "delayed", "ttl", "cancel") else "call"
    copies = [(interface, 0.0)]
    if kind in KEYED:
        other = {"jobs": "call", "call": "jobs"}[interface]
        for _ in range(rng.choice((1, 1, 2))):
            copies.append((other if rng.random() < 0.25 else interface, rng.choice((0.0, 0.0, 0.05, 1.0, 6.0))))
    return Request(
        number=number, kind=kind, tenant=tenant, method="GET" if kind == "sync-get" else "POST",
        path=f"/w/{nonce}{_query(rng, tenant, kind)}",
        # Without a body the tenant answers with the job, the attempt and the path that it saw.
        body=f"echo {nonce}" if kind != "sync-get" and rng.random() < 0.15 else "",
        key=f"k-{nonce}" if kind in KEYED else "",
        delay_s=round(rng.uniform(1, 10), 1) if kind == "delayed" else 20.0 if kind == "cancel" else 0.0,
        ttl_s=round(rng.uniform(0.5, 3), 1) if kind == "ttl" else 0.0,
        wait_s=rng.randrange(1, 4) if kind == "wait" else 0,
        copies=tuple(copies), first=rng.randrange(2),
        ordering_key=f"line {number // 4 % LINES}" if tenant == "plain" and kind in ORDERED and number % 4 == 0 else "",
        priority=rng.choice(PRIORITIES) if interface == "jobs" else "",
        customer=f"c{number % CUSTOMERS}" if tenant == "paced" else "")


def text_of(seed, seconds, rate):
    lines = [f"seed {seed}, {seconds} s, {rate} requests/s"]
    lines += [f"  {f.at:7.2f}  {f.kind:<12} {f.target:<22} {f.lasts:.2f} s" for f in faults_of(seed, seconds)]
    return "\n".join(lines)
