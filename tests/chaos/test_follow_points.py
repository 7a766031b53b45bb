# SPDX-License-Identifier: Apache-2.0
"""Jobs whose record follows their message (decision 0015): killed, or without an answer, between the two. `ingress` holds its tenant
for brisk as soon as a few of its calls were quick, and for longer than it would (brisk_ms)."""
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from signal import SIGCONT

import pytest
import requests

from harness import wait_until
from harness.load import config_of, expect_problem, quiet, start
from points import point

WARM = 5  # calls that make the tenant brisk: it is said with the fourth; the fifth goes first, and needs no accept
ACCEPTS = WARM - 1


@pytest.fixture
def stack(make_stack, durability):
    stack = make_stack(lambda s: config_of(s, {"sample": {"in_doubt": {"policy": "hold"},
                                                          "timeouts": {"sync_s": 30, "total_s": 60}}},
                                           worker={"lease_s": 2}, dispatcher={"leader_lease_s": 1}, store={"durability": durability}))
    yield stack
    if stack["ingress"].is_running:
        stack.signal("ingress", SIGCONT)  # a test that failed may have left it stopped


def arm(stack, seam, name="ingress", nth=None):
    stack["ingress"].env["SLUICE_FAULT_SET"] = "brisk_ms=60000"
    seam.arm(stack, name, nth)
    if name != "ingress":
        stack.restart("ingress")


def send(stack, path, prefer="respond-async"):
    headers = {"Prefer": prefer} if prefer else {}
    return requests.post(f"{stack['ingress'].url}/call/sample{path}", data=b"x", headers=headers, timeout=40)


def warm(stack):
    """Quick calls, one after the other; from the last on jobs go before their records."""
    for _ in range(WARM):
        assert send(stack, "/warm", prefer=None).status_code == 200


def states(stack):
    return [stack.redis.hget(key, "st") for key in stack.redis.scan_iter("{sample}:j:*", count=1000)]


def records(stack, path):
    found = {}
    for key in stack.redis.scan_iter("{sample}:j:*", count=1000):
        state, asked = stack.redis.hmget(key, "st", "p")
        if asked == path:
            found[f"sample.{key.rpartition(':')[2]}"] = state
    return found


def ran_once(stack, path):
    wait_until(lambda: list(records(stack, path).values()) == ["succeeded"], 30, f"{path} has ended")
    quiet(stack)
    [job] = records(stack, path)
    assert [r["job"] for r in stack.receipts(path=path.partition("?")[0])] == [job]
    return job


@point("ingress_first_after_publish")
def test_what_went_first_and_was_not_seen_confirmed_runs_once(stack, seam):
    arm(stack, seam, nth=WARM + 1)
    warm(stack)
    call = start(send, stack, "/first")
    seam.wait_killed(stack, "ingress")
    with pytest.raises(requests.ConnectionError):
        call.result(10)
    ran_once(stack, "/first")


@point("ingress_first_confirm_lost")
@pytest.mark.parametrize("worker_is_there", [False, True])
def test_what_went_first_and_was_not_confirmed(stack, seam, worker_is_there):
    arm(stack, seam, nth=WARM + 1)
    warm(stack)
    if not worker_is_there:
        stack.stop("worker")
    answer = send(stack, "/unconfirmed")
    if answer.status_code == 202:
        assert worker_is_there and ran_once(stack, "/unconfirmed") == answer.json()["id"]
        return
    job = expect_problem(answer, 503, "unavailable")["job"]
    stack.start("worker")
    quiet(stack)
    record = stack.job(job)
    assert (record["state"], record["outcome"]["error"]) == ("canceled", "not_accepted")
    assert stack.receipts(path="/unconfirmed") == []


@point("ingress_first_follow_unheard")
def test_the_record_that_follows_is_asked_for_again(stack, seam):
    arm(stack, seam, nth=ACCEPTS + 1)
    warm(stack)
    answer = send(stack, "/unheard")
    assert answer.status_code == 202
    assert ran_once(stack, "/unheard") == answer.json()["id"]


@point("ingress_first_follow_unanswered")
def test_no_answer_about_the_record_that_follows(stack, seam):
    arm(stack, seam, nth=f"{ACCEPTS + 1}+")
    warm(stack)
    with ThreadPoolExecutor() as pool:
        waits = pool.submit(send, stack, "/waits?sleep_ms=6000", None)
        answer = send(stack, "/unanswered")
        expect_problem(answer, 503, "outcome_unknown")
        assert waits.result(30).status_code == 200
    ran_once(stack, "/unanswered")
    ran_once(stack, "/waits?sleep_ms=6000")


@pytest.fixture
def durability():
    return "strict"


@point("ingress_first_hangup")
@pytest.mark.parametrize("durability", ["strict", "fast"])
def test_who_hangs_up_before_there_is_a_record(stack, seam, durability):
    arm(stack, seam, nth=WARM + 1)
    warm(stack)
    stack.stop("worker")
    with closing(socket.create_connection(("127.0.0.1", stack["ingress"].port))) as caller:
        caller.sendall(b"POST /call/sample/left HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        seam.wait_hit()
    stack.signal("ingress", SIGCONT)
    wait_until(lambda: "expired" in states(stack), 10, "it is expired")
    stack.start("worker")
    quiet(stack)
    assert sorted(states(stack)) == ["expired"] + WARM * ["succeeded"]
    assert stack.receipts(path="/left") == []


@point("worker_first_delivered")
def test_what_went_first_is_given_to_another(stack, seam):
    arm(stack, seam, "worker", nth=WARM + 1)
    warm(stack)
    answer = start(send, stack, "/delivered")
    seam.wait_killed(stack, "worker")
    job = answer.result(20).json()["id"]
    stack.start("worker")
    assert ran_once(stack, "/delivered") == job


@point("worker_first_claim_lost")
def test_a_claim_that_wrote_the_record_is_asked_again(stack, seam):
    arm(stack, seam, "worker", nth=WARM + 1)
    warm(stack)
    answer = send(stack, "/claimed", prefer=None)
    assert answer.status_code == 200
    assert ran_once(stack, "/claimed") == answer.headers["Sluice-Job-Id"]
