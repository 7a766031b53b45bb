# SPDX-License-Identifier: Apache-2.0
"""Offloading, the whole (docs/protocol.md, "Offloading"): a tenant that answers 202 is polled by any worker until it is done, or posts
the outcome itself; callers wait through it, and nothing is held meanwhile. The scripts' own rules are in test_offload_rules.py."""
import json
import time

import pytest
import requests

from harness import wait_until
from harness.load import config_of, expect_problem, start, together

POLL_S = 0.2


@pytest.fixture(scope="module")
def stack(make_module_stack):
    on = {"enabled": True, "poll_s": POLL_S}
    short = {"retry": {"initial_s": 0.05, "max_s": 0.2}, "timeouts": {"first_byte_s": 2, "total_s": 2, "sync_s": 20}}

    def config(stack):
        one = [{"name": "one", "url": stack.tenant.url, "concurrency": 1}]
        based = [{"name": "based", "url": stack.tenant.url + "/base", "concurrency": 256}]
        return config_of(stack, {
            "slow": {**short, "offload": on},
            "off": short,
            "one": {**short, "offload": on, "instances": one},
            "frees": {**short, "offload": {**on, "frees_slot": True}, "instances": one},
            "short": {**short, "offload": {**on, "max_s": 1}},
            "again": {**short, "offload": {**on, "max_s": 1, "frees_slot": True}, "in_doubt": {"policy": "retry"}},
            "named": {**short, "offload": {**on, "location_header": "X-Poll", "pending_statuses": [202, 299]}},
            "based": {**short, "offload": on, "instances": based},
        }, worker={"lease_s": 2})

    return make_module_stack(config, workers=2)


def receipts(stack, job):
    return [r["attempt"] for r in stack.receipts(job=job)]


def polls(stack, **labels):
    return sum(stack.metric("sluice_offload_polls_total", f"worker-{i}", **labels) for i in (1, 2))


def complete(stack, job, token, **more):
    return stack.call("POST", f"/v1/jobs/{job}/complete", json={"token": token, **more})


# --- polled ---

def test_a_caller_waits_through_it(stack):
    begun = time.monotonic()
    answer = stack.call("POST", "/call/slow/orders?offload_ms=1000", data=b"x")
    assert answer.status_code == 200 and answer.json() == {"polled": True}
    assert answer.headers["X-Offloaded"] == "done" and answer.headers["Sluice-Attempts"] == "1"
    assert time.monotonic() - begun >= 1
    assert receipts(stack, answer.headers["Sluice-Job-Id"]) == [1]


def test_an_asynchronous_job_says_that_it_is_offloaded(stack):
    job = stack.submit("/orders?offload_ms=1500", "slow").json()["id"]
    wait_until(lambda: stack.job(job).get("offloaded"), 10, "the 202")
    seen = stack.job(job)
    assert seen["state"] == "running" and seen["outcome"] is None and "poll_at" in seen
    (attempt,) = seen["attempts"]
    assert (attempt["status"], attempt["ended_at"], attempt["error"]) == (202, None, None)
    wait_until(lambda: stack.unacknowledged() == 0, 10, "no delivery in hand")
    expect_problem(stack.call("DELETE", f"/v1/jobs/{job}"), 409, "not_cancelable")
    stack.wait_job(job)
    ended = stack.job(job)
    assert ended["state"] == "succeeded" and "offloaded" not in ended and "poll_at" not in ended
    assert [(a["number"], a["status"]) for a in ended["attempts"]] == [(1, 200)]
    assert stack.result(job).json() == {"polled": True}
    assert receipts(stack, job) == [1]


def test_any_other_status_is_the_outcome(stack):
    answer = stack.call("POST", "/call/slow/orders?offload_ms=300&then=422", data=b"x")
    assert answer.status_code == 422 and answer.headers["X-Offloaded"] == "done"
    assert stack.job(answer.headers["Sluice-Job-Id"])["state"] == "failed"


def test_a_redirect_is_not_followed(stack):
    answer = stack.call("POST", "/call/slow/orders?offload_ms=100&then=303", data=b"x", allow_redirects=False)
    assert answer.status_code == 303


