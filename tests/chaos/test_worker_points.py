# SPDX-License-Identifier: Apache-2.0
"""The worker's rows of points.yaml: a worker killed, stopped or left without an answer at each step of one delivery."""
import time
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from harness import wait_until
from harness.load import expect_problem
from points import point

LEASE = {"worker": {"lease_s": 3}, "dispatcher": {"leader_lease_s": 2}}
# Long enough that no attempt ends by its own limit, and no slot by its time.
LONG = {"connect_s": 30, "first_byte_s": 60, "total_s": 60, "sync_s": 60}
QUICK = {"max_attempts": 5, "initial_s": 0.1, "max_s": 0.2}
LEVELS = 28
POLICIES = pytest.mark.parametrize("policy", ["hold", "retry"])


def config(policy, daemons=None, **tenant):
    keys = {"in_doubt": {"policy": policy}, "timeouts": LONG, "retry": QUICK, **tenant}
    return lambda stack: {**stack.sample_config(**keys), **LEASE, **(daemons or {})}


def submit(stack, path, **more):
    answer = stack.submit(path, **more)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def record(stack, job, *fields):
    """Of the record, as it lies in Redis."""
    tenant, _, name = job.partition(".")
    return stack.redis.hmget(f"{{{tenant}}}:j:{name}", *fields)


def on_shelf(stack):
    return stack.redis.zcard("{sample}:h")


def counters(stack, *names):
    """Of the tenant's hash: run, ind, c."""
    return [int(value or 0) for value in stack.redis.hmget("{sample}:t", *names)]


def messages(stack, tenants):
    """How many wait in the work queues and on the ladder, as the broker says at once (rabbitmqctl's figures of a quorum queue are
    seconds old)."""
    names = [f"sluice.{tenant}.{kind}" for tenant in tenants for kind in ("sync", "normal")]
    names += [f"sluice.delay.{level}" for level in range(LEVELS)]
    with stack.amqp() as broker:
        channel = broker.channel()
        return sum(channel.queue_declare(name, passive=True).method.message_count for name in names)


def in_hand(stack):
    """Deliveries in the hands of the workers that are not stopped."""
    alive = [p for name, p in stack.processes.items() if name.startswith("worker-") and p.is_running and not is_stopped(p)]
    return sum(stack.metric("sluice_worker_in_hand", p.name) for p in alive)


def is_stopped(process):
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def rest(stack, shelved=None, tenants=("sample",), timeout=40):
    """Nothing is left in the broker; but, if given, so many copies in the shelves' queues."""
    def is_at_rest():
        return messages(stack, tenants) == 0 and in_hand(stack) == 0

    def is_at_rest_twice():
        # What moves from level to level is nowhere for an instant.
        return is_at_rest() and time.sleep(0.3) is None and is_at_rest()

    def on_shelves():
        return sum(sum(row[:2]) for name, row in stack.queues().items() if name.endswith(".shelf"))

    wait_until(is_at_rest_twice, timeout, "a broker with nothing to do")
    if shelved is not None:
        wait_until(lambda: on_shelves() == shelved, timeout, f"{shelved} copies in the shelves' queues")


def wait_dead(stack, timeout=30):
    """Until a worker was declared dead, and the tenant's scripts know it."""
    wait_until(lambda: stack.redis.zcard("{sample}:d"), timeout, "a worker declared dead")


def wait_ready(stack, name, timeout=30):
    stack[name].wait_ready(timeout)


def wait_sent(stack, job, count=1):
    wait_until(lambda: len(stack.receipts(job=job)) >= count, 20, f"{count} calls of {job}")


def succeeded_once(stack, job):
    """Ended well, called once, recorded once, and nothing is left of it."""
    assert stack.wait_job(job)["state"] == "succeeded"
    assert len(stack.receipts(job=job)) == 1
    rest(stack)
    assert record(stack, job, "lt1") == [None]
    assert counters(stack, "run", "ind", "c") == [0, 0, 0]
    assert stack.redis.hlen("{sample}:s") == 0


