# SPDX-License-Identifier: Apache-2.0
"""Situation A: bridges that take one call at a time and drop any second one; and a limit of a whole tenant that
holds while workers die in the middle of calls that the tenant goes on with.

The tenants measure: each counts what it dropped, its own high-water mark, and by its own clock the time in which it
was not idle."""
import threading
import time

from client import Request, send_all
from harness import wait_until
from harness.load import config_of
from report import Report

BACKLOG = 50
WORKERS = 20


def ended(stack, tenant, state="succeeded"):
    """As the workers count them; those of killed workers are not among it."""
    names = [n for n, p in stack.processes.items() if n.startswith("worker") and p.is_running]
    return int(sum(stack.metric("sluice_jobs_ended_total", n, tenant=tenant, state=state) for n in names))


def submit_all(stack, tenant, count, sleep_ms, method="POST"):
    requests = [Request(method, f"/call/{tenant}/job/{n}?sleep_ms={sleep_ms}", Prefer="respond-async")
                for n in range(count)]
    answers = send_all(stack.port_base, requests, 16)
    refused = [a.status for a in answers if a.status != 202]
    assert not refused, f"{len(refused)} jobs were not accepted: {refused[:5]}"
    return answers


def total(stats, name):
    return sum(s[name] for s in stats)


def watch_bridges(bridges, count):
    """The bridges' figures while work is there: from the first BACKLOG calls on until BACKLOG are left."""
    def received(least):
        stats = [b.stats() for b in bridges]
        return total(stats, "received") >= least and stats

    first = wait_until(lambda: received(BACKLOG), 120, "the first calls")
    last = wait_until(lambda: received(count - BACKLOG), 600, "nearly all calls", every=0.05)
    return [(b["busy_us"] - a["busy_us"]) / (b["clock_us"] - a["clock_us"]) for a, b in zip(first, last)]


def run_bridges(make_stack, small=False):
    count, sleep_ms, workers = (200, 100, 4) if small else (2000, 200, WORKERS)
    names = [f"bridge-{n}" for n in range(10)]

    def config(stack):
        instances = [{"name": n, "url": stack[n].url, "concurrency": 1} for n in names]
        return config_of(stack, {"bridge": {"instances": instances, "in_doubt": {"policy": "hold"}}})

    stack = make_stack(config, start=False, workers=workers)
    bridges = [stack.add_tenant(n, limit=1) for n in names]
    stack.start()
    report = Report("A: ten single-call bridges")
    begun = time.monotonic()
    submitter = threading.Thread(target=submit_all, args=(stack, "bridge", count, sleep_ms))
    submitter.start()
    ratios = watch_bridges(bridges, count)
    submitter.join()
    wait_until(lambda: total([b.stats() for b in bridges], "served") >= count, 120, "all calls")
    took = time.monotonic() - begun
    wait_until(lambda: ended(stack, "bridge") >= count, 30, "all ends recorded")
    stats = [b.stats() for b in bridges]
    report.must(total(stats, "dropped") == 0, f"{total(stats, 'dropped')} calls were dropped")
    report.must(total(stats, "received") == count, f"{total(stats, 'received')} calls of {count} jobs")
    report.must(max(s["peak"] for s in stats) == 1, "a bridge had two calls at once")
    report.must(ended(stack, "bridge") == count, f"{ended(stack, 'bridge')} of {count} jobs succeeded")
    report.figure("dropped calls", total(stats, "dropped"))
    report.figure("busy ratio, the idlest bridge", min(ratios) * 100, "%", (">=", 95))
    report.figure("busy ratio, mean", sum(ratios) / len(ratios) * 100, "%", (">=", 95))
    report.figure("all jobs", took, "s")
    report.figure("ideal", count * sleep_ms / 1000 / len(bridges), "s")
    return report


class Killer(threading.Thread):
    """Kills so many workers at once, again and again, and starts each anew."""

    def __init__(self, stack, workers, at_once, every_s):
        super().__init__(daemon=True)
        self.stack, self.at_once, self.every_s = stack, at_once, every_s
        self.workers = [f"worker-{n}" for n in range(1, workers + 1)]
        self.kills = 0
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.wait(self.every_s):
            start = self.kills % len(self.workers)
            victims = [self.workers[(start + k) % len(self.workers)] for k in range(self.at_once)]
            for name in victims:
                self.stack.kill(name)
                self.kills += 1
            for name in victims:
                self.stack[name].start(wait=False)


def run_limit(make_stack, small=False):
    count, sleep_ms, workers, kills = (300, 100, 4, (2, 2)) if small else (5000, 50, WORKERS, (5, 3))
    limit = 3 if small else 7

    def config(stack):
        backend = {"concurrency": limit, "in_doubt": {"policy": "retry"}, "retry": {"max_attempts": 20},
                   "instances": [{"name": "sample-1", "url": stack.tenant.url}],
                   "timeouts": {"first_byte_s": 2, "total_s": 2, "sync_s": 2}, "slot_linger_s": 0.2}
        return config_of(stack, {"capped": backend}, worker={"lease_s": 3})

    stack = make_stack(config, workers=workers)
    report = Report(f"A2: {workers} workers, limit {limit}, workers killed in the middle of calls")
    killer = Killer(stack, workers, *kills)
    begun = time.monotonic()
    submitter = threading.Thread(target=submit_all, args=(stack, "capped", count, sleep_ms))
    submitter.start()
    wait_until(lambda: stack.tenant.stats()["received"] >= BACKLOG, 60, "the first calls")
    killer.start()
    paths = set()
    wait_until(lambda: paths.update(r["path"] for r in stack.receipts()) or len(paths) >= count * 9 // 10, 600,
               "most jobs", every=0.25)
    killer.is_over.set()
    killer.join()
    submitter.join()
    wait_until(lambda: is_idle(stack), 120, "an idle stack", every=0.25)
    took = time.monotonic() - begun
    stats, receipts = stack.tenant.stats(), stack.receipts()
    reached = {r["path"] for r in receipts}
    report.must(stats["peak"] <= limit, f"the tenant's own high-water mark is {stats['peak']}, its limit {limit}")
    report.must(len(reached) == count, f"{len(reached)} of {count} jobs reached the tenant")
    report.must(not_succeeded(stack, "capped") == {}, f"ended otherwise: {not_succeeded(stack, 'capped')}")
    report.figure("high-water mark", stats["peak"], "", ("<=", limit))
    report.figure("workers killed", killer.kills)
    report.figure("calls sent again after a death", len(receipts) - len(reached))
    report.figure("all jobs", took, "s")
    report.figure("ideal without deaths", count * sleep_ms / 1000 / limit, "s")
    return report


def is_idle(stack):
    """Twice in a row, for /v1/scale may be two seconds old."""
    for _ in range(2):
        scale = stack.ask("/v1/scale").json()
        tenants = stack.ask("/v1/tenants").json()["tenants"].values()
        if scale["queued"] or scale["running"] or any(t["delayed"] for t in tenants):
            return False
        time.sleep(1.2)
    return True


def not_succeeded(stack, tenant):
    """{state: count} of the records that did not end well."""
    found = {}
    for key in stack.redis.scan_iter(f"{{{tenant}}}:j:*", count=1000):
        state = stack.redis.hget(key, "st")
        if state != "succeeded":
            found[state] = found.get(state, 0) + 1
    return found