def test_trouble_with_polls_is_no_outcome(stack):
    before = polls(stack, tenant="slow", outcome="trouble")
    answer = stack.call("POST", "/call/slow/orders?offload_ms=100&polls=503,429,500", data=b"x")
    assert answer.status_code == 200
    assert polls(stack, tenant="slow", outcome="trouble") == before + 3
    assert receipts(stack, answer.headers["Sluice-Job-Id"]) == [1]


def test_retry_after_of_a_pending_answer_is_heard(stack):
    before = stack.tenant.stats()["offload_polls"]
    answer = stack.call("POST", "/call/slow/orders?offload_ms=500&poll_after=2", data=b"x")
    assert answer.status_code == 200
    assert stack.tenant.stats()["offload_polls"] == before + 1


def test_without_offload_a_202_is_the_answer(stack):
    answer = stack.call("POST", "/call/off/orders?offload_ms=100", data=b"x")
    assert answer.status_code == 202 and answer.json() == {"pending": True}


def test_another_header_and_other_statuses(stack):
    query = "sleep_ms=0&status=299&header=X-Poll%3A%20/headers"
    answer = stack.call("GET", f"/call/named/orders?{query}")
    assert answer.status_code == 200
    sent = {name.lower() for name, _ in answer.json()["headers"]}
    assert "sluice-job-id" in sent and "idempotency-key" not in sent


def test_what_a_poll_needs_of_the_callers_head_goes_along(stack):
    headers = {"Authorization": "Basic eHk6eg==", "Cookie": "a=b", "Accept": "text/x", "X-Other": "1", "Content-Type": "text/y"}
    answer = stack.call("POST", "/call/named/orders?status=299&header=X-Poll%3A%20/headers", data=b"x", headers=headers)
    sent = {name.lower(): value for name, value in answer.json()["headers"]}
    assert (sent["authorization"], sent["cookie"], sent["accept"]) == ("Basic eHk6eg==", "a=b", "text/x")
    assert answer.json()["method"] == "GET" and not {"x-other", "content-type", "sluice-complete-token"} & set(sent)


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/jobs/7", "//example.invalid/jobs/7", "https://127.0.0.1/x"])
def test_a_foreign_origin_is_not_asked(stack, location):
    job = stack.submit(f"/orders?offload_ms=100&location={requests.utils.quote(location, safe='')}", "slow").json()["id"]
    ended = stack.wait_job(job)
    assert (ended["state"], ended["outcome"]["error"]) == ("failed", "offload_foreign_origin")
    expect_problem(stack.result(job), 409, "no_answer")


def test_a_location_that_is_none(stack):
    job = stack.submit("/orders?offload_ms=100&location=mailto%3Ame", "slow").json()["id"]
    assert stack.wait_job(job)["outcome"]["error"] == "offload_bad_location"


def test_a_relative_location_is_resolved(stack):
    job = stack.submit("/deep/orders?offload_ms=100&location=../../headers", "based").json()["id"]
    stack.wait_job(job)
    assert stack.result(job).json()["target"] == "/headers"


# --- slots ---

def test_the_slot_is_kept_until_the_outcome(stack):
    jobs = [stack.submit("/orders?offload_ms=600", "one").json()["id"] for _ in range(3)]
    begun = [stack.wait_job(job)["attempts"][0]["started_at"] for job in jobs]
    ended = [stack.job(job)["ended_at"] for job in jobs]
    pairs = sorted(zip(begun, ended))
    assert all(first[1] <= second[0] for first, second in zip(pairs, pairs[1:])), pairs


def test_polls_do_not_stand_behind_a_backlog(stack):
    """They free the slot that the backlog waits for."""
    first = stack.submit("/orders?offload_ms=1500", "one").json()["id"]
    wait_until(lambda: stack.job(first).get("offloaded"), 10, "the 202")
    rest = [stack.submit("/orders", "one").json()["id"] for _ in range(60)]
    assert stack.wait_job(first, timeout=10)["state"] == "succeeded"
    for job in rest:
        assert stack.wait_job(job, timeout=60)["state"] == "succeeded"


def test_the_202_frees_the_slot_where_it_says_so(stack):
    jobs = [stack.submit("/orders?offload_ms=3000", "frees").json()["id"] for _ in range(4)]
    wait_until(lambda: all(stack.job(job).get("offloaded") for job in jobs), 15, "four at a time")
    for job in jobs:
        assert stack.wait_job(job)["state"] == "succeeded"


# --- in doubt ---

