# SPDX-License-Identifier: Apache-2.0
"""One key, one job (protocol.md, invariant 2)."""
import pytest

from harness import wait_until
from harness.load import HangingCall, config_of, expect_problem, start, together


@pytest.fixture(scope="module")
def stack(make_module_stack):
    return make_module_stack(lambda stack: config_of(stack, {
        "one": {}, "other": {}, "strict": {"idempotency": {"required": True, "window_s": 3600}},
        "brief": {"idempotency": {"required": False, "window_s": 1}}, "doubt": {"in_doubt": {"policy": "hold"}},
        "down": {}}))


def keyed(stack, key, path="/orders", tenant="one", body=b"{}", method="POST", **headers):
    """An asynchronous call with this key."""
    return stack.call(method, f"/call/{tenant}{path}", data=body,
                      headers={"Idempotency-Key": key, "Prefer": "respond-async", **headers})


def insist(send):
    """Repeats while the first one is being accepted, as a 409 asks."""
    answers = []

    def answered():
        answers.append(send())
        if answers[-1].status_code == 409:
            expect_problem(answers[-1], 409, "key_in_progress")
            assert int(answers[-1].headers["Retry-After"]) > 0
        return answers[-1].status_code != 409

    wait_until(answered, 40, "an answer other than 409")
    return answers[-1]


def test_five_hundred_requests_with_one_key_are_one_job(stack):
    answers = together(50, lambda _: insist(lambda: keyed(stack, "order-4711", "/five-hundred")),
                       range(500))
    assert {a.status_code for a in answers} == {202}
    assert len({a.json()["id"] for a in answers}) == 1
    assert len({a.headers["Location"] for a in answers}) == 1
    replayed = [a for a in answers if a.headers.get("Idempotent-Replayed") == "true"]
    assert len(replayed) == 499
    job = answers[0].json()["id"]
    assert stack.wait_job(job)["state"] == "succeeded"
    [receipt] = stack.receipts(path="/five-hundred")
    assert (receipt["key"], receipt["job"]) == ("order-4711", job)


def test_five_hundred_callers_of_both_interfaces_share_one_job(stack):
    body = {"n": 1}

    def send(n):
        if n % 2:
            return stack.submit("/shared", "one", body=body, headers={"Idempotency-Key": "shared"})
        return keyed(stack, "shared", "/shared", body=b'{"n": 1}')

    answers = together(50, lambda n: insist(lambda: send(n)), range(100))
    assert {a.status_code for a in answers} <= {202, 422}
    # requests writes a document's body as {"n": 1}: the same bytes as the call's.
    assert {a.status_code for a in answers} == {202}
    assert len({a.json()["id"] for a in answers}) == 1
    stack.wait_job(answers[0].json()["id"], "succeeded")
    assert len(stack.receipts(path="/shared")) == 1


@pytest.mark.parametrize("change", [{"body": b"other"}, {"path": "/reused?x=1"}, {"method": "PUT"}],
                         ids=["body", "query", "method"])
def test_the_same_key_for_another_request_is_422(stack, change):
    key = f"reused-{next(iter(change))}"
    first = keyed(stack, key, **{"path": "/reused"})
    assert first.status_code == 202
    document = expect_problem(insist(lambda: keyed(stack, key, **{"path": "/reused", **change})),
                              422, "key_reused")
    assert document["detail"]
    stack.wait_job(first.json()["id"], "succeeded")
    assert len([r for r in stack.receipts(path="/reused") if r["key"] == key]) == 1


def test_a_key_belongs_to_its_tenant(stack):
    one, other = keyed(stack, "both", tenant="one"), keyed(stack, "both", tenant="other")
    assert (one.status_code, other.status_code) == (202, 202)
    assert one.json()["id"] != other.json()["id"]


def test_quotes_make_no_difference(stack):
    plain = keyed(stack, "quoted", "/quoted")
    quoted = insist(lambda: keyed(stack, '"quoted"', "/quoted"))
    assert plain.json()["id"] == quoted.json()["id"]
    stack.wait_job(plain.json()["id"], "succeeded")
    [receipt] = stack.receipts(path="/quoted")
    assert receipt["key"] == "quoted"


def test_a_required_key_that_is_missing_is_400(stack):
    for answer in (stack.call("POST", "/call/strict/x", data=b"x"),
                   stack.call("DELETE", "/call/strict/x"), stack.submit("/x", "strict")):
        expect_problem(answer, 400, "idempotency_key_required")
    assert stack.call("GET", "/call/strict/safe").status_code == 200
    assert stack.call("POST", "/call/strict/x", data=b"x",
                      headers={"Idempotency-Key": "given"}).status_code == 200


