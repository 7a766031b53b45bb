# SPDX-License-Identifier: Apache-2.0
"""Synchronous calls: the tenant's own answer, or a clear word about what became of the call."""
import http.server
import threading
from signal import SIGCONT, SIGSTOP

import pytest

from harness import free_port, wait_until
from harness.load import HangingCall, config_of, expect_problem, quiet, raw, start, together


class Backend:
    """An HTTP server in this process, which says and keeps exactly what came and went."""

    def __init__(self, answer):
        self.heads = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(handler):
                body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
                self.heads.append((handler.command, handler.path, list(handler.headers.raw_items()), body))
                answer(handler, body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_any

            def log_message(self, *_args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def verbatim(handler, body):
    """Answers with repeated and unusual fields, and with the body that came."""
    handler.send_response(200 if handler.path.startswith("/ok") else 500)
    for name, value in (("Set-Cookie", "a=1"), ("X-Between", "x"), ("Set-Cookie", "b=2"),
                        ("Content-Type", "application/x-odd"), ("Via", "1.1 inner"),
                        ("Content-Length", str(len(body)))):
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


@pytest.fixture(scope="module")
def backend():
    it = Backend(verbatim)
    yield it
    it.close()


@pytest.fixture(scope="module")
def stack(make_module_stack, backend):
    def config(stack):
        second = stack.second = stack.processes["sample-2"]
        return config_of(stack, {
            "plain": {}, "slow": {"concurrency": 1, "timeouts": {"sync_s": 1, "total_s": 20}},
            "single": {"concurrency": 1}, "short": {"timeouts": {"sync_s": 1, "total_s": 20}},
            "verbatim": {"instances": [{"name": "v", "url": backend.url}]},
            "pair": {"instances": [{"name": "p1", "url": stack.tenant.url},
                                   {"name": "p2", "url": second.url}],
                     "polling": {"method": "health", "endpoint": "/health", "frequency": 1,
                                 "retries": 0, "retry_delay": 0.2}},
            "nobody": {"instances": [{"name": "n", "url": f"http://127.0.0.1:{free_port()}"}],
                       "timeouts": {"sync_s": 1}},
            "retries": {"retry": {"max_attempts": 5, "initial_s": 0.05, "max_s": 0.2}},
            "apis": {"apis": ["/first", "/first/second"]}, "inner": {"apis": ["/first/second/third"]},
            "small": {"max_result_bytes": 1000},
        })

    stack = make_module_stack(config, start=False)
    stack.add_tenant("sample-2")
    return stack.start()


# --- verbatim ---


@pytest.mark.parametrize("path, status", [("/ok", 200), ("/bad", 500)])
def test_the_answer_is_the_tenants_own(stack, path, status):
    body = bytes(range(256)) * 3
    answer = stack.call("POST", f"/call/verbatim{path}?q=%20a%2Bb&r", data=body,
                        headers={"Content-Type": "application/octet-stream"})
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers["Content-Type"] == "application/x-odd"
    assert answer.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers["Sluice-Attempts"] == "1"
    job = stack.job(answer.headers["Sluice-Job-Id"])
    assert job["state"] == ("succeeded" if status == 200 else "failed")
    result = stack.result(answer.headers["Sluice-Job-Id"])
    assert (result.status_code, result.content) == (status, body)
    assert result.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]


def test_the_request_is_the_callers_own(stack, backend):
    backend.heads.clear()
    head = (b"PATCH /call/verbatim/ok/%7Ea//b;c?x=1&x=2&y=%00 HTTP/1.1\r\nHost: h\r\nX-Twice: 1\r\n"
            b"X-Other: o\r\nX-Twice: 2\r\nConnection: X-Hop, close\r\nX-Hop: gone\r\nTE: trailers\r\n"
            b"Keep-Alive: 1\r\nSluice-Attempt: 9\r\nSluice-Secret: s\r\nPrefer: foo\r\n"
            b"Proxy-Authorization: Basic x\r\nAuthorization: Bearer theirs\r\n"
            b"traceparent: 00-11111111111111111111111111111111-2222222222222222-01\r\n"
            b"Content-Length: 3\r\n\r\n\0a\xff")
    answer = raw(stack["ingress"].port, head)
    assert (answer.status_code, answer.content) == (200, b"\0a\xff")
    [(method, target, fields, body)] = backend.heads
    assert (method, target, body) == ("PATCH", "/ok/%7Ea//b;c?x=1&x=2&y=%00", b"\0a\xff")
    names = [name.lower() for name, _ in fields]
    values = [value for name, value in fields if name.lower() == "x-twice"]
    assert values == ["1", "2"]
    assert names.index("x-twice") < names.index("x-other")
    given = {name.lower(): value for name, value in fields}
    assert given["authorization"] == "Bearer theirs"
    assert given["traceparent"].startswith("00-11111111111111111111111111111111-")
    assert given["sluice-attempt"] == "1"
    assert given["sluice-job-id"] == answer.headers["Sluice-Job-Id"]
    assert given["idempotency-key"] == answer.headers["Sluice-Job-Id"]
    assert names.count("sluice-attempt") == 1
    for name in ("x-hop", "te", "keep-alive", "sluice-secret", "prefer", "proxy-authorization",
                 "user-agent", "accept", "content-type", "expect", "accept-encoding"):
        assert name not in names, name


def test_head_has_no_body_and_its_fields(stack):
    answer = stack.call("HEAD", "/call/plain/head")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["X-Instance"] == "sample-1"
    assert [r["method"] for r in stack.receipts(path="/head")] == ["HEAD"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_any_method_goes_through(stack, method):
    answer = stack.call(method, f"/call/plain/method/{method}")
    assert answer.status_code == 200 and answer.json()["method"] == method


@pytest.mark.parametrize("status", [201, 204, 301, 304, 400, 404, 500])
def test_any_status_comes_back_at_once(stack, status):
    answer = stack.call("POST", f"/call/plain/status/{status}?at-once", data=b"why",
                        allow_redirects=False)
    assert answer.status_code == status
    assert answer.content == (b"" if status in (204, 304) else b"why")
    assert len(stack.receipts(job=answer.headers["Sluice-Job-Id"])) == 1


def test_a_large_answer_comes_whole(stack):
    answer = stack.call("GET", "/call/plain/big?bytes=5000000")
    assert answer.status_code == 200 and answer.content == b"x" * 5000000


def test_an_answer_that_is_too_large_is_said(stack):
    answer = stack.call("POST", "/call/small/big?bytes=1001", data=b"x")
    job = expect_problem(answer, 502, "result_too_large")["job"]
    record = stack.job(job)
    assert (record["state"], record["outcome"]["error"]) == ("succeeded", "result_too_large")
    expect_problem(stack.result(job), 410, "gone")
    assert stack.call("POST", "/call/small/big?bytes=1000", data=b"x").content == b"x" * 1000


def test_declared_paths_lead_to_their_tenants(stack):
    for path, tenant in (("/first/x?y=1", "apis"), ("/first/second", "apis"),
                         ("/first/second/third/4", "inner")):
        answer = stack.call("GET", path)
        assert answer.status_code == 200, answer.text
        assert answer.json()["path"] == path.partition("?")[0]
        assert answer.headers["Sluice-Job-Id"].startswith(tenant + ".")
    expect_problem(stack.call("GET", "/firstly"), 404, "not_found")


# --- preferences and deadlines ---


def test_respond_async(stack):
    answer = stack.call("POST", "/call/plain/async", data=b"x", headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.headers["Vary"] == "Prefer"
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
    stack.wait_job(answer.json()["id"], "succeeded")
    assert stack.result(answer.json()["id"]).text == "x"


def test_wait_gives_the_answer_or_the_place_to_ask(stack):
    quick = stack.call("POST", "/call/plain/quick", data=b"x", headers={"Prefer": "wait=10"})
    assert (quick.status_code, quick.text, quick.headers["Vary"]) == (200, "x", "Prefer")
    slow = stack.call("POST", "/call/plain/waited?sleep_ms=2500", data=b"x",
                      headers={"Prefer": "wait=1"})
    assert slow.status_code == 202
    assert slow.headers["Preference-Applied"] == "wait=1"
    assert slow.headers["Location"] == f"/v1/jobs/{slow.json()['id']}"
    assert stack.wait_job(slow.json()["id"])["state"] == "succeeded"
    assert len(stack.receipts(path="/waited")) == 1


def test_wait_of_what_has_not_started_promises_that_it_will(stack):
    holder = start(stack.call, "POST", "/call/single/holder?sleep_ms=3000", data=b"x")
    wait_until(lambda: stack.receipts(path="/holder"))
    answer = stack.call("POST", "/call/single/promised", data=b"x", headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert stack.wait_job(answer.json()["id"])["state"] == "succeeded"
    assert holder.result(30).status_code == 200


def test_wait_of_what_has_expired_meanwhile_promises_nothing(stack):
    """Found by the model (promised_stands): the ingress is stopped over its caller's deadline, and a worker finds the job
    overdue before the ingress asks for it to live on."""
    holder = start(stack.call, "POST", "/call/single/overtaken-holder?sleep_ms=3000", data=b"x")
    wait_until(lambda: stack.receipts(path="/overtaken-holder"))
    waiting = start(stack.call, "POST", "/call/single/overtaken", data=b"x", headers={"Prefer": "wait=2"})
    job = wait_until(lambda: [j for j in stack.redis.keys("{single}:j:*") if stack.redis.hget(j, "st") == "queued"])[0]
    stack.signal("ingress", SIGSTOP)
    try:
        wait_until(lambda: stack.redis.hget(job, "st") == "expired", timeout=30)
    finally:
        stack.signal("ingress", SIGCONT)
    expect_problem(waiting.result(30), 504, "sync_timeout")
    assert holder.result(30).status_code == 200
    assert stack.receipts(path="/overtaken") == []


def test_an_answer_that_nobody_announced_is_read(stack):
    """The announcement is a hint: without it the caller has its answer within seconds, long before its deadline."""
    waiting = start(stack.call, "POST", "/call/single/unannounced?sleep_ms=1500", data=b"x")
    wait_until(lambda: stack.receipts(path="/unannounced"))
    record = next(j for j in stack.redis.keys("{single}:j:*") if stack.redis.hget(j, "st") == "running")
    assert stack.redis.hget(record, "rc")
    stack.redis.hset(record, "rc", "")
    wait_until(lambda: stack.redis.hget(record, "st") == "succeeded")
    answer = wait_until(lambda: waiting.done() and waiting.result(), 15, "the answer")
    assert (answer.status_code, answer.text) == (200, "x")


def test_a_deadline_of_what_has_started_is_504_and_it_goes_on(stack):
    answer = stack.call("POST", "/call/short/started?sleep_ms=2500", data=b"x")
    document = expect_problem(answer, 504, "sync_timeout")
    assert "started" in document["detail"]
    assert stack.wait_job(document["job"])["state"] == "succeeded"
    assert len(stack.receipts(path="/started")) == 1
    assert stack.result(document["job"]).text == "x"


def test_a_deadline_of_what_has_not_started_is_504_and_it_never_does(stack):
    holder = stack.submit("/slow-holder?sleep_ms=4000", "slow").json()["id"]
    wait_until(lambda: stack.receipts(path="/slow-holder"))
    answers = together(8, lambda n: stack.call("POST", f"/call/slow/never/{n}", data=b"x"), range(8))
    for answer in answers:
        job = expect_problem(answer, 504, "sync_timeout")["job"]
        assert stack.job(job)["state"] == "expired"
    stack.wait_job(holder, "succeeded")
    assert stack.wait_job(stack.submit("/slow-after", "slow").json()["id"])["state"] == "succeeded"
    quiet(stack)
    assert [r for r in stack.receipts() if r["path"].startswith("/never/")] == []


def test_a_caller_that_hangs_up_before_the_start_is_not_served(stack):
    holder = stack.submit("/single-holder?sleep_ms=4000", "single").json()["id"]
    wait_until(lambda: stack.receipts(path="/single-holder"))
    calls = [HangingCall(stack["ingress"].port, "POST", f"/call/single/gone/{n}", b"x")
             for n in range(5)]
    wait_until(lambda: stack.metric("sluice_waiting_callers") >= 5)
    for call in calls:
        call.hang_up()
    wait_until(lambda: stack.metric("sluice_waiting_callers") == 0)
    assert stack.job(holder)["state"] == "running"
    stack.wait_job(holder, "succeeded")
    after = stack.submit("/single-after", "single").json()["id"]
    assert stack.wait_job(after)["state"] == "succeeded"
    quiet(stack)
    assert [r for r in stack.receipts() if r["path"].startswith("/gone/")] == []


def test_what_has_started_goes_on_when_its_caller_hangs_up(stack):
    call = HangingCall(stack["ingress"].port, "POST", "/call/plain/left?sleep_ms=1500", b"x")
    [receipt] = wait_until(lambda: stack.receipts(path="/left"))
    call.hang_up()
    assert stack.wait_job(receipt["job"])["state"] == "succeeded"
    assert len(stack.receipts(path="/left")) == 1


# --- instances and retries ---


def test_a_refused_connection_takes_the_instance_out_and_the_other_one_serves(stack):
    stack.tenant.control(refuse=1)
    try:
        answers = together(8, lambda n: stack.call("POST", f"/call/pair/pair/{n}", data=b"x"), range(40))
        assert {(a.status_code, a.headers["X-Instance"]) for a in answers} == {(200, "sample-2")}
    finally:
        stack.tenant.control(refuse=0)
    for n in range(40):
        assert len(stack.receipts(path=f"/pair/{n}")) == 1

    def both_serve():
        served = {stack.call("POST", "/call/pair/back", data=b"x").headers["X-Instance"]
                  for _ in range(4)}
        return served == {"sample-1", "sample-2"}

    wait_until(both_serve, 20, "the instance is back")


def test_nobody_there_is_a_clear_answer(stack):
    answer = stack.call("POST", "/call/nobody/x", data=b"x")
    assert answer.status_code in (502, 504)
    document = expect_problem(answer, answer.status_code)
    wait_until(lambda: stack.job(document["job"])["state"] in ("expired", "failed"), 15)


def test_503_is_tried_again_within_the_deadline(stack):
    answer = stack.call("POST", "/call/retries/fail?times=2&status=503", data=b"done")
    assert (answer.status_code, answer.text, answer.headers["Sluice-Attempts"]) == (200, "done", "3")
    receipts = stack.receipts(job=answer.headers["Sluice-Job-Id"])
    assert [r["attempt"] for r in receipts] == [1, 2, 3]
    assert len({r["key"] for r in receipts}) == 1


def test_500_of_a_call_is_not_tried_again(stack):
    answer = stack.call("POST", "/call/retries/fail?times=2&status=500", data=b"x")
    assert (answer.status_code, answer.headers["Sluice-Attempts"]) == (500, "1")
    assert len(stack.receipts(job=answer.headers["Sluice-Job-Id"])) == 1


def test_a_job_is_tried_again_and_retry_after_is_the_floor(stack):
    job = stack.submit("/fail?times=2&status=503&retry_after=2", "retries").json()["id"]
    assert stack.wait_job(job, timeout=40)["state"] == "succeeded"
    times = [r["time"] for r in stack.receipts(job=job)]
    assert len(times) == 3
    assert all(later - earlier >= 2000 for earlier, later in zip(times, times[1:]))


def test_attempts_are_used_up_and_the_answer_is_kept(stack):
    job = stack.submit("/fail?times=99&status=503", "retries", body={"n": 1}).json()["id"]
    record = stack.wait_job(job, timeout=40)
    assert (record["state"], record["outcome"]["error"]) == ("failed", "attempts_used_up")
    assert [a["status"] for a in record["attempts"]] == [503] * 5
    assert len(stack.receipts(job=job)) == 5
    assert stack.result(job).status_code == 503
    again = stack.call("POST", f"/v1/jobs/{job}/retry")
    assert again.status_code == 200, again.text
    wait_until(lambda: len(stack.receipts(job=job)) == 10, 40)
    assert stack.wait_job(job, "failed")["outcome"]["error"] == "attempts_used_up"


def test_the_last_answer_goes_back_when_attempts_are_used_up(stack):
    answer = stack.call("POST", "/call/retries/fail?times=99&status=503", data=b"x")
    assert (answer.status_code, answer.headers["Sluice-Attempts"]) == (503, "5")
    assert answer.headers["X-Instance"] == "sample-1"


@pytest.mark.parametrize("status, attempts", [(500, 1), (502, 1), (429, 2), (425, 2), (408, 2)])
def test_what_is_retried_of_an_unsafe_job(stack, status, attempts):
    job = stack.submit(f"/fail?times=1&status={status}", "retries").json()["id"]
    record = stack.wait_job(job)
    assert record["state"] == {500: "failed", 502: "in_doubt"}.get(status, "succeeded")
    assert len(record["attempts"]) == attempts == len(stack.receipts(job=job))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_is_retried_of_a_safe_job(stack, status):
    job = stack.submit(f"/fail?times=1&status={status}", "retries", method="GET").json()["id"]
    record = stack.wait_job(job)
    assert record["state"] == "succeeded"
    assert [a["status"] for a in record["attempts"]] == [status, 200]


def test_wait_of_what_has_expired_gets_no_202(make_stack):
    """Random chaos, seed 5: a delivery past its caller's deadline expired the job, and the ingress, paused
    meanwhile, answered 202 with the state `expired`."""
    stack = make_stack()
    stack["worker"].signal(SIGSTOP)
    try:
        call = HangingCall(stack["ingress"].port, "POST", "/call/sample/late", b"x", [("Prefer", "wait=1")])
        [key] = wait_until(lambda: list(stack.redis.scan_iter("{sample}:j:*")))
        wait_until(lambda: stack.redis.hget(key, "st") == "queued")
        stack["ingress"].signal(SIGSTOP)
        deadline_ms = int(stack.redis.hget(key, "ex"))
        wait_until(lambda: stack.redis.time()[0] * 1000 > deadline_ms)
    finally:
        stack["worker"].signal(SIGCONT)
    try:
        wait_until(lambda: stack.redis.hget(key, "st") == "expired")
    finally:
        stack["ingress"].signal(SIGCONT)
    assert "not started" in expect_problem(call.answer(), 504, "sync_timeout")["detail"]
    assert stack.receipts(path="/late") == []
