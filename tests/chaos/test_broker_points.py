# SPDX-License-Identifier: Apache-2.0
"""The broker's rows of points.yaml: connections cut, half-open, closed; channels closed, consumers cancelled, queues and
exchanges deleted, messages returned and refused, alarms. On a real RabbitMQ, the links through a proxy where it is the
network that fails."""
import tempfile
import time

import pytest

from harness import Broker, wait_until
from harness.load import Load, config_of, expect_problem, is_ready, quiet, start, together
from points import point

DAEMONS = ("ingress", "worker-1", "dispatcher")
LEASE_S = 2
WORKER_HEARTBEAT_S = LEASE_S
HEARTBEAT_S = 5  # of the ingress and the dispatcher
HOLD = {"in_doubt": {"policy": "hold"}}
ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "absolute", "1MB"), ("set_vm_memory_high_watermark", "absolute", "1024MB")),
    "disk": (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "200MB")),
}


def config(stack, tenants=None, **keys):
    tenants = tenants or {"sample": {}}
    full = {name: {**HOLD, "timeouts": {"sync_s": 30, "total_s": 60}, **own, **keys} for name, own in tenants.items()}
    return config_of(stack, full, worker={"lease_s": LEASE_S}, dispatcher={"leader_lease_s": 2})


@pytest.fixture(scope="module")
def own_broker():
    """One that may be hurt, as long as it is well again after the test."""
    with tempfile.TemporaryDirectory(prefix="sluice-broker.", ignore_cleanup_errors=True) as path:
        broker = Broker(path)
        try:
            yield broker.start()
        finally:
            broker.stop()


def raise_alarm(broker, name):
    """Returns what ends it."""
    raised, ended = ALARMS[name]
    broker.ctl(*raised)
    wait_until(lambda: broker.ctl("eval", "rabbit_alarm:get_alarms().").strip() != "[]", 20, "the alarm")
    return ended


def behind_proxy(make_stack):
    """(stack, proxy): every link of the daemons goes through the proxy."""
    stack = make_stack(config, start=False).start_parts()
    proxy = stack.add_proxy("amqp-proxy", stack.broker.port, direction="both")
    stack.env["SLUICE_CFG_BROKER_URL"] = stack.broker.url(stack.vhost).replace(f":{stack.broker.port}/", f":{proxy.port}/")
    return stack.start(), proxy


def count(stack, name, word):
    """How often the process logged it."""
    return sum(f" id={word} " in f" {line} " for line in stack[name].text().splitlines())


def readiness(stack, name):
    """(status, why it is not ready)"""
    answer = stack.http.get(stack[name].url + "/readyz", timeout=5)
    return answer.status_code, answer.text


def job_now(stack, path, timeout=15, tenant="sample", **job):
    """Submits until it is accepted, and waits for its end."""
    answer = wait_until(lambda: (a := stack.submit(path, tenant, **job)).status_code == 202 and a, timeout, f"202 of {path}")
    return stack.wait_job(answer.json()["id"], timeout=timeout)


def delete(stack, queue=None, exchange=None):
    with stack.amqp() as connection:
        channel = connection.channel()
        if queue is not None:
            channel.queue_delete(queue)
        if exchange is not None:
            channel.exchange_delete(exchange)


@pytest.mark.slow
@pytest.mark.timeout_s(180)
@point("broker_connection_cut")
def test_connections_are_cut_under_load(make_stack):
    """Again and again; policy hold: nothing is called twice, nothing becomes in doubt, all ends."""
    stack, proxy = behind_proxy(make_stack)
    with Load(stack) as load:
        for _ in range(4):
            before = {name: count(stack, name, "broker_open") for name in DAEMONS}
            load.wait_for(100, status=200, since=time.monotonic())
            proxy.order("/cut")
            wait_until(lambda: all(count(stack, n, "broker_open") > before[n] for n in DAEMONS), 30, "open again")
            wait_until(lambda: is_ready(stack, *DAEMONS), 30)
        at = time.monotonic()
        load.wait_for(100, status=200, since=at)
        load.wait_for(100, status=202, since=at)
    assert all(count(stack, name, "broker_lost") >= 4 for name in DAEMONS)
    load.check_answers()
    load.check_ends()
    quiet(stack)


