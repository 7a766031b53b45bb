# SPDX-License-Identifier: Apache-2.0
"""Ordering keys on the running system (protocol.md, "Order"): jobs of one key run one after the other, in the order in which they
were accepted, through retries, dead workers and holds; others wait for nobody. The rules one by one: test_order_rules.py."""
import time

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem, quiet, start, together

KEYS, EACH = 12, 50
QUICK = {"max_attempts": 20, "initial_s": 0.02, "max_s": 0.1}


@pytest.fixture(scope="module")
def stack(make_module_stack):
    return make_module_stack(lambda stack: config_of(stack, {
        "lines": {"retry": QUICK},
        "turns": {"retry": {**QUICK, "max_attempts": 2}, "in_doubt": {"policy": "hold"}, "timeouts": {"total_s": 20}},
        "small": {"instances": [{"name": "sample-1", "url": stack.tenant.url, "concurrency": 8}]}}), workers=3)


def accept(stack, path, tenant, key, **job):
    answer = stack.submit(path, tenant, body={}, ordering_key=key, **job)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def sequence(stack, prefix):
    """The receipts whose path begins so, in the order in which the tenant saw them."""
    return [r for r in stack.receipts() if r["path"].startswith(prefix)]


def nothing_is_left(stack, *tenants):
    """No place, no stored request; and in the end no copy in a shelf's queue either."""
    quiet(stack, timeout=60)
    for tenant in tenants:
        assert stack.redis.keys("{%s}:q*" % tenant) == []
        assert stack.redis.keys("{%s}:b:*" % tenant) == [] and stack.redis.zcard("{%s}:o" % tenant) == 0
        assert int(stack.redis.hget("{%s}:t" % tenant, "sb") or 0) == 0


def runs(stack, job_id):
    wait_until(lambda: any(r["job"] == job_id for r in stack.receipts()), 30, f"a receipt of {job_id}")


@pytest.mark.timeout_s(240)
def test_many_lines_each_in_its_order(stack):
    """Some answer 503 twice: those behind wait through the retries."""
    def line(k):
        return [accept(stack, f"/line/{k}/{n}?sleep_ms=1{'&fail_times=2' if n % 10 == 3 else ''}", "lines", f"customer {k}")
                for n in range(EACH)]

    ids = together(KEYS, line, range(KEYS))
    together(KEYS, lambda row: [stack.wait_job(i, "succeeded", timeout=120) for i in row], ids)
    for k in range(KEYS):
        seen = [int(r["path"].rpartition("/")[2]) for r in sequence(stack, f"/line/{k}/")]
        expected = [n for n in range(EACH) for _ in range(3 if n % 10 == 3 else 1)]
        assert seen == expected, (k, seen)
    nothing_is_left(stack, "lines")


def test_lines_do_not_overlap_and_others_wait_for_nobody(stack):
    first = accept(stack, "/overlap/a/0?sleep_ms=1500", "lines", "a")
    behind = [accept(stack, f"/overlap/a/{n}", "lines", "a") for n in (1, 2)]
    other = accept(stack, "/overlap/b", "lines", "b")
    keyless = stack.submit("/overlap/none", "lines", body={}).json()["id"]
    for job in (other, keyless):
        stack.wait_job(job, "succeeded")
    runs(stack, first)
    assert stack.job(first)["state"] == "running", "the other line and the job without a key waited for it"
    assert [stack.job(i)["state"] for i in behind] == ["queued", "queued"]
    assert stack.job(behind[0])["ordering_key"] == "a" and "ordering_key" not in stack.job(keyless)
    ended = [stack.wait_job(i, "succeeded") for i in [first, *behind]]
    times = [(d["attempts"][0]["started_at"], d["attempts"][0]["ended_at"]) for d in ended]
    assert all(a[1] <= b[0] for a, b in zip(times, times[1:])), times


def test_the_next_begins_at_once(stack):
    """The worker that ends a job publishes the next: the leader's look comes twice a second only."""
    ids = [accept(stack, f"/quick/{n}?sleep_ms=200", "lines", "quick") for n in range(2)]
    ids += [accept(stack, f"/quick/{n}", "lines", "quick") for n in range(2, 40)]
    began = time.monotonic()
    stack.wait_job(ids[-1], "succeeded", timeout=60)
    # 39 turns by the leader alone would take ten seconds and more, half of it on average each.
    assert time.monotonic() - began < 8


def test_a_synchronous_call_waits_for_its_turn(stack):
    first = accept(stack, "/sync/0?sleep_ms=600", "lines", "sync")
    answer = stack.call("POST", "/call/lines/sync/1", data=b"now", headers={"Sluice-Ordering-Key": '"sync"'})
    assert (answer.status_code, answer.text) == (200, "now")
    assert stack.job(first)["state"] == "succeeded"
    assert [r["path"] for r in sequence(stack, "/sync/")] == ["/sync/0", "/sync/1"]
    expect_problem(stack.call("POST", "/call/lines/sync/2", headers={"Sluice-Ordering-Key": "x" * 256}), 400, "invalid")
    expect_problem(stack.submit("/x", "lines", ordering_key="é" * 128), 400)
    expect_problem(stack.submit("/x", "lines", ordering_key=""), 400)


