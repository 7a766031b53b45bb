# SPDX-License-Identifier: Apache-2.0
"""The ingress's rows of points.yaml: killed, stopped, or without an answer at one instant of an acceptance. `ingress` carries the
seam; what must be asked meanwhile goes by `ingress-2`."""
import time
from signal import SIGCONT

import pytest
import requests

from harness import wait_until
from harness.load import HangingCall, config_of, expect_problem, quiet, start
from points import point

LEASE_MS = 1500  # of an accept, where a test waits for its end


@pytest.fixture(scope="module")
def stack(make_module_stack):
    limits = {"sync_s": 30, "total_s": 60}
    return make_module_stack(
        lambda s: config_of(s, {"sample": {"in_doubt": {"policy": "hold"}, "timeouts": limits},
                                "one": {"concurrency": 1, "timeouts": limits},
                                "short": {"concurrency": 1, "timeouts": {"sync_s": 2, "total_s": 30}}},
                            worker={"lease_s": 2}, dispatcher={"leader_lease_s": 1}), ingresses=2)


@pytest.fixture(autouse=True)
def whole_again(stack):
    """Each test begins and ends with everything running, and nothing armed."""
    yield
    stack.tenant.control(pause=0)
    if stack["ingress"].is_running:
        stack.signal("ingress", SIGCONT)  # a test that failed may have left it stopped
    for name in ("SLUICE_FAULT", "SLUICE_FAULT_SET"):
        stack["ingress"].env.pop(name, None)
    for name in ("ingress", "dispatcher", "worker"):
        stack[name].start(wait=False)
    stack.wait_ready()


def arm(stack, seam, nth=None, lease_ms=None):
    if lease_ms is not None:
        stack["ingress"].env["SLUICE_FAULT_SET"] = f"accept_lease_ms={lease_ms}"
    seam.arm(stack, "ingress", nth)


def send(stack, path, via="ingress", tenant="sample", key=None, prefer="respond-async"):
    """A call through one of the ingresses."""
    headers = {"Prefer": prefer} if prefer else {}
    if key:
        headers["Idempotency-Key"] = key
    return stack.http.request("POST", f"{stack[via].url}/call/{tenant}{path}", data=b"x", headers=headers, timeout=40)


def send_to_its_death(stack, seam, path, **options):
    """A call whose ingress is killed at the seam: no answer comes."""
    call = start(send, stack, path, **options)
    seam.wait_killed(stack, "ingress")
    with pytest.raises(requests.ConnectionError):
        call.result(10)


def send_until_stopped(stack, seam, path, entry=None, **options):
    call = start(send, stack, path, **options)
    seam.wait_hit(entry)
    return call


def jobs_of(stack, path, tenant="sample"):
    """{id: state}, of the records as they are in Redis."""
    found = {}
    for key in stack.redis.scan_iter(f"{{{tenant}}}:j:*", count=1000):
        state, asked = stack.redis.hmget(key, "st", "p")
        if (asked or "").partition("?")[0] == path:
            found[f"{tenant}.{key.rpartition(':')[2]}"] = state
    return found


def wait_state(stack, path, state, timeout=15, tenant="sample"):
    """Until the one job of this path has this state; its id."""
    def is_there():
        return list(jobs_of(stack, path, tenant).values()) == [state]

    wait_until(is_there, timeout, f"{path} {state}")
    return next(iter(jobs_of(stack, path, tenant)))


def insist(stack, path, **options):
    """Repeats while the first one with the key is being accepted; the last answer and how many 409 came before it."""
    answers = []

    def answered():
        answers.append(send(stack, path, **options))
        return answers[-1].status_code != 409

    wait_until(answered, 20, "an answer other than 409")
    for busy in answers[:-1]:
        expect_problem(busy, 409, "key_in_progress")
    return answers[-1], len(answers) - 1


def accepted(answer, replayed=False):
    """The id of a job that was promised."""
    assert answer.status_code == 202, answer.text
    assert (answer.headers.get("Idempotent-Replayed") == "true") == replayed
    return answer.json()["id"]


def ran_once(stack, path, job):
    assert stack.wait_job(job)["state"] == "succeeded"
    quiet(stack)
    assert [r["job"] for r in stack.receipts(path=path)] == [job]