@pytest.mark.slow
@pytest.mark.timeout_s(180)
@point("broker_half_open")
def test_a_half_open_connection_is_noticed_and_replaced(make_stack):
    stack, proxy = behind_proxy(make_stack)
    bounds = {"worker-1": 2 * WORKER_HEARTBEAT_S, "ingress": 2 * HEARTBEAT_S, "dispatcher": 2 * HEARTBEAT_S}
    with Load(stack) as load:
        load.wait_for(200)
        opened = {name: count(stack, name, "broker_open") for name in DAEMONS}
        at = time.monotonic()
        proxy.order("/blackhole")
        seen = {}

        def all_noticed():
            for name in DAEMONS:
                assert stack.http.get(stack[name].url + "/livez", timeout=2).status_code == 200
                status, why = readiness(stack, name)
                if status == 503:
                    assert "broker" in why, why
                    seen.setdefault(name, time.monotonic() - at)
            return len(seen) == len(DAEMONS)

        wait_until(all_noticed, 30, "every process not ready")
        load.wait_for(20, status=503, since=at)
        # A caller that comes now is refused at once: nothing was begun.
        began = time.monotonic()
        expect_problem(stack.submit("/refused"), 503, "unavailable")
        assert time.monotonic() - began < 2
        assert opened == {name: count(stack, name, "broker_open") for name in DAEMONS}
        proxy.order("/resume")
        wait_until(lambda: is_ready(stack, *DAEMONS), 30)
        assert all(count(stack, name, "broker_open") > opened[name] for name in DAEMONS)
        since = time.monotonic()
        load.wait_for(100, status=200, since=since)
        load.wait_for(100, status=202, since=since)
    for name, bound in bounds.items():
        assert seen[name] <= bound + 3, f"{name} noticed after {seen[name]:.1f} s"
    load.check_answers()
    load.check_ends()
    assert stack.receipts(path="/refused") == []
    quiet(stack)


@point("broker_connection_closed")
def test_connections_are_closed_by_an_operator(make_stack):
    stack = make_stack(config)
    running = stack.submit("/running?sleep_ms=2000").json()["id"]
    stack.wait_job(running, "running")
    for _ in range(3):
        before = {name: count(stack, name, "broker_open") for name in DAEMONS}
        stack.broker.ctl("close_all_connections", "--vhost", stack.vhost, "maintenance")
        wait_until(lambda: all(count(stack, n, "broker_open") > before[n] for n in DAEMONS), 30, "open again")
    assert job_now(stack, "/after")["state"] == "succeeded"
    assert stack.wait_job(running)["state"] == "succeeded"
    assert len(stack.receipts(path="/running")) == 1
    quiet(stack)


@point("broker_channel_closed")
def test_a_consumers_channel_is_closed_by_the_broker(make_stack, own_broker):
    """By the consumer timeout, the broker's usual reason, while an attempt runs: it is called once, and the message that
    comes again finds it ended."""
    timers = "[application:set_env(rabbit, K, V) || {K, V} <- [{consumer_timeout, %d}, {channel_tick_interval, %d}]]."
    own_broker.ctl("eval", timers % (1000, 500))
    try:
        stack = make_stack(config, broker=own_broker)
        job = stack.submit("/long?sleep_ms=6000").json()["id"]
        wait_until(lambda: count(stack, "worker-1", "consumer_lost") > 0, 20, "the channel closed")
        assert "PRECONDITION_FAILED" in stack["worker-1"].text()
        assert job_now(stack, "/beside")["state"] == "succeeded"
        done = stack.wait_job(job)
        assert (done["state"], len(done["attempts"])) == ("succeeded", 1)
        assert len(stack.receipts(path="/long")) == 1
        quiet(stack)
    finally:
        own_broker.ctl("eval", timers % (1800000, 60000))


