# SPDX-License-Identifier: Apache-2.0
"""What an operator says to schedules, and what becomes of a fire that finds the last one's job: on the real stack."""
import hashlib
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

    def said_of(self, name, word="history", **where):
        answer = self.stack.http.get(self.url(name, word, **where), timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def receipts(self, path):
        return [r for r in self.stack.receipts() if r["path"].partition("?")[0] == path]

    def calls(self, path):
        return len(self.receipts(path))

    def instants(self, path):
        return [instant(r["scheduled_time"]) for r in self.receipts(path)]

    def cursor(self, name):
        return int(self.stack.redis.hget(f"{{{self.show(name)['tenant']}}}:c", name) or 0)

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
    """held and stuck are paused: their jobs do not start until somebody resumes them."""
    def config(stack):
        later = text_of((time.time() + 30) * 1000)  # when held is paused
        return config_of(stack, {"sample": {"retry": {"max_attempts": 1}}, "held": {}, "stuck": {}}, {
            "paused": plan("paused"), "told": plan("told", NEVER), "again": plan("again", catch_up="all"),
            "all": plan("all", path="/all?sleep_ms=1500", overlap="queue_all", max_runs=4),
            "one": plan("one", path="/one?sleep_ms=3500", overlap="queue_one", max_runs=4),
            "newest": plan("newest", "*/2 * * * * *", path="/newest?sleep_ms=6000", overlap="cancel_previous",
                           start=later, job={"tenant": "held"}),
            "thrice": plan("thrice", max_runs=3),
            "fails": plan("fails", "*/2 * * * * *", path="/fails?status=404", pause_on_failure=True),
            "expires": plan("expires", "*/2 * * * * *", pause_on_failure=True, job={"tenant": "stuck", "ttl_s": 1}),
            "hourly": plan("hourly", "0 * * * *", max_runs=2, start="2025-01-01T00:00:00Z", end="2025-06-01T00:00:00Z")})

    stack = make_module_stack(config, dispatchers=2)
    for tenant in ("held", "stuck"):
        assert stack.http.post(f"{stack.dispatcher_url}/v1/tenants/{tenant}/pause", timeout=10).status_code == 200
    return stack


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
        assert (shown["fired"], shown["paused"], shown["next"]) == (fired, said["paused"], None)
    went_on = time.time()
    resumed = schedules.said("paused", "resume")
    assert resumed["paused"] is None and resumed["next"] is not None
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


# --- overlap ---

def fires_of(schedules, name):
    """The oldest first."""
    return schedules.said_of(name)["fires"][::-1]


def ran_one_after_the_other(stack, jobs):
    times = [(d["attempts"][0]["started_at"], d["attempts"][0]["ended_at"])
             for d in (stack.wait_job(j, "succeeded", timeout=60) for j in jobs)]
    assert all(earlier[1] <= later[0] for earlier, later in zip(times, times[1:])), times


def test_queue_all_runs_each_one_after_the_other(stack, schedules):
    wait_until(lambda: schedules.show("all")["runs_left"] == 0, 60)
    shown = schedules.show("all")
    assert (shown["fired"], shown["skipped"], shown["next"]) == (4, 0, None)
    ran_one_after_the_other(stack, [f["job"] for f in fires_of(schedules, "all")])


def test_queue_one_lets_one_wait_and_skips_the_others(stack, schedules):
    wait_until(lambda: schedules.show("one")["runs_left"] == 0, 60)
    fires = fires_of(schedules, "one")
    ended = [stack.wait_job(f["job"], "succeeded", timeout=60)["attempts"][0]["ended_at"] for f in fires]
    before = [sum(e > f["fired_at"] for e in ended[:n]) for n, f in enumerate(fires)]
    assert max(before) == 1, "how many were before each when it was fired"
    shown = schedules.show("one")
    assert shown["fired"] == 4 and shown["skipped"] >= 2, shown
    ran_one_after_the_other(stack, [f["job"] for f in fires])


def test_cancel_previous_cancels_what_has_not_started(stack, schedules):
    tenant = f"{stack.dispatcher_url}/v1/tenants/held"
    wait_until(lambda: len(fires_of(schedules, "newest")) >= 3, 60)
    states = [f["state"] for f in fires_of(schedules, "newest")]
    assert states[:-1] == ["canceled"] * (len(states) - 1)
    assert schedules.show("newest")["skipped"] == 0
    first = fires_of(schedules, "newest")[0]["job"]
    assert stack.job(first)["outcome"]["error"] == "canceled"
    assert stack.http.post(tenant + "/resume", timeout=10).status_code == 200
    # One runs: it is left alone, and no other is made.
    wait_until(lambda: schedules.show("newest")["skipped"] >= 2, 60)
    running = [f for f in fires_of(schedules, "newest") if f["state"] == "running"]
    assert len(running) == 1
    schedules.said("newest", "pause")
    assert stack.wait_job(running[0]["job"])["state"] == "succeeded"
    jobs = {r["job"] for r in schedules.receipts("/newest")}
    assert not jobs & {f["job"] for f in fires_of(schedules, "newest") if f["state"] == "canceled"}


# --- bounds ---

def test_max_runs_bounds_what_the_time_fires(stack, schedules):
    wait_until(lambda: schedules.show("thrice")["runs_left"] == 0, 60)
    schedules.passes("thrice")
    run = schedules.said("thrice", "run")["id"]
    stack.wait_job(run, "succeeded")
    shown = schedules.show("thrice")
    assert (shown["fired"], shown["runs_left"], shown["next"]) == (3, 0, None)
    assert schedules.calls("/thrice") == 4
    assert [f["kind"] for f in fires_of(schedules, "thrice")] == ["time", "time", "time", "run"]
    assert sum(stack.metric("sluice_schedule_fires_total", d, schedule="thrice", outcome="used_up")
               for d in ("dispatcher", "dispatcher-2")) >= 2


@pytest.mark.parametrize("name, state", [("fails", "failed"), ("expires", "expired")])
def test_a_failure_pauses(stack, schedules, name, state):
    paused = wait_until(lambda: schedules.show(name)["paused"], 60, f"{name} to be paused")
    bad = [f["job"] for f in fires_of(schedules, name) if f["state"] == state]
    assert paused["by"] == "failure" and paused["note"] in [f"job {job} {state}" for job in bad]
    fired = schedules.show(name)["fired"]
    schedules.passes(name)
    assert schedules.show(name)["fired"] == fired
    assert schedules.said(name, "resume")["paused"] is None
    wait_until(lambda: schedules.show(name)["fired"] > fired, 30, "fires again")
    wait_until(lambda: schedules.show(name)["paused"], 60, "the next failure")
    said = schedules.said(name, "pause", {"note": "seen"})["paused"]
    assert (said["by"], said["note"]) == ("operator", "seen")


# --- history and backfill ---

def test_the_history_names_the_jobs(stack, schedules):
    fires = wait_until(lambda: len(schedules.said_of("again")["fires"]) >= 2 and schedules.said_of("again")["fires"], 30)
    assert [f["kind"] for f in fires] == ["time"] * len(fires)
    assert [f["time"] for f in fires] == sorted((f["time"] for f in fires), reverse=True)
    stack.wait_job(fires[-1]["job"], "succeeded")
    [oldest] = [f for f in schedules.said_of("again")["fires"] if f["job"] == fires[-1]["job"]]
    assert oldest["state"] == "succeeded"
    assert instant(oldest["time"]) <= instant(oldest["fired_at"])
    stack.redis.delete("{sample}:j:" + oldest["job"].partition(".")[2])
    [gone] = [f for f in schedules.said_of("again")["fires"] if f["job"] == oldest["job"]]
    assert gone["state"] is None
    refused = stack.http.post(schedules.url("again", "history"), timeout=10)
    expect_problem(refused, 405, "method_not_allowed")


def test_a_backfill_makes_each_instant_once(stack, schedules):
    first = schedules.said("hourly", "backfill", {"from": "2025-01-01T00:00:00Z", "until": "2025-01-01T03:00:00Z"})
    assert first["times"] == [f"2025-01-01T0{h}:00:00Z" for h in range(3)]
    for job in first["jobs"]:
        assert stack.wait_job(job, "succeeded")["schedule"] == "hourly"
    wider = {"from": "2025-01-01T00:30:00+01:00", "until": "2025-01-01T04:00:01Z"}
    again = schedules.said("hourly", "backfill", wider, dispatcher="dispatcher-2")
    assert again["times"] == [f"2025-01-01T0{h}:00:00Z" for h in range(5)] and again["jobs"][:3] == first["jobs"]
    for job in again["jobs"]:
        stack.wait_job(job, "succeeded")
    assert sorted(text_of(t.timestamp() * 1000) for t in schedules.instants("/hourly")) == again["times"]
    shown = schedules.show("hourly")
    assert (shown["fired"], shown["last"], shown["runs_left"]) == (0, None, 2), "a backfill is no fire"
    assert {f["kind"] for f in schedules.said_of("hourly")["fires"]} == {"backfill"}


def test_a_backfill_makes_nothing_that_has_fired(stack, schedules):
    wait_until(lambda: schedules.calls("/again") >= 3, 30)
    schedules.said("again", "pause")
    schedules.passes("again", 2)  # its last instant is over
    fires = schedules.said_of("again")["fires"][:3]
    said = schedules.said("again", "backfill", {"from": fires[-1]["time"], "until": text_of(time.time() * 1000)})
    assert [f["job"] for f in fires][::-1] == said["jobs"][:3]
    assert len([f for f in schedules.said_of("again")["fires"] if f["job"] == fires[0]["job"]]) == 1
    schedules.said("again", "resume")


@pytest.mark.parametrize("document", [
    None, {}, {"from": "2025-01-01T00:00:00Z"}, {"from": "x", "until": "2025-01-01T03:00:00Z"},
    {"from": "2025-01-01T00:00:00Z", "until": "2025-01-01T00:00:00Z"},
    {"from": "2025-01-01T00:00:00Z", "until": "2126-01-01T00:00:00Z"},
    {"from": "2025-01-01T00:00:00Z", "until": "2025-06-01T00:00:00Z"},
])
def test_a_backfill_of_no_such_range_is_refused(schedules, document):
    expect_problem(schedules.post("hourly", "backfill", document), 400, "invalid")


@pytest.mark.slow
@pytest.mark.timeout_s(180)
def halve(stack, schedules, span):
    """Sixty schedules that fire within `span` seconds of one instant; two thirds are paused in its midst, half of those go on at once.
    Gives the names by kind, the instant, and what had fired at the pause; None: this machine was too slow for the span."""
    kinds = {kind: [f"{kind}-{span}-{n:02}" for n in range(20)] for kind in ("short", "long", "free")}
    at = int(time.time()) + span
    cron = time.strftime("%S %M * * * *", time.gmtime(at))
    for name in sum(kinds.values(), []):
        bound = {"max_runs": 1} if name.startswith("short") else {}
        answer = stack.http.put(schedules.url(name), json=plan(name, cron, jitter_s=span, **bound), timeout=10)
        assert answer.status_code == 201, answer.text
    if time.time() >= at:
        return None
    wait_until(lambda: time.time() > at + span / 10, 2 * span)
    fired = {}
    for name in kinds["short"] + kinds["long"]:
        fired[name] = schedules.said(name, "pause")["fired"]
        if name in kinds["short"]:
            schedules.said(name, "resume")
    return (kinds, at, fired) if time.time() < at + span / 2 else None


def test_jitter_with_pauses_runs_bounds_and_backfills(stack, schedules):
    """A pause takes away whose moment it holds, and no other."""
    for span in (10, 30, 90):
        halved = halve(stack, schedules, span)
        if halved:
            break
    assert halved, "this machine is too slow for any of this"
    kinds, at, fired = halved
    everyone = sum(kinds.values(), [])

    def instants(name, without=None):
        return [instant(r["scheduled_time"]).timestamp() for r in schedules.receipts(f"/{name}") if r["job"] != without]

    assert all(sum(1 - fired[name] for name in kinds[kind]) >= 5 for kind in ("short", "long")), "or this says nothing"
    by_hand = {name: schedules.said(name, "run")["id"] for name in kinds["short"][:3]}  # neither counted nor bounded

    wait_until(lambda: time.time() > at + span + 1, 2 * span)
    for name in kinds["long"]:
        schedules.said(name, "resume")
    for name in kinds["free"] + [name for name in kinds["short"] if fired[name]]:
        wait_until(lambda: instants(name, by_hand.get(name)) == [at], 20, f"the fire of {name}")
        assert schedules.show(name)["fired"] == 1
    # Those of a short pause go on; but for one, perhaps, whose moment fell into these milliseconds.
    went_on = [name for name in kinds["short"] if not fired[name] and schedules.show(name)["fired"] == 1]
    assert len(went_on) * 3 > sum(1 - fired[name] for name in kinds["short"]) * 2, went_on
    for name in went_on:
        wait_until(lambda: instants(name, by_hand.get(name)) == [at], 20, f"the fire of {name}")
    for name in by_hand:
        wait_until(lambda: any(r["job"] == by_hand[name] for r in schedules.receipts(f"/{name}")), 20, "the run by hand")
    # What the pause took is not made up; a backfill makes it, and nothing that has fired.
    for name in kinds["long"]:
        assert (schedules.show(name)["fired"], len(instants(name))) == (fired[name], fired[name])
        window = {"from": text_of((at - 1) * 1000), "until": text_of((at + 1) * 1000)}
        assert schedules.said(name, "backfill", window)["times"] == [text_of(at * 1000)]
    for name in kinds["long"]:
        wait_until(lambda: instants(name) == [at], 20, f"the backfilled of {name}")
    for name in kinds["short"] + kinds["free"]:
        assert instants(name, by_hand.get(name)) == [at] * schedules.show(name)["fired"]
    for name in everyone:
        assert stack.http.delete(schedules.url(name), timeout=10).status_code == 204


def test_who_may_say_and_who_may_see(make_stack):
    """Submit for the schedule's tenant, or admin; read sees."""
    scopes = {"mine": {"scopes": ["submit"], "tenants": ["sample"]}, "theirs": {"scopes": ["submit"], "tenants": ["other"]},
              "reader": {"scopes": ["read"]}, "admin": {"scopes": ["admin"]}}
    keys = [{"name": name, "hash": "sha256:" + hashlib.sha256(name.encode()).hexdigest(), **may}
            for name, may in scopes.items()]
    stack = make_stack(lambda stack: {**config_of(stack, {"sample": {}, "other": {}}, {"told": plan("told", NEVER)}),
                                      "keys": keys})
    schedules = Schedules(stack)

    def status(key, word, method="POST"):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return stack.http.request(method, schedules.url("told", word), headers=headers, timeout=10).status_code

    for word in ("pause", "resume", "run"):
        good = 202 if word == "run" else 200
        assert [status(k, word) for k in ("mine", "admin", "theirs", "reader", None)] == [good, good, 403, 403, 401], word
    for word in ("", "history"):
        assert [status(k, word, "GET") for k in ("reader", "admin", "mine", None)] == [200, 200, 403, 401], word
