# SPDX-License-Identifier: Apache-2.0
"""Jobs from their POST to their result."""
import base64
import json
from datetime import datetime

import pytest

from harness import wait_until
from harness.load import by_path, config_of, expect_problem, quiet, together

MANY = 1000
CALLERS = 64


@pytest.fixture(scope="module")
def stack(make_module_stack):
    return make_module_stack(lambda stack: config_of(stack, {
        "many": {}, "docs": {}, "later": {}, "fails": {}, "brief": {"result_ttl_s": 1},
        "slow": {"concurrency": 1}}))


@pytest.mark.timeout_s(180)
def test_a_thousand_jobs_and_a_thousand_calls(stack):
    jobs = together(CALLERS, lambda n: stack.submit(f"/job/{n}", "many", body={"n": n}), range(MANY))
    calls = together(CALLERS, lambda n: stack.call("POST", f"/call/many/call/{n}", data=f"call {n}"),
                     range(MANY))
    assert {a.status_code for a in jobs} == {202}
    assert [(a.status_code, a.text) for a in calls] == [(200, f"call {n}") for n in range(MANY)]
    ids = [a.json()["id"] for a in jobs] + [a.headers["Sluice-Job-Id"] for a in calls]
    assert len(set(ids)) == 2 * MANY

    together(CALLERS, lambda i: stack.wait_job(i, "succeeded", timeout=60), ids[:MANY])
    results = together(CALLERS, stack.result, ids[:MANY])
    assert [(a.status_code, a.json()) for a in results] == [(200, {"n": n}) for n in range(MANY)]
    assert {d["state"] for d in together(CALLERS, stack.job, ids[MANY:])} == {"succeeded"}
    results = together(CALLERS, stack.result, ids[MANY:])
    assert [a.text for a in results] == [f"call {n}" for n in range(MANY)]

    found = by_path(r for r in stack.receipts() if r["path"].startswith(("/job/", "/call/")))
    assert {path: len(rows) for path, rows in found.items()} == \
        {f"/{kind}/{n}": 1 for kind in ("job", "call") for n in range(MANY)}
    assert {rows[0]["job"] for rows in found.values()} == set(ids)
    quiet(stack)


def test_a_202_says_where_the_job_is(stack):
    answer = stack.submit("/where", "docs", body={"a": [1, None, "ü"]}, labels={"run": "42"})
    document = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{document['id']}"
    assert document["id"].startswith("docs.") and len(document["id"]) == len("docs.") + 26
    job = stack.wait_job(document["id"], "succeeded")
    assert (job["tenant"], job["labels"]) == ("docs", {"run": "42"})
    assert job["created_at"].endswith("Z") and job["ended_at"].endswith("Z")
    assert job["outcome"]["status"] == 200 and job["outcome"]["error"] is None
    [attempt] = job["attempts"]
    assert (attempt["number"], attempt["instance"], attempt["status"], attempt["error"]) == \
        (1, "sample-1", 200, None)
    assert stack.call("GET", job["links"]["result"]).json() == {"a": [1, None, "ü"]}


@pytest.mark.parametrize("request_, wanted", [
    ({"body": {"b": 1.50, "a": "\u20ac"}}, '{"b": 1.50, "a": "\\u20ac"}'),
    ({"body_text": "naïve\n"}, "naïve\n"),
    ({"body_base64": base64.b64encode(bytes(range(256))).decode()}, bytes(range(256)))],
    ids=["json", "text", "base64"])
def test_a_body_goes_out_as_it_came(stack, request_, wanted):
    if "body" in request_:
        text = '{"tenant": "docs", "request": {"path": "/as-it-is", "body": %s}}' % wanted
    else:
        text = json.dumps({"tenant": "docs", "request": {"path": "/as-it-is", **request_}})
    answer = stack.call("POST", "/v1/jobs", data=text.encode(),
                        headers={"Content-Type": "application/json"})
    assert answer.status_code == 202, answer.text
    job = answer.json()["id"]
    stack.wait_job(job, "succeeded")
    assert stack.result(job).content == (wanted if isinstance(wanted, bytes) else wanted.encode())