@point("broker_exchange_deleted")
def test_a_channel_for_publishing_is_closed_by_the_broker(make_stack):
    """An exchange of the ladder is deleted: the first publish to it costs the channel. 503, never 202; it is declared anew."""
    stack = make_stack(config)
    delete(stack, exchange="sluice.delay.3")
    expect_problem(stack.submit("/first", delay_s=1.2), 503, "unavailable")
    assert job_now(stack, "/second", delay_s=1.2)["state"] == "succeeded"
    quiet(stack)
    assert [r["path"] for r in stack.receipts()] == ["/second"]


@point("broker_exchange_deleted")
def test_the_exchange_of_all_work_is_deleted(make_stack):
    """With all bindings: those of every tenant come back, also of those nobody publishes to."""
    stack = make_stack(lambda s: config(s, {"sample": {}, "other": {}}))
    delete(stack, exchange="sluice.work")
    answer = stack.submit("/first")
    if answer.status_code == 202:  # the leader, which looks now and then, was faster
        stack.wait_job(answer.json()["id"], "succeeded")
    else:
        expect_problem(answer, 503, "unavailable")

    def bound():
        """(What comes before its queue is bound lies in the orphan queue: durable, and another rule's affair.)"""
        lines = stack.broker.ctl("list_bindings", "-p", stack.vhost, "source_name", "destination_name").splitlines()
        return {f"sluice.work\tsluice.{t}.normal" for t in ("sample", "other")} <= set(lines)

    wait_until(bound, 20, "the bindings")
    assert job_now(stack, "/second")["state"] == "succeeded"
    assert job_now(stack, "/other", tenant="other")["state"] == "succeeded"
    quiet(stack)
    assert len(stack.receipts(path="/first")) == (1 if answer.status_code == 202 else 0)


@point("broker_returned")
def test_a_returned_message_is_not_accepted(make_stack):
    """A queue of the ladder is deleted: what would wait there comes back. 503, never 202; it is declared anew."""
    stack = make_stack(config)
    delete(stack, queue="sluice.delay.3")
    expect_problem(stack.submit("/first", delay_s=1.2), 503, "unavailable")
    assert job_now(stack, "/second", delay_s=1.2)["state"] == "succeeded"
    quiet(stack)
    assert [r["path"] for r in stack.receipts()] == ["/second"]


@point("broker_returned")
def test_a_retry_that_is_returned_is_not_lost(make_stack):
    """The worker holds the delivery until its successor is stored, and has what is missing declared."""
    stack = make_stack(lambda s: config(s, retry={"initial_s": 1.2, "factor": 1, "max_s": 1.2, "max_attempts": 3}))
    for level in range(5):
        delete(stack, queue=f"sluice.delay.{level}")
    done = job_now(stack, "/status/503?x=1", timeout=30)
    assert len(done["attempts"]) == 3 and len(stack.receipts(path="/status/503")) == 3
    wait_until(lambda: {f"sluice.delay.{level}" for level in range(5)} <= set(stack.queues()), 20, "the ladder")


@point("broker_nacked")
def test_what_the_broker_refuses_is_not_accepted(make_stack):
    """A queue with a bound that refuses (an operator's policy): 503, never run; over when the bound is gone."""
    stack = make_stack(config)
    stack.broker.ctl("set_policy", "-p", stack.vhost, "--apply-to", "queues", "bound", "^sluice\\.sample\\.normal$",
                     '{"max-length": 3, "overflow": "reject-publish"}')
    stack.stop("worker-1")
    answers = [stack.submit(f"/bound/{n}") for n in range(20)]
    taken = [a.json()["id"] for a in answers if a.status_code == 202]
    refused = [n for n, a in enumerate(answers) if a.status_code != 202]
    assert 3 <= len(taken) < 20
    for n in refused:
        expect_problem(answers[n], 503, "unavailable")
    # In this order: RabbitMQ 3.10 tells a channel of room only when something leaves a queue that has a bound.
    stack.start("worker-1")
    assert job_now(stack, "/room")["state"] == "succeeded"
    stack.broker.ctl("clear_policy", "-p", stack.vhost, "bound")
    assert {d["state"] for d in together(8, stack.wait_job, taken)} == {"succeeded"}
    quiet(stack)
    assert not {f"/bound/{n}" for n in refused} & {r["path"] for r in stack.receipts()}


