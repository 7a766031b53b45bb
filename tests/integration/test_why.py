# SPDX-License-Identifier: Apache-2.0
"""GET /v1/jobs/{id}/why: what keeps a job from running, as a claim would be told now; by the script for each reason, and from
the outside for some."""
import subprocess

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem
from test_walk import Scripts, store  # noqa: F401

ID = "one.aaaaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture
def why(store):  # noqa: F811
    return Why(store)


class Why(Scripts):
    def __call__(self, script, *args):
        """Nothing is written by why."""
        before = self.everything() if script == "why" else None
        said = super().__call__(script, *args)
        assert script != "why" or self.everything() == before
        return said

    def everything(self):
        return sorted((key, self.redis.dump(key)) for key in self.redis.keys())

    def queued(self, name):
        self.accept(name)
        self("mark", 3600000, name)

    def of(self, name):
        """(state, reason, until, place, note)"""
        said = self("why", name)
        return (said[0], *said[3:])


def test_nothing_keeps_what_has_a_free_instance(why):
    why.queued("j")
    assert why.of("j") == ("queued", "", "", "1", "")


def test_who_runs_or_has_ended_waits_for_nothing(why):
    why.queued("j")
    assert why.claim("j")[0] == "go"
    assert why.of("j") == ("running", "", "", "", "")
    assert why.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"
    assert why.of("j") == ("succeeded", "", "", "", "")
    why.queued("k")
    assert why.claim("k")[0] == "go"
    assert why.complete("k", 1, "t1", "hold")[0] == "in_doubt"
    assert why.of("k") == ("in_doubt", "", "", "", "")


def test_concurrency_and_the_place_in_line(why):
    for name in "abcd":
        why.queued(name)
    for name in "ab":
        assert why.claim(name, token=name)[0] == "go"
    assert why.of("c") == ("queued", "concurrency", "", "1", "")
    assert why.of("d") == ("queued", "concurrency", "", "2", "")


def test_paused_by_whom(why):
    why.queued("j")
    why.redis.hset("{t}:t", "paused", "Kim: until the migration is over")
    assert why.of("j") == ("queued", "paused", "", "1", "Kim: until the migration is over")


@pytest.mark.parametrize("field, value", [("up:a", "0"), ("dr:a", "1")])
def test_no_instance(why, field, value):
    why.queued("j")
    why.redis.hset("{t}:t", field, value)
    assert why.of("j") == ("queued", "no_instance", "", "1", "")


def test_delayed_until(why):
    why("accept", "j", "", "fp", "normal", "async", 0, 0, 60000, "", 30000, 0)
    why("mark", 3600000, "j")
    due = why.redis.hget("{t}:j:j", "due")
    assert why.of("j") == ("scheduled", "delayed", due, "", "")


def test_a_retry_is_delayed_until_it_is_due(why):
    why.queued("j")
    assert why.claim("j")[0] == "go"
    assert why.complete("j", 1, "t1", "retry", wait=60000)[0] == "waiting"
    assert why.of("j") == ("waiting", "delayed", why.redis.hget("{t}:j:j", "due"), "", "")


def test_cooling_until(why):
    why.queued("j")
    till = str(why.redis.time()[0] * 1000 + 60000)
    why.redis.hset("{t}:t", "cool:a", till)
    assert why.of("j") == ("queued", "cooling", till, "1", "")


def test_an_open_breaker_until(why):
    why.queued("j")
    till = str(why.redis.time()[0] * 1000 + 60000)
    why.redis.hset("{t}:t", "br:a", f"o {till}")
    assert why("why", "j", "breaker", "0.5 20 30000 90000 3")[3:5] == ["breaker", till]
    assert why.of("j")[1] == "", "a tenant without breakers has none"


def test_a_rate_until(why):
    why.queued("j")
    why.redis.hset("{t}:t", "pol", "rate=1,60000,1")
    now = why.redis.time()[0] * 1000
    why.redis.hset("{t}:t", "tat", now + 50000)
    _, reason, till, place, _ = why.of("j")
    assert (reason, place) == ("rate", "1")
    assert now + 40000 <= int(till) <= now + 60000


def test_the_order_of_a_key(why):
    for name in ("i", "j", "k"):
        why("accept", name, "", "fp", "normal", "async", 0, 0, 0, "", 30000, 0, "ok", "customer-9")
        why("mark", 3600000, name)
    assert why.of("i")[1] == ""
    assert why.of("j") == ("queued", "order", "", "2", "")
    assert why.of("k") == ("queued", "order", "", "3", "")


def test_what_is_not_there(why):
    assert why("why", "nobody") == ["missing"]


# --- from the outside ---

@pytest.fixture(scope="module")
def stack(make_module_stack):
    return make_module_stack(lambda stack: config_of(stack, {"one": {"concurrency": 1}, "two": {}}))


def ask(stack, job):
    answer = stack.call("GET", f"/v1/jobs/{job}/why")
    assert answer.status_code == 200
    return answer.json()


def test_a_queue_behind_a_single_call(stack):
    first = stack.submit("/x?sleep_ms=4000", "one").json()["id"]
    wait_until(lambda: ask(stack, first) == {"state": "running", "reason": None, "until": None, "place": None}, 10, "it runs")
    second, third = [stack.submit("/x", "one").json()["id"] for _ in range(2)]
    said = ask(stack, second)
    assert (said["reason"], said["until"], said["place"]) == ("concurrency", None, 1)
    assert ask(stack, third)["place"] == 2
    said = subprocess.run([stack.binaries / "sluice", "--ingress", stack.ingress_url, "why", third], capture_output=True,
                          text=True, timeout=30)
    assert said.returncode == 0, said.stderr
    assert dict(line.split(None, 1) for line in said.stdout.splitlines())["reason"] == "concurrency"
    assert stack.wait_job(third)["state"] == "succeeded"
    assert ask(stack, third) == {"state": "succeeded", "reason": None, "until": None, "place": None}


def test_a_delayed_job_says_until_when(stack):
    job = stack.submit("/x", "two", delay_s=60).json()
    said = ask(stack, job["id"])
    assert (said["state"], said["reason"], said["place"]) == ("scheduled", "delayed", None)
    assert said["until"] == stack.job(job["id"])["not_before"]


def test_what_cannot_be_asked(stack):
    expect_problem(stack.call("GET", f"/v1/jobs/{ID}/why"), 404, "unknown_job")
    expect_problem(stack.call("GET", "/v1/jobs/x/why"), 404, "unknown_job")
    expect_problem(stack.call("POST", f"/v1/jobs/{ID}/why"), 405, "method_not_allowed")
