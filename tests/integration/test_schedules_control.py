# SPDX-License-Identifier: Apache-2.0
"""What an operator says to schedules, and what becomes of a fire that finds the last one's job: on the real stack."""
import time
from datetime import datetime, timezone

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem

SECOND = "* * * * * *"
NEVER = "0 0 0 1 1 *"  # but for a second a year


def plan(name, cron=SECOND, path=None, job=None, **more):
    """A schedule whose calls are known by their path."""
    return {"cron": cron, "timezone": "UTC", "overlap": "allow", **more,
            "job": {"tenant": "sample", "request": {"path": path or f"/{name}", "body": {}}, **(job or {})}}


class Schedules:
    """The schedules of one stack, over HTTP."""

    def __init__(self, stack):
        self.stack = stack

    def url(self, name, word="", dispatcher="dispatcher"):
        return f"{self.stack[dispatcher].url}/v1/schedules/{name}" + (f"/{word}" if word else "")

    def show(self, name, **where):
        answer = self.stack.http.get(self.url(name, **where), timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, name, word, document=None, headers=None, **where):
        return self.stack.http.post(self.url(name, word, **where), json=document, headers=headers, timeout=30)

    def said(self, name, word, document=None, **where):
        answer = self.post(name, word, document, **where)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    def receipts(self, path):
        return [r for r in self.stack.receipts() if r["path"].partition("?")[0] == path]

    def calls(self, path):
        return len(self.receipts(path))

    def instants(self, path):
        return [instant(r["scheduled_time"]) for r in self.receipts(path)]

    def cursor(self, name):
        return int(self.stack.redis.hget("{sample}:c", name) or 0)

    def passes(self, name, seconds=3):
        """The leader has handled so many seconds' instants more."""
        before = self.cursor(name)
        wait_until(lambda: self.cursor(name) >= before + seconds * 1000, 40, f"the cursor of {name}")


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def text_of(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def stack(make_module_stack):
    def config(stack):
        return config_of(stack, {"sample": {}}, {
            "paused": plan("paused"), "told": plan("told", NEVER), "again": plan("again", catch_up="all")})

    return make_module_stack(config, dispatchers=2)


@pytest.fixture(scope="module")
def schedules(stack):
    return Schedules(stack)


# --- pause and resume ---

def test_a_pause_holds_from_its_answer_on_and_nothing_is_made_up(stack, schedules):
    wait_until(lambda: schedules.calls("/paused") >= 2, 30, "fires")
    said = schedules.said("paused", "pause", {"note": "a new printer"}, dispatcher="dispatcher-2")
    assert (said["paused"]["note"], said["paused"]["by"]) == ("a new printer", "operator")
    fired = schedules.show("paused")["fired"]
    schedules.passes("paused")
    for dispatcher in ("dispatcher", "dispatcher-2"):
        shown = schedules.show("paused", dispatcher=dispatcher)
        assert (shown["fired"], shown["paused"]) == (fired, said["paused"])
    went_on = time.time()
    assert schedules.said("paused", "resume")["paused"] is None
    wait_until(lambda: schedules.show("paused")["fired"] >= fired + 2, 30, "fires again")
    begun = instant(said["paused"]["since"]).timestamp()
    wait_until(lambda: max(schedules.instants("/paused")).timestamp() > went_on, 30)
    between = [t for t in schedules.instants("/paused") if begun + 1 < t.timestamp() < went_on - 1]
    assert between == []


def test_a_word_said_twice_changes_nothing(schedules):
    first = schedules.said("told", "pause", {"note": "one"})
    assert schedules.said("told", "pause") == first
    assert schedules.said("told", "pause", {"note": "two"})["paused"] == {**first["paused"], "note": "two"}
    assert schedules.said("told", "resume")["paused"] is None
    cursor = schedules.cursor("told")
    assert schedules.said("told", "resume")["paused"] is None
    assert schedules.cursor("told") == cursor, "what is not paused has its cursor moved"
    assert schedules.said("told", "pause")["paused"]["note"] == "paused"
    schedules.said("told", "resume")


def test_what_no_schedule_understands_is_refused(stack, schedules):
    expect_problem(schedules.post("nobody", "pause"), 404, "not_found")
    expect_problem(schedules.post("told", "pause", {"why": "x"}), 400, "invalid")
    expect_problem(schedules.post("told", "pause", {"note": "x" * 1001}), 400, "invalid")
    refused = stack.http.put(schedules.url("told", "pause"), timeout=10)
    expect_problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"


@pytest.mark.slow
@pytest.mark.timeout_s(180)
def test_a_pause_outlives_a_reload_a_restart_and_a_time_without_a_dispatcher(make_stack):
    def config(stack, note="one"):
        return config_of(stack, {"sample": {}},
                         {"tick": plan("tick", catch_up="all", job={"labels": {"config": note}})})

    stack = make_stack(config)
    schedules = Schedules(stack)
    wait_until(lambda: schedules.calls("/tick") >= 1, 30)
    said = schedules.said("tick", "pause", {"note": "stays"})
    stack.configure(lambda s: config(s, "two"))
    stack.signal("dispatcher", 1)
    schedules.passes("tick")
    fired = schedules.show("tick")["fired"]
    stack.stop("dispatcher")
    time.sleep(4)  # instants that nobody handles: they are what a resume must not make up
    stack["dispatcher"].start()
    stack.wait_ready()
    assert schedules.show("tick")["paused"] == said["paused"]
    went_on = time.time()
    assert schedules.said("tick", "resume")["paused"] is None
    wait_until(lambda: schedules.show("tick")["fired"] >= fired + 2, 30)
    begun = instant(said["paused"]["since"]).timestamp()
    assert [t for t in schedules.instants("/tick") if begun + 1 < t.timestamp() < went_on - 1] == []


# --- run ---

def test_a_run_is_one_job_now_whatever_holds(stack, schedules):
    schedules.said("told", "pause")
    cursor = schedules.cursor("told")
    began = time.time()
    said = schedules.said("told", "run", dispatcher="dispatcher-2")
    other = schedules.said("told", "run")
    assert said["links"] == {"self": f"/v1/jobs/{said['id']}"} and other["id"] != said["id"]
    for job in (said["id"], other["id"]):
        assert stack.wait_job(job, "succeeded")["schedule"] == "told"
    [receipt] = [r for r in schedules.receipts("/told") if r["job"] == said["id"]]
    assert began - 2 < instant(receipt["scheduled_time"]).timestamp() < time.time() + 1
    assert receipt["schedule"] == "told"
    shown = schedules.said("told", "resume")
    assert (shown["fired"], shown["last"]) == (0, None), "a run is no fire"
    assert schedules.cursor("told") >= cursor


def test_a_run_with_a_key_is_made_once(stack, schedules):
    keyed = [schedules.post("told", "run", headers={"Idempotency-Key": key}, dispatcher=where).json()["id"]
             for key in ("one", "two") for where in ("dispatcher", "dispatcher-2")]
    assert keyed[0] == keyed[1] != keyed[2] == keyed[3]
    for job in keyed:
        stack.wait_job(job, "succeeded")
    again = schedules.post("told", "run", headers={"Idempotency-Key": "one"}).json()["id"]
    assert again == keyed[0] and stack.job(again)["state"] == "succeeded"
    assert [r["job"] for r in schedules.receipts("/told")].count(again) == 1
    expect_problem(schedules.post("told", "run", headers={"Idempotency-Key": "x" * 256}), 400, "invalid")