def never_ran(stack, path, job):
    """It was withdrawn, and whatever message of it there is changes nothing."""
    stack["worker"].start()
    quiet(stack)
    record = stack.job(job)
    assert (record["state"], record["outcome"]["error"]) == ("canceled", "not_accepted")
    assert job not in [r["job"] for r in stack.receipts(path=path)]


@point("ingress_after_record")
def test_what_was_recorded_and_never_published_is_swept(stack, seam):
    arm(stack, seam, lease_ms=LEASE_MS)
    send_to_its_death(stack, seam, "/recorded", key="recorded")
    stack.start("ingress")
    lost = wait_state(stack, "/recorded", "canceled")
    never_ran(stack, "/recorded", lost)
    again = accepted(send(stack, "/recorded", key="recorded"))
    assert again != lost
    ran_once(stack, "/recorded", again)


@point("ingress_accept_answer_lost")
def test_an_accept_without_an_answer_is_sent_again(stack, seam):
    arm(stack, seam)
    job = accepted(send(stack, "/unheard", key="unheard"))
    ran_once(stack, "/unheard", job)
    assert jobs_of(stack, "/unheard") == {job: "succeeded"}


@point("ingress_accept_unanswered")
def test_what_may_be_recorded_is_not_published(stack, seam):
    arm(stack, seam, nth="1+", lease_ms=LEASE_MS)
    answer = send(stack, "/unanswered")
    job = expect_problem(answer, 503, "outcome_unknown")["job"]
    wait_state(stack, "/unanswered", "canceled")
    never_ran(stack, "/unanswered", job)


@point("ingress_after_publish")
def test_a_repeat_joins_what_was_published_and_not_said(stack, seam):
    stack.tenant.control(pause=1)
    arm(stack, seam)
    send_to_its_death(stack, seam, "/published", key="published")
    [receipt] = wait_until(lambda: stack.receipts(path="/published"))
    stack.start("ingress")
    repeat = accepted(send(stack, "/published", key="published"), replayed=True)
    waiting = start(send, stack, "/published", key="published", prefer=None)
    wait_until(lambda: stack.metric("sluice_waiting_callers") == 1)
    stack.tenant.control(pause=0)
    answer = waiting.result(20)
    assert (answer.status_code, answer.headers["Sluice-Job-Id"]) == (200, receipt["job"])
    assert repeat == receipt["job"]
    ran_once(stack, "/published", repeat)


@point("ingress_confirm_lost")
def test_what_the_broker_did_not_confirm_is_undone(stack, seam):
    stack.stop("worker")
    arm(stack, seam)
    job = expect_problem(send(stack, "/unconfirmed", key="unconfirmed"), 503, "unavailable")["job"]
    never_ran(stack, "/unconfirmed", job)
    again = accepted(send(stack, "/unconfirmed", key="unconfirmed"))
    assert again != job
    ran_once(stack, "/unconfirmed", again)


@point("ingress_after_mark")
def test_a_repeat_finds_what_was_marked_and_not_said(stack, seam):
    arm(stack, seam)
    send_to_its_death(stack, seam, "/marked", key="marked")
    stack.start("ingress")
    job = accepted(send(stack, "/marked", key="marked"), replayed=True)
    ran_once(stack, "/marked", job)
    assert jobs_of(stack, "/marked") == {job: "succeeded"}


@point("ingress_mark_answer_lost")
def test_a_mark_without_an_answer_is_asked_again(stack, seam):
    arm(stack, seam)
    job = accepted(send(stack, "/mark-unheard"))
    ran_once(stack, "/mark-unheard", job)


@point("ingress_mark_unanswered")
def test_what_was_confirmed_is_never_undone(stack, seam):
    stack.stop("worker")
    arm(stack, seam, nth="1+")
    job = expect_problem(send(stack, "/never-heard", key="never-heard"), 503, "outcome_unknown")["job"]
    assert jobs_of(stack, "/never-heard") == {job: "queued"}
    assert accepted(send(stack, "/never-heard", "ingress-2", key="never-heard"), replayed=True) == job
    stack.start("worker")
    ran_once(stack, "/never-heard", job)