@point("broker_queue_deleted")
def test_a_cancelled_consumer_consumes_again(make_stack):
    """The queues of a tenant are deleted, with what lies in them; the tenant goes on within seconds, and all stay ready."""
    stack = make_stack(lambda s: config(s, concurrency=1))
    running = stack.submit("/running?sleep_ms=3000").json()["id"]
    stack.wait_job(running, "running")
    lost = [stack.submit(f"/lost/{n}").json()["id"] for n in range(5)]
    began = time.monotonic()

    def are_cancelled():
        # When the leader declares a queue again between its end and the broker's look at who consumed it, the broker gives the
        # consumer the new one, and cancels nothing: then once more.
        if count(stack, "worker-1", "consumer_lost") >= 2:
            return True
        for name in ("sync", "normal", "shelf"):
            delete(stack, queue=f"sluice.sample.{name}")
        return False

    wait_until(are_cancelled, 10, "the consumers cancelled", every=1)
    # What is accepted before that lies in the orphan queue: durable, and another rule's affair.
    wait_until(lambda: all(stack.queues().get(f"sluice.sample.{c}", (0, 0, 0))[2] for c in ("sync", "normal")), 15)
    answer = start(stack.call, "POST", "/call/sample/sync", data=b"x")
    assert job_now(stack, "/after", timeout=10)["state"] == "succeeded"
    assert answer.result(30).status_code == 200
    assert time.monotonic() - began < 30
    assert stack.wait_job(running)["state"] == "succeeded"
    assert len(stack.receipts(path="/running")) == 1
    assert is_ready(stack, *DAEMONS)
    assert {stack.job(i)["state"] for i in lost} <= {"queued", "succeeded"}
    wait_until(lambda: "sluice.sample.shelf" in stack.queues(), 40, "the shelf queue")
    quiet(stack)


# Takes the consumers out of a quorum queue's state, as a broker does that loses them: their channels hear nothing of it.
LOSE_CONSUMERS = """
{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>)),
[{{ok, _, _}} = ra:process_command(amqqueue:get_pid(Q),
    rabbit_fifo:make_checkout({{element(2, C), element(1, C)}}, cancel, #{{}})) || C <- rabbit_amqqueue:consumers(Q)], ok.
"""


@point("broker_consumer_lost")
def test_a_consumer_that_the_broker_lost_without_a_word_consumes_again(make_stack):
    stack = make_stack(config)
    assert job_now(stack, "/before")["state"] == "succeeded"
    stack.broker.ctl("eval", LOSE_CONSUMERS.format(vhost=stack.vhost, queue="sluice.sample.normal"))
    assert "sluice.sample.normal" not in stack.broker.ctl("list_consumers", "-p", stack.vhost), "nothing was lost"
    answer = job_now(stack, "/after", timeout=30)
    assert answer["state"] == "succeeded"
    assert len(stack.receipts(path="/after")) == 1
    assert count(stack, "worker-1", "consumer_lost") == 1, "others were torn down, too"
    quiet(stack)


@point("broker_queue_deleted")
def test_a_queue_that_nobody_consumes_is_declared_again(make_stack):
    """No worker runs, which would notice: the leader does. What is accepted meanwhile lies in a durable queue."""
    stack = make_stack(config)
    stack.stop("worker-1")
    delete(stack, queue="sluice.sample.normal")
    wait_until(lambda: "sluice.sample.normal" in stack.queues(), 40, "the queue")
    job = stack.submit("/after").json()["id"]
    stack.start("worker-1")
    assert stack.wait_job(job)["state"] == "succeeded"
    quiet(stack)