def test_keys_that_are_too_long_or_malformed(stack):
    assert insist(lambda: keyed(stack, "k" * 255, "/long")).status_code == 202
    expect_problem(keyed(stack, "k" * 256, "/long"), 400)
    expect_problem(keyed(stack, "", "/long"), 400)
    answer = keyed(stack, "k" * 10240, "/long")
    assert answer.status_code in (400, 431)
    expect_problem(answer, answer.status_code)
    expect_problem(stack.submit("/long", "one", idempotency_key="k" * 256), 400)
    expect_problem(stack.submit("/long", "one", idempotency_key="a", headers={"Idempotency-Key": "b"}),
                   400)
    assert stack.submit("/same", "one", idempotency_key="a",
                        headers={"Idempotency-Key": '"a"'}).status_code == 202


def test_a_synchronous_repeat_joins_and_is_replayed(stack):
    def send():
        return stack.call("POST", "/call/one/joined?sleep_ms=1500", data=b"effect",
                          headers={"Idempotency-Key": "joined"})

    first = start(send)
    wait_until(lambda: stack.receipts(path="/joined"))
    second = insist(send)
    first = first.result(30)
    third = send()
    assert [a.status_code for a in (first, second, third)] == [200] * 3
    assert [a.text for a in (first, second, third)] == ["effect"] * 3
    assert len({a.headers["Sluice-Job-Id"] for a in (first, second, third)}) == 1
    assert [a.headers.get("Idempotent-Replayed") for a in (first, second, third)] == \
        [None, "true", "true"]
    assert len(stack.receipts(path="/joined")) == 1


def test_an_asynchronous_repeat_of_a_synchronous_call_keeps_it_alive(stack):
    """The caller hangs up, but another one was promised that the job ends."""
    stack.tenant.control(pause=1)
    try:
        call = HangingCall(stack["ingress"].port, "POST", "/call/one/kept", b"x",
                           [("Idempotency-Key", "kept")])
        wait_until(lambda: stack.receipts(path="/kept"))
        repeat = insist(lambda: keyed(stack, "kept", "/kept", body=b"x"))
        assert repeat.status_code == 202
        call.hang_up()
    finally:
        stack.tenant.control(pause=0)
    assert stack.wait_job(repeat.json()["id"])["state"] == "succeeded"
    assert len(stack.receipts(path="/kept")) == 1


def test_what_was_canceled_before_it_started_frees_its_key(stack):
    def send():
        return stack.submit("/freed", "one", delay_s=60, idempotency_key="freed")

    first = send().json()["id"]
    assert stack.call("DELETE", f"/v1/jobs/{first}").status_code == 200
    second = send()
    assert second.status_code == 202 and second.json()["id"] != first
    assert "Idempotent-Replayed" not in second.headers
    again = insist(send)
    assert again.json()["id"] == second.json()["id"] and again.headers["Idempotent-Replayed"] == "true"
    assert stack.call("DELETE", f"/v1/jobs/{second.json()['id']}").status_code == 200


def test_a_key_is_free_after_its_window(stack):
    def send():
        return stack.submit("/window?sleep_ms=1500", "brief", idempotency_key="window")

    first = send().json()["id"]
    # The window runs from the job's end: while it runs, longer than the window, the key holds.
    stack.wait_job(first, "running")
    assert insist(send).json()["id"] == first
    stack.wait_job(first, "succeeded")
    wait_until(lambda: send().json()["id"] != first, 20)


def test_a_failed_answer_is_replayed_too(stack):
    def send():
        return stack.call("POST", "/call/one/status/404", data=b"none",
                          headers={"Idempotency-Key": "failed"})

    first, second = send(), insist(send)
    assert (first.status_code, first.text) == (second.status_code, second.text) == (404, "none")
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(stack.receipts(path="/status/404")) == 1


def test_a_repeat_of_a_job_in_doubt_answers_at_once(stack):
    def send():
        return stack.call("POST", "/call/doubt/doubt?drop=1", data=b"x",
                          headers={"Idempotency-Key": "doubt"})

    first, second = send(), send()
    for answer in (first, second):
        expect_problem(answer, 502, "call_in_doubt")
    assert first.json()["job"] == second.json()["job"]
    assert len(stack.receipts(path="/doubt")) == 1
