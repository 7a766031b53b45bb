# SPDX-License-Identifier: Apache-2.0
"""Parking: the delay ladder keeps its times, also over kills of the broker, and nothing but what runs is held
unacknowledged, whoever waits for whatever. The long tests are the issue's acceptance."""
import http.client
import json
import threading
import time
from datetime import datetime

import pytest

from harness import wait_until
from harness.load import by_path, config_of, is_ready, quiet, together
from points import point

DAEMONS = ("ingress", "worker-1", "dispatcher")
YEAR_S = 365 * 86400
HOLD_S = 2  # how long a worker keeps what finds no slot (REFUSED_HOLD_MS)


def config(stack, tenants=None, **more):
    return config_of(stack, tenants or {"sample": {}}, worker={"lease_s": 10, **more}, dispatcher={"leader_lease_s": 2})


def created_ms(job):
    """By the store's clock, which is this machine's."""
    return datetime.fromisoformat(job["created_at"].replace("Z", "+00:00")).timestamp() * 1000


def lateness(stack, jobs):
    """{id: s after its due time}, of {id: delay in s}; each was called exactly once."""
    documents = together(16, stack.job, list(jobs))
    receipts = {}
    for receipt in stack.receipts():
        receipts.setdefault(receipt["job"], []).append(receipt)
    assert {i: len(receipts.get(i, [])) for i in jobs} == {i: 1 for i in jobs}
    return {d["id"]: (receipts[d["id"]][0]["time"] - created_ms(d)) / 1000 - jobs[d["id"]] for d in documents}


def submit_delayed(stack, delays, prefix="/delayed"):
    """{id: delay} of what was accepted; every answer must be a 202."""
    answers = together(16, lambda d: stack.submit(f"{prefix}/{d[0]}", delay_s=d[1]), list(enumerate(delays)))
    assert {a.status_code for a in answers} == {202}
    return {a.json()["id"]: delay for a, delay in zip(answers, delays)}


def submit_failing(stack, n):
    """Its first call fails, and is to be repeated after n seconds. (A 500: a 503 would cool the instance down, for all jobs.)"""
    return stack.submit(f"/fail/{n}?fail_times=1&status=500&retry_after={n}", method="GET").json()["id"]


@pytest.mark.timeout_s(180)
def test_delays_are_kept_to_a_second(make_stack):
    """From 0.1 s to 20 s: none early, each within a second."""
    stack = make_stack(config)
    delays = [0.1, 0.125, 0.126, 0.25, 0.5, 0.9, 1, 1.1, 2, 3.3, 4, 5.7, 7.9, 8, 10, 12.3, 15.9, 16, 18, 20]
    jobs = submit_delayed(stack, delays)
    together(16, lambda i: stack.wait_job(i, "succeeded", timeout=40), list(jobs))
    late = lateness(stack, jobs)
    assert min(late.values()) >= -0.001 and max(late.values()) < 1, sorted((jobs[i], round(l, 3)) for i, l in late.items())
    quiet(stack)


def test_retries_are_kept_to_a_second(make_stack):
    """What a tenant asks for with Retry-After is a floor; a backoff is full jitter below its bound."""
    stack = make_stack(lambda s: config(s, {"sample": {"retry": {"initial_s": 0.1, "factor": 1, "max_s": 0.1}}}))
    waits = [1, 2, 3, 5, 8]
    jobs = [submit_failing(stack, n) for n in waits]
    for job, seconds in zip(jobs, waits):
        first, second = stack.wait_job(job, "succeeded", timeout=30)["attempts"]
        ended, began = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (first["ended_at"], second["started_at"]))
        assert -0.002 <= (began - ended).total_seconds() - seconds < 1.0, (seconds, first, second)
    quiet(stack)


def test_a_year_stands_on_the_ladder(make_stack):
    stack = make_stack(config)
    delays = [YEAR_S, YEAR_S - 1, 30 * 86400]
    jobs = list(submit_delayed(stack, delays))
    highest = [(round(d * 8) - 1).bit_length() - 1 for d in delays]

    def stand():
        rows = stack.queues()
        return all(rows[f"sluice.delay.{level}"][0] == highest.count(level) for level in set(highest))

    wait_until(stand, 15, "on the ladder's rungs")
    assert {d["state"] for d in map(stack.job, jobs)} == {"scheduled"}
    assert [stack.call("DELETE", f"/v1/jobs/{job}").status_code for job in jobs] == [200] * 3
    assert stack.receipts() == [] and is_ready(stack, *DAEMONS)