def test_over_its_time_it_is_in_doubt(stack):
    job = stack.submit("/orders?offload_ms=60000", "short").json()["id"]
    seen = stack.wait_job(job)
    assert (seen["state"], seen["outcome"]["error"]) == ("in_doubt", "offload_over")
    assert receipts(stack, job) == [1]


def test_a_waiting_caller_is_told_that_it_is_in_doubt(stack):
    expect_problem(stack.call("POST", "/call/short/orders?offload_ms=60000", data=b"x"), 502, "call_in_doubt")


@pytest.mark.parametrize("status", [404, 410])
def test_unknown_there_it_is_in_doubt(stack, status):
    job = stack.submit(f"/orders?offload_ms=60000&polls={status}", "slow").json()["id"]
    seen = stack.wait_job(job)
    assert (seen["state"], seen["outcome"]["error"]) == ("in_doubt", "offload_unknown")


def test_in_doubt_it_is_sent_again_where_the_policy_says_so(stack):
    job = stack.submit("/orders?offload_ms=100&polls=404", "again", retry={"max_attempts": 2}).json()["id"]
    seen = stack.wait_job(job)
    assert receipts(stack, job) == [1, 2]
    assert [a["error"] for a in seen["attempts"]] == ["offload_unknown", "attempts_used_up"]
    assert (seen["state"], seen["outcome"]["error"]) == ("failed", "attempts_used_up")


# --- posted ---

def test_the_tenant_posts_the_outcome(stack):
    before = stack.tenant.stats()["posted"]
    answer = stack.call("POST", f"/call/slow/orders?offload_ms=500&location=no&complete_at={stack['ingress'].port}", data=b"x")
    assert answer.status_code == 200 and answer.headers["X-Offloaded"] == "posted"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"posted": answer.headers["Sluice-Job-Id"]}
    wait_until(lambda: stack.tenant.stats()["posted"] == before + 1, 10, "its answer")


def begin_posted(stack, tenant="slow", query="offload_ms=60000&location=no"):
    """A job that waits for its outcome, and the token that its tenant got."""
    job = stack.submit(f"/orders?{query}", tenant).json()["id"]
    wait_until(lambda: stack.job(job).get("offloaded"), 10, "the 202")
    assert "poll_at" not in stack.job(job) or "location=no" not in query
    (receipt,) = stack.receipts(job=job)
    return job, receipt["complete_token"]


def test_the_token_is_needed_and_enough(stack):
    job, token = begin_posted(stack)
    record = stack.redis.hgetall(f"{{slow}}:j:{job.partition('.')[2]}")
    assert record["tk"] not in token, "the fence is not disclosed"
    for wrong in ("", "1.", "1", "x", f"2.{token[2:]}", token[:-1], token + "0", f"1.{record['tk']}", "0." + token[2:]):
        expect_problem(complete(stack, job, wrong), 403, "wrong_token")
    assert stack.job(job)["state"] == "running"
    posted = complete(stack, job, token, status=201, headers={"X-A": "b", "X-Two": ["1", "2"], "Connection": "close"},
                      body_text="done")
    assert posted.status_code == 200 and posted.json()["state"] == "succeeded"
    result = stack.result(job)
    assert (result.status_code, result.text, result.headers["X-A"], result.headers["X-Two"]) == (201, "done", "b", "1, 2")
    assert result.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_token_is_good_for_one_outcome(stack):
    job, token = begin_posted(stack)
    outcome = {"status": 422, "body": {"why": "no"}}
    first = complete(stack, job, token, **outcome)
    assert first.status_code == 200 and first.json()["state"] == "failed"
    again = complete(stack, job, token, **outcome)
    assert again.status_code == 200 and again.json() == first.json()
    expect_problem(complete(stack, job, token, status=200), 409, "already_completed")
    expect_problem(complete(stack, job, "1.0", **outcome), 403, "wrong_token")
    assert stack.result(job).json() == {"why": "no"}


def test_bytes_may_be_posted(stack):
    job, token = begin_posted(stack)
    assert complete(stack, job, token, body_base64="AAH/", headers={"content-type": "image/x"}).status_code == 200
    result = stack.result(job)
    assert (result.content, result.headers["Content-Type"]) == (b"\x00\x01\xff", "image/x")