def test_a_delayed_job_shows_scheduled_and_then_runs_once(stack):
    job = stack.submit("/later", "later", delay_s=2).json()
    assert job["state"] == "scheduled"
    assert stack.job(job["id"])["state"] == "scheduled"
    assert stack.receipts(job=job["id"]) == []
    done = stack.wait_job(job["id"], "succeeded", timeout=20)
    [receipt] = stack.receipts(job=job["id"])
    created = datetime.fromisoformat(done["created_at"].replace("Z", "+00:00"))
    assert receipt["time"] >= created.timestamp() * 1000 + 2000 - 1


def test_what_is_canceled_before_it_starts_never_runs(stack):
    job = stack.submit("/canceled", "later", delay_s=1).json()["id"]
    answer = stack.call("DELETE", f"/v1/jobs/{job}")
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    assert stack.call("DELETE", f"/v1/jobs/{job}").status_code == 200
    later = stack.submit("/after-canceled", "later", delay_s=1.5).json()["id"]
    stack.wait_job(later, "succeeded")
    quiet(stack)
    assert stack.receipts(job=job) == []
    expect_problem(stack.result(job), 409, "canceled")


def test_what_has_ended_or_runs_is_not_canceled(stack):
    job = stack.submit("/done", "docs").json()["id"]
    stack.wait_job(job, "succeeded")
    expect_problem(stack.call("DELETE", f"/v1/jobs/{job}"), 409, "not_cancelable")
    running = stack.submit("/runs?sleep_ms=3000", "docs").json()["id"]
    stack.wait_job(running, "running")
    expect_problem(stack.call("DELETE", f"/v1/jobs/{running}"), 409, "not_cancelable")
    assert stack.wait_job(running)["state"] == "succeeded"


def test_what_is_past_its_own_deadline_never_runs(stack):
    holder = stack.submit("/holder?sleep_ms=2500", "slow").json()["id"]
    stack.wait_job(holder, "running")
    job = stack.submit("/too-late", "slow", ttl_s=1).json()["id"]
    assert stack.wait_job(job)["state"] == "expired"
    assert stack.receipts(job=job) == []
    expect_problem(stack.result(job), 409, "expired")


def test_a_result_is_202_until_there_is_one_and_410_after_its_time(stack):
    job = stack.submit("/brief?sleep_ms=1000", "brief").json()["id"]
    answer = stack.result(job)
    assert (answer.status_code, answer.json()["id"]) == (202, job)
    stack.wait_job(job, "succeeded")
    wait_until(lambda: stack.result(job).status_code == 410, 20)
    expect_problem(stack.result(job), 410, "gone")
    assert stack.job(job)["state"] == "succeeded"


def test_a_final_answer_of_400_and_more_is_a_failure_with_its_answer(stack):
    job = stack.submit("/status/404", "fails", body={"why": "none"}).json()["id"]
    done = stack.wait_job(job)
    assert (done["state"], done["outcome"]["status"], len(done["attempts"])) == ("failed", 404, 1)
    answer = stack.result(job)
    assert (answer.status_code, answer.json()) == (404, {"why": "none"})
    expect_problem(stack.call("POST", f"/v1/jobs/{job}/retry"), 409, "not_on_shelf")


def test_a_long_poll_ends_with_the_next_state(stack):
    job = stack.submit("/polled?sleep_ms=1500", "docs").json()["id"]
    stack.wait_job(job, "running")
    answer = stack.call("GET", f"/v1/jobs/{job}", headers={"Prefer": "wait=20"})
    assert answer.json()["state"] == "succeeded"
    assert answer.headers["Preference-Applied"] == "wait=20" and answer.headers["Vary"] == "Prefer"
    same = stack.call("GET", f"/v1/jobs/{job}", headers={"If-None-Match": answer.headers["ETag"]})
    assert same.status_code == 304


def test_unknown_jobs_are_404(stack):
    for path in ("/v1/jobs/docs.aaaaaaaaaaaaaaaaaaaaaaaaaa", "/v1/jobs/nonsense",
                 "/v1/jobs/nobody.aaaaaaaaaaaaaaaaaaaaaaaaaa/result"):
        expect_problem(stack.call("GET", path), 404, "unknown_job")
    expect_problem(stack.call("DELETE", "/v1/jobs/docs.aaaaaaaaaaaaaaaaaaaaaaaaaa"), 404, "unknown_job")
    expect_problem(stack.call("GET", "/v1/jobs/docs.aaaaaaaaaaaaaaaaaaaaaaaaaa/nonsense"), 404)