@pytest.mark.slow
@pytest.mark.timeout_s(240)
@point("broker_killed_with_delays")
def test_delays_survive_a_broker_that_is_killed(make_stack):
    """Before they are due, and while some are: none early, none lost, none twice; those due later are within a second."""
    stack = make_stack(config, private=True)
    time.sleep(3)  # RabbitMQ 3.10: a quorum queue younger than that may lose its leader in a kill
    jobs = submit_delayed(stack, [2, 4, 6, 8, 25, 30, 40, 41.5, 43.1, 45])
    time.sleep(3)
    stack.kill("rabbitmq")
    stack.start("rabbitmq")
    wait_until(lambda: is_ready(stack, *DAEMONS), 60)
    up = time.time()
    together(10, lambda i: stack.wait_job(i, "succeeded", timeout=90), list(jobs))
    late = lateness(stack, jobs)
    assert min(late.values()) >= -0.001, late
    made = {i: created_ms(stack.job(i)) / 1000 for i in jobs}
    # What was on the ladder waits its rung's time anew when the broker has forgotten how long it had waited.
    assert all(late[i] < max(2, up - (made[i] + jobs[i]) + 2) for i in jobs), late
    quiet(stack)


# --- nothing but what runs is held ---------------------------------------------------------------

class Watch:
    """Samples what the worker has in hand and what of it runs. (The broker's own figures of a quorum queue are up to five
    seconds old; it judges by its timeout.)"""

    def __init__(self, stack):
        self.stack = stack
        self.samples = []  # (time, in hand, running)

    def look(self):
        held, running = (self.stack.metric(f"sluice_worker_{name}", "worker-1") for name in ("in_hand", "running"))
        self.samples.append((time.monotonic(), held, running))

    def longest_excess_s(self):
        """How long, at most, more was held than ran, without a moment in between in which it was not so."""
        longest = began = 0
        for at, held, running in self.samples:
            began = began or at if held > running else 0
            longest = max(longest, at - began if began else 0)
        return longest


