# SPDX-License-Identifier: Apache-2.0
"""Situation B: Black Friday. A capped integration tenant gets more than it can take; a second instance is added on the
fly. Asynchronous jobs are done exactly once, those with an ordering key in order; waiting callers are served meanwhile;
a timer fires once although there are two dispatchers, of which one dies; the rate that protects what is downstream is
never exceeded."""
import time
from datetime import datetime

from client import Request, percentile, send_chains, send_steadily
from bridges import is_idle
from harness import wait_until
from harness.load import by_path, config_of, start
from report import Report

KEYS = 20
NODE = {"concurrency": 10}
SLEEP_MS = 100
RATE = {"limit": 150, "period_s": 1, "burst": 15}
SYNC_PER_S = 10
TICK = {"cron": "* * * * * *", "timezone": "UTC", "overlap": "allow", "catch_up": "all",
        "job": {"tenant": "clock", "request": {"method": "POST", "path": "/tick"}}}


def config(stack):
    # `hold`: nothing is ever sent twice.
    tenant = {"instances": [{"name": "node-1", "url": stack["node-1"].url, **NODE}], "rate": RATE, "apis": ["/flow"],
              "in_doubt": {"policy": "hold"}, "timeouts": {"total_s": 30, "sync_s": 30}, "sync_result_ttl_s": 600}
    return config_of(stack, {"integration": tenant, "clock": {"in_doubt": {"policy": "retry"}}}, {"tick": TICK},
                     dispatcher={"leader_lease_s": 2})


def job(number, key=None):
    path = f"/message/{key or 'any'}/{number}"
    document = {"tenant": "integration", "request": {"method": "POST", "path": f"{path}?sleep_ms={SLEEP_MS}"},
                "idempotency_key": path}
    return Request("POST", "/v1/jobs", {**document, **({"ordering_key": key} if key else {})}, label=path)


def backlog(count):
    """A fifth of the jobs is in order, and every tenth is sent twice."""
    per_key = count // 5 // KEYS
    ordered = [[job(n, f"customer-{k}") for n in range(per_key)] for k in range(KEYS)]
    free = [[job(n) for n in range(chain, count - per_key * KEYS, 12)] for chain in range(12)]
    repeats = [[request for request in chain[::10]] for chain in free]
    return ordered, free, repeats


def rate_excess_ms(times):
    """How far the claims, by the store's clock, ran ahead of the rate, in ms beyond the burst."""
    each = RATE["period_s"] * 1000 / RATE["limit"]
    tat, worst = 0, 0
    for t in sorted(times):
        tat = max(tat, t) + each
        worst = max(worst, tat - t - (RATE["burst"] + 1) * each)
    return worst


def claim_times(stack, tenant):
    return [int(stack.redis.hget(key, "sa") or 0) for key in stack.redis.scan_iter(f"{{{tenant}}}:j:*", count=1000)]


def judge_jobs(report, receipts, ordered, free):
    found = by_path(receipts)
    wanted = [r.label for chain in ordered + free for r in chain]
    counts = {path: len(found.get(path, [])) for path in wanted}
    report.must(all(n == 1 for n in counts.values()),
                f"{sum(n == 0 for n in counts.values())} jobs never ran, {sum(n > 1 for n in counts.values())} twice or more")
    out_of_order = 0
    for chain in ordered:
        places = {path: n for n, path in enumerate(r.label for r in chain)}
        seen = [places[r["path"]] for r in receipts if r["path"] in places]
        out_of_order += seen != sorted(seen)
    report.must(out_of_order == 0, f"{out_of_order} of {len(ordered)} ordering keys ran out of order")


def judge_ticks(report, receipts):
    ticks = [r["scheduled_time"] for r in receipts if r["path"] == "/tick"]
    seconds = sorted(datetime.fromisoformat(t.replace("Z", "+00:00")).timestamp() for t in set(ticks))
    report.must(len(ticks) == len(set(ticks)), f"{len(ticks) - len(set(ticks))} instants fired more than once")
    missing = int(seconds[-1] - seconds[0]) + 1 - len(seconds)
    report.must(missing == 0, f"{missing} instants between the first and the last did not fire")
    report.figure("timer: instants, each fired once", len(seconds))


def rate_of(times, since, until):
    return sum(since <= t < until for t in times) / (until - since) * 1000