def given_by_policy(stack, job, policy, sent):
    """A job whose worker is lost after `sent` calls (0 or 1)."""
    if policy == "hold":
        found = stack.wait_job(job)
        assert (found["state"], len(found["attempts"])) == ("in_doubt", 1), found
        assert found["attempts"][0]["error"] == "worker_lost"
        rest(stack, shelved=1)
        assert len(stack.receipts(job=job)) == sent
        assert on_shelf(stack) == 1 and counters(stack, "run", "ind") == [0, 1]
        return
    assert stack.wait_job(job)["state"] == "succeeded"
    rest(stack)
    receipts = stack.receipts(job=job)
    assert len(receipts) == sent + 1 and len({r["key"] for r in receipts}) == 1
    assert len({r["attempt"] for r in receipts}) == len(receipts)
    assert on_shelf(stack) == 0 and counters(stack, "run", "ind") == [0, 0]


# --- before the request ---


@point("worker_after_delivery")
def test_what_was_only_delivered_is_given_to_another(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/delivered")
    seam.wait_killed(stack, "worker-1")
    assert record(stack, job, "n") in ([None], ["0"])
    stack.start("worker-1")
    succeeded_once(stack, job)


@POLICIES
@point("worker_after_claim")
def test_what_was_claimed_is_in_doubt(make_stack, seam, policy):
    stack = make_stack(config(policy))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/claimed", idempotency_key="claimed")
    seam.wait_killed(stack, "worker-1")
    stack.start("worker-1")
    given_by_policy(stack, job, policy, sent=0)


@point("worker_claim_answer_lost")
def test_a_claim_whose_answer_is_lost_is_asked_again_with_its_token(make_stack, seam):
    stack = make_stack(config("hold", timeouts={**LONG, "total_s": 5}))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/once")
    succeeded_once(stack, job)
    assert len(stack.job(job)["attempts"]) == 1


# --- between request and record ---


@POLICIES
@point("worker_after_sending")
def test_what_was_sent_is_in_doubt(make_stack, policy):
    stack = make_stack(config(policy))
    job = submit(stack, "/sent?sleep_ms=1500", idempotency_key="sent")
    wait_sent(stack, job)
    stack.kill("worker-1")
    stack.start("worker-1")
    given_by_policy(stack, job, policy, sent=1)


@POLICIES
@point("worker_after_answer")
def test_what_was_answered_and_not_recorded_is_in_doubt(make_stack, seam, policy):
    stack = make_stack(config(policy))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/answered", idempotency_key="answered")
    seam.wait_killed(stack, "worker-1")
    stack.start("worker-1")
    given_by_policy(stack, job, policy, sent=1)


@point("worker_store_dies_before_record")
def test_an_outcome_is_asked_for_until_it_is_recorded(make_stack):
    """Redis hears of the outcome, and dies without having read it."""
    stack = make_stack(config("hold"))
    job = submit(stack, "/unrecorded?sleep_ms=1000")
    wait_sent(stack, job)
    stack.signal("redis", SIGSTOP)
    wait_until(lambda: stack.metric("sluice_attempts_total", "worker-1", outcome="succeeded") == 1, 20)
    stack.kill("redis", SIGKILL)
    stack.start("redis")
    succeeded_once(stack, job)


# --- between record and acknowledgement ---


@point("worker_after_record")
def test_what_is_recorded_is_acknowledged_the_second_time(make_stack, seam):
    stack = make_stack(config("retry"))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/recorded")
    seam.wait_killed(stack, "worker-1")
    assert stack.job(job)["state"] == "succeeded"
    stack.start("worker-1")
    succeeded_once(stack, job)


@point("worker_record_answer_lost")
def test_an_outcome_whose_answer_is_lost_is_recorded_once(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/recorded-twice")
    succeeded_once(stack, job)
    assert stack.metric("sluice_jobs_ended_total", "worker-1", state="succeeded") == 1


@point("worker_hold_answer_lost")
def test_a_call_in_doubt_whose_record_is_lost_is_shelved_once(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    answer = stack.call("POST", "/call/sample/dropped?drop=1", data=b"x")
    job = expect_problem(answer, 502, "call_in_doubt")["job"]
    rest(stack, shelved=1)
    assert on_shelf(stack) == 1 and counters(stack, "run", "ind") == [0, 1]
    assert record(stack, job, "lt1") == [None] and len(stack.receipts(job=job)) == 1


@point("worker_before_acknowledgement")
def test_what_was_not_acknowledged_is_the_second_time(make_stack, seam):
    stack = make_stack(config("retry"))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/unacknowledged")
    seam.wait_killed(stack, "worker-1")
    stack.start("worker-1")
    succeeded_once(stack, job)


# --- a retry ---


RETRY_S = 6  # longer than a worker takes to come back


def submit_failing(stack, status=503):
    """Its first attempt is refused for some seconds; a 503 cools the instance for as long, a 425 does not."""
    return submit(stack, f"/fail?times=1&status={status}&retry_after={RETRY_S}", idempotency_key="once more")


def retried_once(stack, job):
    assert stack.wait_job(job, timeout=40)["state"] == "succeeded"
    rest(stack)
    times = sorted(r["time"] for r in stack.receipts(job=job))
    assert len(times) == 2 and times[1] - times[0] >= RETRY_S * 1000, times
    assert stack.job(job)["state"] == "succeeded"
    assert counters(stack, "run", "ind", "c") == [0, 0, 0]
    assert stack.redis.zcard("{sample}:w") == 0


@point("worker_record_answer_lost")
def test_a_retry_whose_record_is_lost_is_made_once(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    job = submit_failing(stack)
    retried_once(stack, job)
    assert record(stack, job, "n", "cnt", "lt1") == ["2", "1", None]  # a 503 that cools is not counted


@point("worker_between_waiting_and_publish")
def test_a_retry_that_was_not_published_is_made_when_it_is_due(make_stack, seam):
    """It is its own due time that it waits for: its instance would take it."""
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    job = submit_failing(stack, status=425)
    seam.wait_killed(stack, "worker-1")
    assert record(stack, job, "st") == ["waiting"]
    stack.start("worker-1", wait=False)
    retried_once(stack, job)


@point("worker_delayed_confirm_lost")
def test_a_retry_that_was_published_twice_is_made_once(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    job = submit_failing(stack)
    seam.wait_hit()
    retried_once(stack, job)


@point("worker_after_delayed_publish")
def test_a_retry_with_two_messages_is_made_once(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    job = submit_failing(stack)
    seam.wait_killed(stack, "worker-1")
    stack.start("worker-1", wait=False)
    retried_once(stack, job)


def remove_ladder(stack):
    """Deletes its queues; True when they stay away (a daemon that comes up may still be declaring them)."""
    with stack.amqp() as broker:
        channel = broker.channel()
        for level in range(LEVELS):
            channel.queue_delete(f"sluice.delay.{level}")
    time.sleep(1)
    return not any(name.startswith("sluice.delay.") for name in stack.queues())


@point("worker_ladder_is_gone")
def test_a_retry_without_a_ladder_keeps_its_delivery(make_stack):
    """The delayed message has nowhere to go, and is returned: the delivery is what wakes the job, until the worker has declared the
    ladder anew."""
    stack = make_stack(config("hold"))
    stack.stop("dispatcher")  # it would declare the ladder before
    wait_until(lambda: remove_ladder(stack), 60, "a broker without a ladder")
    job = submit_failing(stack)
    retried_once(stack, job)


# --- the shelf ---


@POLICIES
@point("worker_after_shelf_copy")
def test_a_superfluous_copy_in_the_shelf_queue(make_stack, seam, policy):
    """hold: the first attempt is in doubt; retry: the one attempt is used up."""
    stack = make_stack(config(policy, retry={**QUICK, "max_attempts": 1}))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/shelf-copy?drop=1")
    seam.wait_killed(stack, "worker-1")
    assert record(stack, job, "st", "sh") == ["running", None]
    stack.start("worker-1")
    state = "in_doubt" if policy == "hold" else "failed"
    assert stack.wait_job(job)["state"] == state
    rest(stack, shelved=2)
    assert on_shelf(stack) == 1 and len(stack.receipts(job=job)) == 1
    # What has left the shelf goes from its queue, with every copy.
    if policy == "hold":
        answer = stack.call("POST", f"/v1/jobs/{job}/resolve", json={"state": "succeeded"})
        assert answer.status_code == 200, answer.text
        rest(stack, shelved=0, timeout=60)


@point("worker_shelf_confirm_lost")
def test_a_shelf_copy_whose_confirm_is_lost_is_published_again(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/shelved?drop=1")
    assert stack.wait_job(job)["state"] == "in_doubt"
    rest(stack, shelved=2)
    assert on_shelf(stack) == 1 and len(stack.receipts(job=job)) == 1


def lose_a_worker_in_mid_call(stack):
    """Kills it; the next look at the job shelves it."""
    job = submit(stack, "/lost?sleep_ms=1000")
    wait_sent(stack, job)
    stack.kill("worker-1")
    stack.start("worker-1", wait=False)
    return job


def shelved_once(stack, job):
    found = stack.wait_job(job)
    assert (found["state"], len(found["attempts"])) == ("in_doubt", 1)
    assert on_shelf(stack) == 1 and counters(stack, "run", "ind") == [0, 1]
    assert len(stack.receipts(job=job)) == 1


@point("worker_after_shelve")
def test_what_is_shelved_is_acknowledged_the_second_time(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    job = lose_a_worker_in_mid_call(stack)
    seam.wait_killed(stack, "worker-1")
    shelved_once(stack, job)
    stack.start("worker-1")
    rest(stack, shelved=1)
    shelved_once(stack, job)


@point("worker_shelve_answer_lost")
def test_a_shelving_whose_answer_is_lost_is_asked_again(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    job = lose_a_worker_in_mid_call(stack)
    seam.wait_hit()
    rest(stack, shelved=1)
    shelved_once(stack, job)


@point("worker_paused_before_shelving")
def test_what_was_settled_meanwhile_is_not_shelved(make_stack, seam):
    """One worker is about to shelve what a zombie's late answer settles."""
    stack = make_stack(config("hold"))
    job = submit(stack, "/settled-late?sleep_ms=500")
    wait_sent(stack, job)
    stack.signal("worker-1", SIGSTOP)
    stack.add("worker")
    seam.arm(stack, "worker-2")
    seam.wait_hit()
    stack.signal("worker-1", SIGCONT)
    assert stack.wait_job(job)["state"] == "succeeded"
    stack.signal("worker-2", SIGCONT)
    rest(stack, shelved=0, timeout=60)
    assert stack.job(job)["state"] == "succeeded" and len(stack.receipts(job=job)) == 1
    assert on_shelf(stack) == 0 and counters(stack, "run", "ind", "c") == [0, 0, 0]


# --- paused until declared dead ---


@POLICIES
@point("worker_paused_before_sending")
def test_a_worker_that_lost_its_lease_does_not_send(make_stack, seam, policy):
    stack = make_stack(config(policy))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/unsent", idempotency_key="unsent")
    seam.wait_hit()
    stack.add("worker")
    wait_dead(stack)
    given_by_policy(stack, job, policy, sent=0)
    stack.signal("worker-1", SIGCONT)
    wait_until(lambda: record(stack, job, "lt1") != [None], 20, "the zombie's word, kept as late")
    given_by_policy(stack, job, policy, sent=0)
    assert [r["attempt"] for r in stack.receipts(job=job)] == ([] if policy == "hold" else [2])


@point("worker_paused_after_sending")
def test_a_late_answer_of_the_newest_attempt_settles_the_job(make_stack):
    stack = make_stack(config("hold"))
    job = submit(stack, "/late?sleep_ms=500")
    wait_sent(stack, job)
    stack.signal("worker-1", SIGSTOP)
    stack.add("worker")
    given_by_policy(stack, job, "hold", sent=1)
    stack.signal("worker-1", SIGCONT)
    assert stack.wait_job(job, "succeeded")["outcome"]["status"] == 200
    assert stack.result(job).json()["attempt"] == "1"
    assert on_shelf(stack) == 0
    rest(stack, shelved=0, timeout=60)
    succeeded_once(stack, job)


@point("worker_zombie_behind_newer")
def test_a_late_answer_behind_a_newer_attempt_changes_nothing(make_stack, seam):
    stack = make_stack(config("retry"))
    seam.arm(stack, "worker-1")
    job = submit(stack, "/newer?sleep_ms=4000", idempotency_key="newer")
    seam.wait_hit()
    stack.add("worker")
    wait_sent(stack, job, 2)
    stack.signal("worker-1", SIGCONT)
    wait_until(lambda: record(stack, job, "lt1") != [None] or stack.job(job)["state"] != "running", 20)
    # The second attempt sleeps: it alone says what becomes of the job.
    assert record(stack, job, "lt1", "st", "n") == ["200\t", "running", "2"]
    assert stack.wait_job(job)["state"] == "succeeded"
    rest(stack)
    assert stack.result(job).json()["attempt"] == "2"
    assert [r["attempt"] for r in stack.receipts(job=job)] == [1, 2]
    assert counters(stack, "run", "ind", "c") == [0, 0, 0]


# --- the dead ---


def the_worker(stack):
    [name] = stack.redis.hkeys("{sluice}:w")
    return name


@point("worker_claims_when_dead")
def test_the_dead_cannot_claim(make_stack):
    """The mark is put where the leader puts it, on a worker that knows nothing of it."""
    stack = make_stack(config("hold"))
    name = the_worker(stack)
    stack.redis.zadd("{sample}:d", {name: 1 << 42})
    job = submit(stack, "/after-death")
    assert stack.wait_job(job)["state"] == "succeeded"
    assert record(stack, job, "w") != [name], "claimed under the name of the dead"
    succeeded_once(stack, job)


@point("worker_renews_when_dead")
def test_the_dead_stay_dead(make_stack):
    stack = make_stack(config("hold"))
    name = the_worker(stack)
    stack.redis.hset("{sluice}:w", name, "dead")
    wait_until(lambda: stack.redis.hlen("{sluice}:w") == 2, 10, "another incarnation")
    assert stack.redis.hget("{sluice}:w", name) == "dead"
    wait_ready(stack, "worker-1")
    succeeded_once(stack, submit(stack, "/reborn"))


# --- two messages ---


def take(channel, queue):
    """The first message of a queue, unacknowledged."""
    found = []

    def is_there():
        found[:] = channel.basic_get(queue)
        return found[0] is not None

    wait_until(is_there, 15, f"a message in {queue}")
    return found


def double(stack, queue):
    """Another message like the one that waits in this queue."""
    with stack.amqp() as broker:
        channel = broker.channel()
        method, properties, body = take(channel, queue)
        channel.confirm_delivery()
        for _ in range(2):
            channel.basic_publish("sluice.work", "sample.normal", body, properties)
        channel.basic_ack(method.delivery_tag)


@point("two_messages_two_workers")
def test_two_messages_of_one_job_at_two_workers(make_stack):
    # One delivery of a class at a time in each worker's hand.
    daemons = {"worker": {"lease_s": 3, "concurrency": 2}}
    stack = make_stack(config("retry", daemons), workers=2)
    for name in ("worker-1", "worker-2"):
        stack.stop(name)
    stack.tenant.control(pause=1)
    job = submit(stack, "/two", idempotency_key="two")
    double(stack, "sluice.sample.normal")
    for name in ("worker-1", "worker-2"):
        stack[name].start(wait=False)
    wait_sent(stack, job)

    # On the ladder alone: in its queue no worker has looked at it yet.
    wait_until(lambda: messages(stack, []) == 1 or record(stack, job, "n") != ["1"], 20, "the other message on the ladder", every=0.1)
    assert record(stack, job, "st", "n") == ["running", "1"]
    stack.tenant.control(pause=0)
    succeeded_once(stack, job)
    assert stack.tenant.stats()["peak"] == 1