def hold_nothing(make_stack, timeout_s, out_s):
    """The broker's consumer timeout is timeout_s, and it looks each twelfth of it; the tenant is out for out_s."""
    stack = make_stack(lambda s: config(s, {"sample": {"retry": {"initial_s": 1, "max_s": 20, "max_attempts": 5}}}),
                       private=True, start=False).start_parts()
    stack.broker.ctl("eval", "[application:set_env(rabbit, K, V) || {K, V} <- "
                             f"[{{consumer_timeout, {timeout_s * 1000}}}, {{channel_tick_interval, {timeout_s * 1000 // 12}}}]].")
    stack.start()
    # That the timeout is in force: one who holds for longer loses its channel.
    control = stack.amqp()
    channel = control.channel()
    channel.queue_declare("control", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", "control", b"x")
    channel.basic_consume("control", lambda *_: None)
    retried = [submit_failing(stack, n) for n in range(1, 21)]
    wait_until(lambda: len(stack.receipts()) == 20, 20)
    stack.tenant.stop()
    jobs = retried + [stack.submit(f"/job/{n}").json()["id"] for n in range(180)]
    watch = Watch(stack)
    end = time.monotonic() + out_s
    while time.monotonic() < end:
        watch.look()
        control.process_data_events(0)
        time.sleep(0.2)
    assert channel.is_closed, "the control's channel was not closed: the timeout is not in force"
    control.close()
    with stack.amqp() as connection:
        connection.channel().queue_delete("control")
    assert {stack.job(i)["state"] for i in jobs} <= {"waiting", "queued"}
    stack.tenant.start()
    assert {d["state"] for d in together(8, lambda i: stack.wait_job(i, "succeeded", timeout=90), jobs)} == {"succeeded"}
    quiet(stack)
    log = (stack.parts.directory / "log/rabbitmq.log").read_text(errors="replace")
    assert log.count("has timed out waiting for delivery acknowledgement") == 1, "closed: the control's alone"
    assert "id=consumer_lost" not in stack["worker-1"].text() and "id=broker_lost" not in stack["worker-1"].text()
    counts = {job: len(stack.receipts(job=job)) for job in jobs}
    # The tenant's new process has forgotten whom it has failed: a second time.
    assert counts == {job: 3 if job in retried else 1 for job in jobs}
    # A hold, the giving back, which the broker confirms, and the hold of what came in between: an upper bound of what one
    # delivery is held. (Without the rule it is the whole time, and the broker closes the channel.)
    assert watch.longest_excess_s() < HOLD_S + 8
    assert len(watch.samples) >= out_s


@pytest.mark.slow
@pytest.mark.timeout_s(240)
@point("broker_consumer_timeout")
def test_a_tenant_that_is_out_holds_nothing(make_stack):
    """In short: a timeout of 12 s, and a tenant that is out for 40."""
    hold_nothing(make_stack, timeout_s=12, out_s=40)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout_s(420)
@point("broker_consumer_timeout")
def test_a_tenant_that_is_out_for_three_minutes_holds_nothing(make_stack):
    hold_nothing(make_stack, timeout_s=60, out_s=190)


# --- the acceptance ------------------------------------------------------------------------------

MANY = 10000
OUTAGES = 2
P99_S = 2
RECOVERY_S = 10
PACE = MANY / 60


class Outages:
    """When the broker was away: from its kill until everything was ready again, and the recovery's backlog."""

    def __init__(self):
        self.spans = []

    def suffer(self, stack):
        began = time.time()
        stack.kill("rabbitmq")
        stack.start("rabbitmq")
        wait_until(lambda: is_ready(stack, *DAEMONS), 90)
        self.spans.append((began, time.time() + RECOVERY_S))

    def touches(self, due, fired):
        """Whether between its due time and its call the broker was away or recovering."""
        return any(began <= fired and due <= end for began, end in self.spans)


def delay_of(n):
    """1 s to 30 s, spread."""
    return round(1 + (n * 7919 % 29000) / 1000, 3)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout_s(600)
@point("broker_killed_with_delays")
def test_ten_thousand_delayed_jobs_while_the_broker_is_killed_twice(make_stack):
    """All fire, none early; the 99th percentile within 2 s, outages and their recovery apart."""
    stack = make_stack(config, private=True)
    time.sleep(3)  # as above
    accepted = {}
    local = threading.local()
    began = time.monotonic()

    def ask(n):
        """(status, body), without the harness's checks: they would take most of the machine."""
        if not hasattr(local, "to"):
            local.to = http.client.HTTPConnection("127.0.0.1", stack["ingress"].port, timeout=60)
        body = json.dumps({"tenant": "sample", "request": {"method": "POST", "path": f"/many/{n}"}, "delay_s": delay_of(n)})
        local.to.request("POST", "/v1/jobs", body, {"Content-Type": "application/json", "Idempotency-Key": f"many-{n}"})
        answer = local.to.getresponse()
        return answer.status, answer.read()

    def submit(n):
        """A caller that repeats with its key until it is accepted. Spread over a minute, so that much is due outside outages."""
        time.sleep(max(0.0, began + n / PACE - time.monotonic()))
        while True:
            status, body = ask(n)
            if status == 202:
                accepted[json.loads(body)["id"]] = n
                return
            assert status in (409, 503), body
            time.sleep(0.5)

    outages = Outages()
    killer = threading.Thread(target=lambda: [outages.suffer(stack) or time.sleep(25) for _ in range(OUTAGES)], daemon=True)

    def kill_when_some_are_accepted():
        wait_until(lambda: len(accepted) > MANY // 4, 120)
        killer.start()

    starter = threading.Thread(target=kill_when_some_are_accepted, daemon=True)
    starter.start()
    together(32, submit, range(MANY))
    starter.join()
    killer.join()
    assert len(accepted) == MANY and len(outages.spans) == OUTAGES
    wait_until(lambda: stack.ledger.read_bytes().count(b"\n") >= MANY and
               len({r["job"] for r in stack.receipts()}) == MANY, 240, "every job fired")
    records = stack.redis.pipeline(transaction=False)
    for job in accepted:
        records.hget("{sample}:j:" + job.partition(".")[2], "ca")
    due = {job: int(made) / 1000 + delay_of(n) for (job, n), made in zip(accepted.items(), records.execute())}
    fired = {r["job"]: r["time"] / 1000 for r in reversed(stack.receipts())}
    doubled = [p for p, rows in by_path(stack.receipts()).items() if len(rows) != 1]
    late = {job: fired[job] - due[job] for job in due}
    apart = sorted(late[job] for job in due if not outages.touches(due[job], fired[job]))
    p99 = apart[int(len(apart) * 0.99)] if apart else None
    print(json.dumps({"outages": [round(b - a - RECOVERY_S, 1) for a, b in outages.spans], "apart": len(apart), "p99_s": p99,
                      "earliest_s": min(late.values()), "latest_s": max(late.values()), "doubled": len(doubled)}))
    assert min(late.values()) >= -0.001
    assert doubled == []
    assert len(apart) >= MANY // 10 and p99 <= P99_S
    quiet(stack, 60)