@pytest.mark.timeout_s(180)
@pytest.mark.parametrize("alarm", ["memory", "disk"])
@point("broker_alarm")
def test_an_alarm(make_stack, own_broker, alarm):
    """New work is refused at once, /readyz says why, what runs is recorded and acknowledged; over by itself."""
    stack = make_stack(config, broker=own_broker)
    running = [stack.submit(f"/running/{n}?sleep_ms=4000").json()["id"] for n in range(5)]
    together(5, lambda i: stack.wait_job(i, "running"), running)
    waiting = start(stack.call, "POST", "/call/sample/waiting?sleep_ms=4000", data=b"x")
    wait_until(lambda: stack.receipts(path="/waiting") or stack.metric("sluice_worker_running", "worker-1") == 6, 10)
    ended = raise_alarm(own_broker, alarm)
    try:
        # The broker says so when the first publish reaches it; that one is unknown, and withdrawn.
        first = []
        wait_until(lambda: first.append(stack.submit(f"/first/{len(first)}")) or first[-1].status_code == 503, 10)
        wait_until(lambda: readiness(stack, "ingress")[0] == 503, 10)
        assert "alarm" in readiness(stack, "ingress")[1]
        for n in range(20):
            began = time.monotonic()
            expect_problem(stack.submit(f"/refused/{n}"), 503, "unavailable")
            expect_problem(stack.call("POST", f"/call/sample/refused/{n}", data=b"x"), 503, "unavailable")
            assert time.monotonic() - began < 1
        assert waiting.result(30).status_code == 200
        assert {d["state"] for d in together(5, stack.wait_job, running)} == {"succeeded"}
        # Acknowledged, on the link that publishes nothing.
        wait_until(lambda: stack.unacknowledged() == 0, 20, "acknowledged")
        assert stack.http.get(stack["worker-1"].url + "/livez", timeout=2).status_code == 200
    finally:
        own_broker.ctl(*ended)
    wait_until(lambda: is_ready(stack, *DAEMONS), 30)
    assert job_now(stack, "/after")["state"] == "succeeded"
    quiet(stack)
    paths = [r["path"] for r in stack.receipts()]
    assert not [p for p in paths if p.startswith("/refused/") or p == f"/first/{len(first) - 1}"]
    assert len(paths) == len(set(paths)) == 7 + len(first) - 1


@pytest.mark.timeout_s(180)
@point("broker_alarm")
def test_an_alarm_that_was_there_before(make_stack, own_broker):
    """Processes that start, and links that open, under an alarm; and a retry that waits for its end with its delivery."""
    stack = make_stack(lambda s: config(s, retry={"initial_s": 0.2, "factor": 1, "max_s": 0.2, "max_attempts": 2}),
                       broker=own_broker)
    # With a body: RabbitMQ blocks a publisher after a message's header, which completes one without.
    retried = stack.submit("/fail?times=1&sleep_ms=12000", body={"n": 1}).json()["id"]
    stack.wait_job(retried, "running")
    ended = raise_alarm(own_broker, "memory")
    answers = []
    try:
        stack["ingress"].restart(wait=False)
        wait_until(lambda: answers.append(stack.submit(f"/early/{len(answers)}", body={"n": 1})) or
                   answers[-1].status_code == 503 and "alarm" in readiness(stack, "ingress")[1], 20)
        wait_until(lambda: stack.job(retried)["state"] in ("waiting", "queued"), 30)
        wait_until(lambda: "alarm" in readiness(stack, "worker-1")[1], 20)
    finally:
        own_broker.ctl(*ended)
    assert stack.wait_job(retried, timeout=60)["state"] == "succeeded"
    wait_until(lambda: is_ready(stack, *DAEMONS), 30)
    quiet(stack)
    assert len(stack.receipts(path="/fail")) == 2
    assert [len(stack.receipts(path=f"/early/{n}")) for n in range(len(answers))] == [a.status_code == 202 for a in answers]