def test_a_delayed_job_takes_its_place_when_it_is_due(stack):
    later = accept(stack, "/due/later", "lines", "due", delay_s=1)
    now = accept(stack, "/due/now?sleep_ms=2500", "lines", "due")
    assert stack.job(later)["state"] == "scheduled"
    wait_until(lambda: stack.job(later)["state"] == "queued", 10)
    last = accept(stack, "/due/last", "lines", "due")
    for job in (now, later, last):
        stack.wait_job(job, "succeeded")
    assert [r["path"] for r in sequence(stack, "/due/")] == ["/due/now", "/due/later", "/due/last"]


def test_cancel_and_deadline_in_the_line(stack):
    first = accept(stack, "/leave/0?sleep_ms=2000", "lines", "leave")
    expired = accept(stack, "/leave/2", "lines", "leave", ttl_s=0.5)  # behind two it could be told that it is too late
    canceled = accept(stack, "/leave/1", "lines", "leave")
    last = accept(stack, "/leave/3", "lines", "leave")
    wait_until(lambda: stack.redis.hget("{lines}:j:" + last.partition(".")[2], "oo") == "1", 10, "the last is on the shelf")
    assert stack.call("GET", "/v1/dead?tenant=lines").json()["total"] == 0, "what waits for its turn is no dead letter"
    assert stack.call("DELETE", f"/v1/jobs/{canceled}").status_code == 200
    assert stack.wait_job(expired)["state"] == "expired" and stack.job(first)["state"] == "running"
    stack.wait_job(last, "succeeded")
    assert [r["path"] for r in sequence(stack, "/leave/")] == ["/leave/0", "/leave/3"]
    nothing_is_left(stack, "lines")


def test_a_dead_one_gives_up_its_place_and_a_redrive_goes_to_the_end(stack):
    dead = accept(stack, "/dead/0?fail_times=2", "turns", "dead")
    behind = [accept(stack, f"/dead/{n}", "turns", "dead") for n in (1, 2)]
    assert stack.wait_job(dead)["state"] == "failed"
    for job in behind:
        stack.wait_job(job, "succeeded")
    slow = accept(stack, "/dead/3?sleep_ms=1000", "turns", "dead")
    waits = accept(stack, "/dead/4", "turns", "dead")
    assert stack.call("POST", f"/v1/jobs/{dead}/retry").status_code == 200
    for job in (slow, waits, dead):
        stack.wait_job(job, "succeeded")
    assert [r["path"] for r in sequence(stack, "/dead/")] == ["/dead/0", "/dead/0", "/dead/1", "/dead/2", "/dead/3", "/dead/4", "/dead/0"]


def test_what_is_in_doubt_holds_its_key_and_not_its_tenant(stack):
    held = accept(stack, "/held/0?drop=1", "turns", "held")
    behind = accept(stack, "/held/1", "turns", "held")
    assert stack.wait_job(held)["state"] == "in_doubt"
    other = accept(stack, "/held/other", "turns", "another")
    stack.wait_job(other, "succeeded")
    assert stack.job(behind)["state"] == "queued"
    assert [r["path"] for r in sequence(stack, "/held/")] == ["/held/0", "/held/other"]
    answer = stack.call("POST", f"/v1/jobs/{held}/resolve", json={"state": "failed", "note": "looked"})
    assert answer.status_code == 200, answer.text
    stack.wait_job(behind, "succeeded")
    nothing_is_left(stack, "turns")


@pytest.mark.slow
@pytest.mark.timeout_s(240)
def test_lines_through_workers_that_are_killed(make_stack):
    """GET is sent again when its worker dies, POST is held by the policy: its line stands until it is resolved."""
    stack = make_stack(lambda stack: config_of(stack, {"sample": {"retry": QUICK}}, worker={"lease_s": 3, "concurrency": 32}),
                       workers=3)
    n_gets, n_posts = 6, 6

    def line(k):
        method = "GET" if k < n_gets else "POST"
        return [stack.submit(f"/kill/{k}/{n}?sleep_ms=40", method=method, ordering_key=str(k)).json()["id"] for n in range(EACH)]

    ids = together(12, line, range(n_gets + n_posts))
    for number in (1, 2, 1):
        seen = len(stack.receipts())
        wait_until(lambda: len(stack.receipts()) >= seen + 40 or len(stack.receipts()) >= 550, 60, "work under way")
        stack.kill(f"worker-{number}")
        stack.start(f"worker-{number}")
    resolved = set()

    def has_ended(row):
        """The line is followed to its end; what is held on the way is resolved."""
        while row:
            state = stack.job(row[0])["state"]
            if state == "in_doubt":
                assert all(stack.job(i)["state"] == "queued" for i in row[1:3]), "a held job did not hold its key"
                assert stack.call("POST", f"/v1/jobs/{row[0]}/resolve", json={"state": "succeeded"}).status_code == 200
                resolved.add(row[0])
            elif state != "succeeded":
                return False
            row.pop(0)
        return True

    rows = [list(row) for row in ids]
    wait_until(lambda: all([has_ended(row) for row in rows]), 150, "all lines at their ends", every=0.1)
    receipts = stack.receipts()
    for k, row in enumerate(ids):
        seen = [row.index(r["job"]) for r in receipts if r["path"].startswith(f"/kill/{k}/")]
        assert seen == sorted(seen), (k, seen)
        assert k < n_gets or len(seen) == len(set(seen)), "what was held was sent twice"
        assert set(range(EACH)) - set(seen) <= {row.index(j) for j in resolved if j in row}
    nothing_is_left(stack, "sample")