@point("ingress_paused_after_confirm")
def test_a_confirm_that_was_seen_too_late_is_no_promise(stack, seam):
    stack.stop("worker")
    arm(stack, seam, lease_ms=LEASE_MS)
    call = send_until_stopped(stack, seam, "/confirmed")
    job = wait_state(stack, "/confirmed", "canceled")
    stack.signal("ingress", SIGCONT)
    assert expect_problem(call.result(20), 503, "unavailable")["job"] == job
    never_ran(stack, "/confirmed", job)


@point("ingress_paused_after_confirm")
def test_a_late_mark_leaves_what_has_ended_as_it_is(stack, seam):
    arm(stack, seam, lease_ms=LEASE_MS)
    call = send_until_stopped(stack, seam, "/confirmed-and-run")
    job = wait_state(stack, "/confirmed-and-run", "succeeded")
    stack.signal("ingress", SIGCONT)
    assert accepted(call.result(20)) == job
    assert jobs_of(stack, "/confirmed-and-run") == {job: "succeeded"}
    ran_once(stack, "/confirmed-and-run", job)


@pytest.mark.parametrize("prefer", ["respond-async", "wait=20", None])
@point("ingress_paused_before_publish")
def test_a_message_that_comes_too_late_runs_nothing(stack, seam, prefer):
    path = f"/late/{prefer}"
    arm(stack, seam, lease_ms=LEASE_MS)
    call = send_until_stopped(stack, seam, path, prefer=prefer)
    job = wait_state(stack, path, "canceled")
    stack.signal("ingress", SIGCONT)
    assert expect_problem(call.result(20), 503, "unavailable")["job"] == job
    never_ran(stack, path, job)


@point("ingress_undo_against_claim")
def test_an_undo_that_comes_after_the_claim_undoes_nothing(stack, seam):
    arm(stack, seam)
    call = send_until_stopped(stack, seam, "/claimed", ("ingress_undo", "stop"))
    [receipt] = wait_until(lambda: stack.receipts(path="/claimed"))
    stack.signal("ingress", SIGCONT)
    assert accepted(call.result(20)) == receipt["job"]
    ran_once(stack, "/claimed", receipt["job"])


@point("ingress_takeover")
def test_a_repeat_takes_the_key_over_when_the_lease_is_over(stack, seam):
    stack.stop("dispatcher")  # nobody sweeps: it is the repeat that undoes
    arm(stack, seam, lease_ms=2 * LEASE_MS)
    send_to_its_death(stack, seam, "/taken", key="taken")
    answer, n_busy = insist(stack, "/taken", via="ingress-2", key="taken")
    assert n_busy > 0, "taken over while the first may still be at it"
    job = accepted(answer)
    stack.start("ingress")
    ran_once(stack, "/taken", job)
    assert sorted(jobs_of(stack, "/taken").values()) == ["canceled", "succeeded"]


@point("ingress_takeover_slow_first")
def test_a_slow_first_finds_its_key_taken_over(stack, seam):
    stack.stop("dispatcher")
    arm(stack, seam, lease_ms=LEASE_MS)
    call = send_until_stopped(stack, seam, "/slow-first", key="slow-first")
    answer, _ = insist(stack, "/slow-first", via="ingress-2", key="slow-first")
    job = accepted(answer)
    stack.signal("ingress", SIGCONT)
    first = expect_problem(call.result(20), 503, "unavailable")["job"]
    assert first != job
    ran_once(stack, "/slow-first", job)
    assert jobs_of(stack, "/slow-first") == {first: "canceled", job: "succeeded"}