def leader(stack):
    names = [n for n, p in stack.processes.items() if n.startswith("dispatcher") and p.is_running]
    return next((n for n in names if stack.metric("sluice_leader", n) == 1), None)


def add_node(stack, dispatcher):
    """Returns when (wall clock, ms) the second instance was there."""
    answer = stack.http.put(f"{stack[dispatcher].url}/v1/tenants/integration/instances/node-2",
                            json={"url": stack["node-2"].url, **NODE}, timeout=10)
    assert answer.status_code in (200, 201), f"{answer.status_code} {answer.text}"
    return time.time() * 1000


def run(make_stack, small=False):
    count, workers, alone_s = (500, 2, 2) if small else (3000, 4, 8)
    stack = make_stack(config, start=False, workers=workers, dispatchers=2)
    nodes = [stack.add_tenant(name) for name in ("node-1", "node-2")]
    stack.start()
    report = Report("B: Black Friday on a capped tenant")
    ordered, free, repeats = backlog(count)
    wait_until(lambda: stack.receipts(path="/tick"), 30, "the first fire")
    is_over = []
    callers = start(send_steadily, stack.port_base, lambda n: Request("GET", f"/flow/{n}?sleep_ms={SLEEP_MS}"), SYNC_PER_S,
                    lambda: is_over)
    try:
        instants = send_and_add(stack, ordered + free, repeats, alone_s)
    finally:
        is_over.append(True)
    answers = [a for _, a in callers.result(60)]
    wait_until(lambda: is_idle(stack), 60, "an idle stack")
    judge(stack, report, nodes, answers, (ordered, free), instants)
    return report


def send_and_add(stack, chains, repeats, alone_s):
    """The backlog, and under it a second instance and the death of the dispatcher that leads. When it all began, and
    when the instance was there."""
    begun = time.time() * 1000
    accepted = send_chains(stack.port_base, chains) + send_chains(stack.port_base, repeats)
    statuses = {a.status for chain in accepted for a in chain}
    assert statuses == {202}, f"jobs were answered with {sorted(statuses)}"
    wait_until(lambda: time.time() * 1000 > begun + alone_s * 1000, 60)
    victim = wait_until(lambda: leader(stack), 10, "a leader")
    added = add_node(stack, victim)
    stack.kill(victim)
    messages = sum(len(chain) for chain in chains)
    wait_until(lambda: sum(r["path"].startswith("/message/") for r in stack.receipts()) >= messages, 300, "all jobs",
               every=0.2)
    stack.start(victim)
    return begun, added


def judge(stack, report, nodes, answers, chains, instants):
    receipts = stack.receipts()
    begun, added = instants
    calls = [r for r in receipts if r["instance"].startswith("node-")]
    late = [r["time"] for r in calls if r["instance"] == "node-2"]
    times = [r["time"] for r in calls]
    last = max(r["time"] for r in calls if r["path"].startswith("/message/"))
    bad = sorted({a.status for a in answers} - {200})
    report.must(not bad, f"waiting callers were answered with {bad}")
    report.must(all(n.stats()["peak"] <= NODE["concurrency"] for n in nodes),
                f"high-water marks {[n.stats()['peak'] for n in nodes]}, limit {NODE['concurrency']}")
    excess = rate_excess_ms(claim_times(stack, "integration"))
    report.must(excess <= 2, f"the rate was exceeded: claims were {excess:.0f} ms ahead of it")
    report.must(late, "the added instance got nothing")
    by_node = {a.headers.get("x-instance") for a in answers if a.status == 200}
    report.must(by_node == {"node-1", "node-2"}, f"waiting callers were served by {by_node}")
    judge_jobs(report, receipts, *chains)
    judge_ticks(report, receipts)
    report.figure("calls/s with one instance", rate_of(times, begun + 1000, added), "calls/s")
    report.figure("calls/s once the second is there", rate_of(times, added + 1000, max(last, added + 1001)), "calls/s")
    report.figure("the rate's limit", RATE["limit"] / RATE["period_s"], "calls/s")
    report.figure("first call of the added instance after", (min(late) - added) / 1000 if late else float("nan"), "s",
                  ("<=", 2))
    report.figure("waiting callers", len(answers))
    report.figure("waiting callers: p50", percentile([a.seconds for a in answers], 50), "s")
    report.figure("waiting callers: p99", percentile([a.seconds for a in answers], 99), "s")