@pytest.mark.slow
@pytest.mark.timeout_s(240)
def test_a_line_longer_than_the_shelf(make_stack):
    """What finds no room goes round on the ladder, and is run in its turn all the same."""
    stack = make_stack(lambda stack: config_of(stack, {"sample": {}}, store={"shelf_max_bytes": 1000}), workers=1)
    ids = [accept(stack, f"/full/{n}?sleep_ms=300", "sample", "full") for n in range(12)]
    wait_until(lambda: stack.metric("sluice_shelf_full_total", "worker") > 0, 30, "a full shelf")
    assert int(stack.redis.hget("{sample}:t", "sb")) <= 2000
    began = time.monotonic()
    for job in ids:
        stack.wait_job(job, "succeeded", timeout=150)
    # Each that comes back in a minute would take a minute for the first of them alone.
    assert time.monotonic() - began < 40
    assert [r["path"] for r in sequence(stack, "/full/")] == [f"/full/{n}" for n in range(12)]
    nothing_is_left(stack, "sample")


@pytest.mark.slow
@pytest.mark.timeout_s(240)
@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
def test_a_line_and_many_dead_letters_after_a_total_loss(make_stack, queue_type):
    """More dead letters than the leader holds of the shelf's queue at a time: those behind them are found, too. A classic queue
    gives back what was returned before all else."""
    stack = make_stack(lambda stack: config_of(stack, {"sample": {"retry": {"max_attempts": 1}}}, worker={"lease_s": 3},
                                               broker={"queue_type": queue_type}), workers=1)
    n_dead = 130
    together(16, lambda n: accept(stack, f"/dead/{n}?fail_times=1", "sample", f"dead {n}"), range(n_dead))
    wait_until(lambda: stack.redis.zcard("{sample}:h") == n_dead, 60, "dead letters")
    ids = [accept(stack, f"/behind/{n}?sleep_ms={10 if n else 3000}", "sample", "behind") for n in range(3)]
    name = ids[-1].partition(".")[2]
    wait_until(lambda: stack.redis.hget("{sample}:j:" + name, "oo") == "1", 20, "the last is on the shelf")
    stack.redis.flushall()
    for job in ids:
        wait_until(lambda: stack.call("GET", f"/v1/jobs/{job}").status_code == 200, 90, f"a record of {job}")
        stack.wait_job(job, "succeeded", timeout=30)
    wait_until(lambda: stack.redis.zcard("{sample}:h") == n_dead, 90, "all dead letters are back")
    wait_until(lambda: sum(stack.queues()["sluice.sample.shelf"][:2]) == n_dead, 60, "a copy of each")


@pytest.mark.slow
@pytest.mark.timeout_s(240)
def test_a_line_after_a_total_loss(make_stack):
    """The shelf's queue has what waited for its turn: nobody ever attempted it, so it runs, one at a time."""
    stack = make_stack(lambda stack: config_of(stack, {"sample": {}}, worker={"lease_s": 3, "concurrency": 32}), workers=2)
    ids = [accept(stack, "/lost/0?sleep_ms=4000", "sample", "lost")]
    ids += [accept(stack, f"/lost/{n}?sleep_ms=100", "sample", "lost") for n in range(1, 8)]
    name = ids[-1].partition(".")[2]
    wait_until(lambda: stack.redis.hget("{sample}:j:" + name, "oo") == "1", 20, "the last is on the shelf")
    runs(stack, ids[0])
    stack.redis.flushall()
    for job in ids:
        wait_until(lambda: stack.call("GET", f"/v1/jobs/{job}").status_code == 200, 90, f"a record of {job}")
    ended = [stack.wait_job(i, "succeeded", timeout=90) for i in ids]
    receipts = sequence(stack, "/lost/")
    assert sorted(r["path"] for r in receipts) == sorted(f"/lost/{n}" for n in range(8)), "each once"
    assert receipts[0]["path"] == "/lost/0"
    times = sorted((d["attempts"][-1]["started_at"], d["attempts"][-1]["ended_at"]) for d in ended)
    assert all(a[1] <= b[0] for a, b in zip(times, times[1:])), times
    quiet(stack, timeout=60)