@point("ingress_dead_while_callers_wait")
def test_jobs_outlive_the_ingress_of_their_callers(stack):
    stack.tenant.control(pause=1)
    calls = [start(send, stack, f"/orphan/{n}", tenant=tenant, prefer=None)
             for n, tenant in enumerate(["sample", "sample", "one", "one"])]
    wait_until(lambda: stack.metric("sluice_waiting_callers") == 4)
    wait_until(lambda: stack.tenant.stats()["running"] == 3)
    stack.kill("ingress")
    for call in calls:
        with pytest.raises(requests.ConnectionError):
            call.result(10)
    stack.tenant.control(pause=0)
    stack.start("ingress")
    for n, tenant in enumerate(["sample", "sample", "one", "one"]):
        [receipt] = wait_until(lambda: stack.receipts(path=f"/orphan/{n}"))
        assert stack.wait_job(receipt["job"])["state"] == "succeeded"
        assert (stack.result(receipt["job"]).status_code, stack.result(receipt["job"]).content) == (200, b"x")
        ran_once(stack, f"/orphan/{n}", receipt["job"])


@point("ingress_wait_runs_out_before_confirm")
def test_no_202_of_a_wait_that_ran_out_before_the_confirm(stack, seam):
    stack.stop("worker")
    arm(stack, seam)
    begun = time.monotonic()
    call = send_until_stopped(stack, seam, "/ran-out", ("ingress_recorded", "stop"), prefer="wait=1")
    wait_until(lambda: time.monotonic() > begun + 1.2)
    stack.signal("ingress", SIGCONT)
    job = expect_problem(call.result(20), 503, "unavailable")["job"]
    never_ran(stack, "/ran-out", job)


def behind_a_holder(stack, tenant, path):
    """A job that holds the only slot until the tenant goes on."""
    stack.tenant.control(pause=1)
    job = stack.submit(path, tenant).json()["id"]
    wait_until(lambda: stack.receipts(path=path))
    return job


@point("ingress_paused_at_deadline")
def test_a_deadline_that_is_judged_late_finds_what_was_started(stack, seam):
    arm(stack, seam)
    behind_a_holder(stack, "short", "/deadline-holder")
    call = start(send, stack, "/judged?sleep_ms=4000", tenant="short", key="judged", prefer=None)
    wait_state(stack, "/judged", "queued", tenant="short")
    # Its deadline is later, so that the job may still be started while the first one's is judged.
    later = start(send, stack, "/judged?sleep_ms=4000", "ingress-2", "short", "judged", "wait=25")
    wait_until(lambda: stack.metric("sluice_waiting_callers", "ingress-2") == 1)
    seam.wait_hit()
    stack.tenant.control(pause=0)
    wait_until(lambda: stack.receipts(path="/judged"), 10, "the job is started: its other caller still waits")
    stack.signal("ingress", SIGCONT)
    document = expect_problem(call.result(20), 504, "sync_timeout")
    assert "has started" in document["detail"]
    assert later.result(20).status_code == 200
    ran_once(stack, "/judged", document["job"])


@point("ingress_paused_at_deadline")
def test_a_wait_that_is_judged_late_promises_nothing_that_has_expired(stack, seam):
    arm(stack, seam)
    behind_a_holder(stack, "short", "/wait-holder")
    call = start(send, stack, "/judged-wait", tenant="short", prefer="wait=1")
    seam.wait_hit()
    stack.tenant.control(pause=0)
    job = wait_state(stack, "/judged-wait", "expired", tenant="short")
    stack.signal("ingress", SIGCONT)
    document = expect_problem(call.result(20), 504, "sync_timeout")
    assert document["job"] == job
    quiet(stack)
    assert stack.receipts(path="/judged-wait") == []


@point("ingress_hangup_against_repeat")
def test_a_hangup_does_not_expire_what_a_repeat_was_promised(stack, seam):
    arm(stack, seam)
    behind_a_holder(stack, "one", "/hangup-holder")
    call = HangingCall(stack["ingress"].port, "POST", "/call/one/promised", b"x", [("Idempotency-Key", "promised")])
    job = wait_state(stack, "/promised", "queued", tenant="one")
    call.hang_up()
    seam.wait_hit()
    assert accepted(send(stack, "/promised", "ingress-2", "one", "promised"), replayed=True) == job
    stack.signal("ingress", SIGCONT)
    record = f"{{one}}:j:{job.partition('.')[2]}"
    wait_until(lambda: stack.redis.hget(record, "rc") == "" or stack.redis.hget(record, "st") == "expired", 10, "its caller has left")
    stack.tenant.control(pause=0)
    ran_once(stack, "/promised", job)