@pytest.mark.parametrize("document", [
    {}, [], {"token": 1}, {"token": "x", "other": 1}, {"token": "x", "status": 199}, {"token": "x", "status": 600},
    {"token": "x", "status": "200"}, {"token": "x", "body": 1, "body_text": "1"}, {"token": "x", "headers": []},
    {"token": "x", "headers": {"a b": "c"}}, {"token": "x", "headers": {"a": 1}}, {"token": "x", "headers": {"a": ["b", 1]}},
    {"token": "x", "headers": {"a": "b\r\nc: d"}}, {"token": "x", "body_base64": "?"}, {"token": "x", "body_text": {}}])
def test_what_is_no_outcome_is_refused(stack, document):
    job = "slow." + "a" * 26
    expect_problem(stack.call("POST", f"/v1/jobs/{job}/complete", data=json.dumps(document)), 400, "invalid")


def test_an_unknown_job_has_no_outcome(stack):
    for job in ("slow." + "a" * 26, "nobody." + "a" * 26):
        expect_problem(complete(stack, job, "1." + "0" * 32), 404, "unknown_job")
    assert stack.call("GET", f"/v1/jobs/slow.{'a' * 26}/complete").status_code == 405


def test_an_outcome_may_come_before_the_202(stack):
    waiting = start(stack.call, "POST", "/call/slow/orders?sleep_ms=1500&status=202", data=b"early")
    wait_until(lambda: stack.receipts(path="/orders", body_bytes=5), 10, "the call")
    receipt = stack.receipts(path="/orders", body_bytes=5)[-1]
    assert complete(stack, receipt["job"], receipt["complete_token"], body="early").status_code == 200
    answer = waiting.result(20)
    assert answer.status_code == 200 and answer.json() == "early"
    name = receipt["job"].partition(".")[2]
    wait_until(lambda: stack.redis.hget(f"{{slow}}:j:{name}", "lt1"), 10, "the late 202")
    assert stack.job(receipt["job"])["state"] == "succeeded"


def test_what_is_posted_and_polled_ends_once(stack):
    job, token = begin_posted(stack, query="offload_ms=60000")
    assert complete(stack, job, token, body=1).status_code == 200
    wait_until(lambda: sum(row[0] for name, row in stack.queues().items() if "slow" in name) == 0, 20, "the poll")
    assert stack.result(job).json() == 1


def test_what_is_in_doubt_may_still_be_posted(stack):
    job = stack.submit("/orders?offload_ms=60000&location=no", "short").json()["id"]
    assert stack.wait_job(job)["state"] == "in_doubt"
    (receipt,) = stack.receipts(job=job)
    assert complete(stack, job, receipt["complete_token"], body=2).json()["state"] == "succeeded"
    assert stack.result(job).json() == 2


def test_a_token_of_an_older_attempt_is_over(stack):
    job = stack.submit("/orders?offload_ms=60000&polls=404", "again", retry={"max_attempts": 5}).json()["id"]
    wait_until(lambda: len(receipts(stack, job)) > 1, 20, "another attempt")
    first = stack.receipts(job=job)[0]
    expect_problem(complete(stack, job, first["complete_token"]), 409, "already_completed")


# --- deaths ---

def test_workers_may_die_while_the_tenant_works(stack):
    jobs = [stack.submit("/orders?offload_ms=3000", "slow").json()["id"] for _ in range(20)]
    wait_until(lambda: all(stack.job(job).get("offloaded") for job in jobs), 20, "the 202s")
    for name in ("worker-1", "worker-2"):
        stack.kill(name)
        stack.start(name)
    for job in jobs:
        assert stack.wait_job(job, timeout=60)["state"] == "succeeded"
        assert receipts(stack, job) == [1]


def test_a_drained_worker_leaves_polls_to_others(stack):
    jobs = [stack.submit("/orders?offload_ms=2000", "slow").json()["id"] for _ in range(10)]
    wait_until(lambda: all(stack.job(job).get("offloaded") for job in jobs), 20, "the 202s")
    stack.stop("worker-1")
    for job in jobs:
        assert stack.wait_job(job, timeout=30)["state"] == "succeeded"
    stack.start("worker-1")


def test_many_at_once(stack):
    def one(i):
        return stack.call("POST", f"/call/slow/many?offload_ms={500 + 10 * i}", data=b"x").status_code

    assert together(50, one, range(100)) == [200] * 100
