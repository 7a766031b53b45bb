# SPDX-License-Identifier: Apache-2.0
"""The chaos checker sees what it is there for: a good history is green, and each copy of it with one
thing wrong is red, by the right rule. And a seed gives one plan."""
import copy
import hashlib
import json

import checker
import pytest
from plan import LEASE_S, OVERLAP, faults_of, request_of

T0 = 1_795_000_000_000


def sha(text):
    return hashlib.sha1(text.encode()).hexdigest()


def words(job, path):
    """What the sample tenant answers to a request without a body."""
    return json.dumps({"instance": "i", "method": "POST", "path": path, "query": "", "job": job, "attempt": "1"}) + "\n"


class Maker:
    """Builds a history job by job."""

    def __init__(self):
        def empty():
            return {"t": {"c": "0", "run": "0", "ind": "0", "sb": "0"}, "s": {}, "u": [], "w": [], "h": [], "o": [],
                    "b": {}, "k": {}, "dead": []}

        self.history = {"answers": [], "receipts": [], "records": {}, "results": {},
                        "state": {"held": empty(), "plain": empty()}, "queues": {"sluice.held.normal": [0, 0]},
                        "shelf_copies": {"held": [], "plain": []}, "leases": {"w1": "7:3000", "w0": "dead"},
                        "workers": 1, "policies": {"held": "hold", "plain": "retry"}, "kills": [],
                        "limits": {"plain": {"tenant": 3, "instance": 3, "customer": 2, "rate": [10, 1000, 5]}},
                        "rests": [["plain", T0 + 5000, T0 + 6000]],
                        "schedules": {"tick": {"tenant": "plain", "step_ms": 1000, "cursor_ms": T0 + 2000}}}

    def answer(self, number, job, status, key="", kind="async", **more):
        row = {"id": len(self.history["answers"]) + 1, "what": "submit", "interface": "jobs", "port": 1, "n": number,
               "kind": kind, "tenant": job.partition(".")[0], "key": key, "path": f"/w/n{number}", "body": "",
               "ttl": 0, "at": T0 + number, "answered": T0 + number + 50, "status": status, "job": job,
               "replayed": False, **more}
        if status == 202:
            row["id_said"], row["state_said"] = job, "queued"
        if status == 200:
            row["text"] = words(job, row["path"])
            row["sha"] = sha(row["text"])
        self.history["answers"].append(row)

    def receipt(self, job, number, attempt, at, **more):
        self.history["receipts"].append(
            {"phase": "receipt", "key": job, "job": job, "attempt": attempt, "instance": "i", "time": T0 + at,
             "method": "POST", "path": f"/w/n{number}", "query": None, "schedule": None, "scheduled_time": None,
             "body_bytes": 0, "dropped": False, **more})

    def record(self, job, state, rows, **more):
        """rows: (start, end, status, error) of each attempt"""
        self.history["records"][job] = {
            "st": state, "n": str(len(rows)), "cnt": str(len(rows)), "ex": "0", "ttl_ms": 1000, "k": "", "db": "0",
            **{f"a{i + 1}": f"i\t{T0 + a}\t{T0 + b}\t{s}\t{e}" for i, (a, b, s, e) in enumerate(rows)}, **more}

    def result(self, job, number):
        text = words(job, f"/w/n{number}")
        self.history["results"][job] = {"status": 200, "sha": sha(text), "text": text}


def good():
    m = Maker()
    # 1: a 202 that ran. 2: a waiting caller. 3: a key, twice. 4: held in doubt. 5: sent again by policy.
    m.answer(1, "held.one", 202)
    m.receipt("held.one", 1, 1, 30)
    m.record("held.one", "succeeded", [(20, 40, "200", "")], os="200")
    m.result("held.one", 1)
    m.answer(2, "plain.two", 200, kind="sync")
    m.receipt("plain.two", 2, 1, 30)
    m.record("plain.two", "succeeded", [(20, 40, "200", "")], os="200")
    m.result("plain.two", 2)
    for _ in range(2):
        m.answer(3, "held.three", 202, key="k3", kind="async-key")
    m.receipt("held.three", 3, 1, 30, key="k3")
    m.record("held.three", "succeeded", [(20, 40, "200", "")], os="200", k="d3")
    m.result("held.three", 3)
    m.history["state"]["held"]["k"]["d3"] = ["three", 86400000]
    m.answer(4, "held.four", 502, kind="sync", problem="call_in_doubt", detail="")
    m.receipt("held.four", 4, 1, 30)
    m.record("held.four", "in_doubt", [(20, 40, "", "worker_lost")], db="1", sh="1", ttl_ms=-1)
    held = m.history["state"]["held"]
    held["u"], held["h"], held["b"] = ["four"], ["four"], {"four": 100}
    held["t"].update(ind="1", sb="100")
    m.history["shelf_copies"]["held"] = ["held.four"]
    m.answer(5, "plain.five", 202)
    m.receipt("plain.five", 5, 1, 30)
    m.receipt("plain.five", 5, 2, 130)
    m.record("plain.five", "succeeded", [(20, 100, "", "worker_lost"), (120, 140, "200", "")], os="200")
    m.result("plain.five", 5)
    # 6: refused for good. 7: refused, and made undone. 8: a deadline.
    m.answer(6, "plain.six", 503, problem="unavailable", detail="Nothing was accepted.")
    m.answer(7, "plain.seven", 503, problem="unavailable", detail="It will not run.")
    m.record("plain.seven", "canceled", [], er="not_accepted")
    m.answer(8, "plain.eight", 504, kind="sync", problem="sync_timeout",
             detail="No answer came in time. The job was not started, and will not be.")
    m.record("plain.eight", "expired", [], ex=str(T0))
    # 9 and 10: of one ordering key, one after the other.
    for number, at in ((9, 200), (10, 300)):
        job = f"plain.line{number}"
        m.answer(number, job, 202, at=T0 + 10 * number, answered=T0 + 10 * number + 5)
        m.receipt(job, number, 1, at + 10)
        m.record(job, "succeeded", [(at, at + 100, "200", "")], os="200", ok="k")
        m.result(job, number)
    # 11 to 13: as many at once as there may be, a call that cools its instance for a second, and one after that.
    for number, at, end, status, query, customer in ((11, 6000, 6200, "200", "", "c"), (12, 6000, 6200, "200", "", "c"),
                                                     (13, 6010, 6200, "503", "?status=503&retry_after=1", ""),
                                                     (14, 7200, 7300, "200", "", "")):
        job = f"plain.pool{number}"
        m.answer(number, job, 202, path=f"/w/n{number}{query}", customer=customer)
        m.receipt(job, number, 1, at + 10, query=query[1:] or None)
        m.record(job, "succeeded" if status == "200" else "failed", [(at, end, status, "")], os=status)
        if status == "200":
            m.result(job, number)
    # The schedule's instants 0, 1 and 2.
    for i in range(3):
        job = f"plain.tick{i}"
        m.receipt(job, "tick", 1, 1000 * i + 30, schedule="tick", scheduled_time=f"2026-11-18T11:06:4{i}Z")
        m.record(job, "succeeded", [(1000 * i + 20, 1000 * i + 40, "200", "")], os="200", sc="tick")
        m.result(job, "tick")
    m.history["schedules"]["tick"]["cursor_ms"] = checker._ms("2026-11-18T11:06:42Z")
    return m.history


def receipts(h, job):
    return [r for r in h["receipts"] if r["job"] == job]


def answers(h, job):
    return [a for a in h["answers"] if a["job"] == job]


def again(h, like, **more):
    """Another receipt like this job's last."""
    h["receipts"].append({**receipts(h, like)[-1], **more})


def lost(h):
    del h["records"]["held.one"]
    h["receipts"].remove(receipts(h, "held.one")[0])
    del h["results"]["held.one"]


def without_fire(h, i):
    job = f"plain.tick{i}"
    h["receipts"].remove(receipts(h, job)[0])
    del h["records"][job], h["results"][job]


def doubled_fire(h):
    again(h, "plain.tick1", job="plain.tickx", key="plain.tickx")
    h["records"]["plain.tickx"] = dict(h["records"]["plain.tick1"])
    h["results"]["plain.tickx"] = h["results"]["plain.tick1"]


def two_jobs_of_a_key(h):
    again(h, "held.three", job="held.other")
    h["records"]["held.other"] = dict(h["records"]["held.three"], k="")
    h["results"]["held.other"] = h["results"]["held.three"]


def wrong_answer(h):
    other = answers(h, "plain.two")[0]
    other["text"] = words("plain.two", "/w/n999")
    other["sha"] = h["results"]["plain.two"]["sha"] = sha(other["text"])
    h["results"]["plain.two"]["text"] = other["text"]


def held_again(h):
    again(h, "held.four", attempt=2, time=T0 + 200)
    h["records"]["held.four"].update(n="2", a2=f"i\t{T0 + 190}\t{T0 + 210}\t\tworker_lost")


def overtaken(h):
    """Both as they were, but the second before the first."""
    for job, at in (("plain.line9", 300), ("plain.line10", 200)):
        h["records"][job]["a1"] = f"i\t{T0 + at}\t{T0 + at + 100}\t200\t"
        receipts(h, job)[0]["time"] = T0 + at + 10


def put(*path, value):
    """A mutation that sets one thing."""
    def mutate(h):
        for step in path[:-1]:
            h = h[step]
        h[path[-1]] = value

    return mutate


def answer_is(of, **fields):
    return lambda h: answers(h, of)[0].update(fields)


# what is wrong: (how to make it so, the rule that must say it)
WRONG = {
    "a lost job": (lost, "accepted_is_kept"),
    "canceled after its 202": (put("records", "held.one", "st", value="canceled"), "accepted_is_kept"),
    "expired after its 202": (put("records", "plain.five", "st", value="expired"), "accepted_is_kept"),
    "a job that never ends": (put("records", "plain.five", "st", value="queued"), "every_job_ended"),
    "in doubt against its policy": (put("records", "plain.five", "st", value="in_doubt"), "every_job_ended"),
    "a success that nobody saw": (lambda h: h["receipts"].remove(receipts(h, "held.one")[0]), "success_has_a_receipt"),
    "a receipt of nobody": (lambda h: again(h, "held.one", job="held.no", key="held.no"), "receipts_have_records"),
    "an attempt that is not recorded": (lambda h: again(h, "held.one", attempt=2), "receipts_have_records"),
    "a doubled effect": (lambda h: again(h, "plain.two"), "an_attempt_is_sent_once"),
    "a silent repeat": (held_again, "no_silent_repeat"),
    "a receipt of what was not sent": (put("records", "plain.five", "a1", value=f"i\t{T0 + 20}\t{T0 + 100}\t\tnot_sent"),
                                       "what_was_not_sent_never_arrived"),
    "two attempts at a time": (lambda h: receipts(h, "plain.five")[1].update(time=T0 + 90), "one_attempt_at_a_time"),
    "a zombie that sends late": (lambda h: receipts(h, "plain.five")[0].update(time=T0 + 200), "one_attempt_at_a_time"),
    "two of a line at a time": (put("records", "plain.line10", "a1", value=f"i\t{T0 + 250}\t{T0 + 400}\t200\t"),
                                "jobs_of_a_line_do_not_overlap"),
    "a line out of order": (overtaken, "a_line_keeps_its_order"),
    "two effects of a key": (two_jobs_of_a_key, "one_key_one_job"),
    "another request's effect": (lambda h: receipts(h, "held.one")[0].update(path="/w/n77"), "the_right_request"),
    "more calls than the limit": (lambda h: receipts(h, "held.one")[0].update(dropped=True), "limits_hold"),
    "a caller without answer": (answer_is("plain.two", status=None), "answers_are_known"),
    "a caller cut off": (answer_is("plain.two", status=0, why="cut None"), "answers_are_known"),
    "an unclear error": (answer_is("plain.six", problem="internal", status=500), "answers_are_known"),
    "a wrong answer": (wrong_answer, "a_callers_answer_is_the_tenants"),
    "an answer that is not the stored one": (put("results", "plain.two", "sha", value="0"),
                                             "a_callers_answer_is_the_tenants"),
    "an answer of a job in doubt": (put("records", "plain.two", "st", value="in_doubt"),
                                    "a_callers_answer_is_the_tenants"),
    "a stored answer of another": (put("results", "held.one", "text", value=words("held.x", "/w/n1")),
                                   "stored_answers_are_the_tenants"),
    "a stored answer lost": (lambda h: h["results"].pop("held.one"), "stored_answers_are_the_tenants"),
    "refused, and ran": (lambda h: again(h, "plain.two", job="plain.six", key="plain.six"), "a_refusal_is_for_ever"),
    "refused, and lives": (put("records", "plain.seven", "st", value="queued"), "a_refusal_is_for_ever"),
    "said that it will not start": (put("records", "plain.eight", "st", value="running"), "an_error_tells_the_truth"),
    "said in doubt": (lambda h: h["records"]["held.four"].update(db="0", a1=f"i\t{T0 + 20}\t{T0 + 40}\t200\t"),
                      "an_error_tells_the_truth"),
    "said that it has started": (answer_is("plain.eight", detail="The job has started"), "an_error_tells_the_truth"),
    "said that the job goes on": (answer_is("plain.seven", problem="draining"), "an_error_tells_the_truth"),
    "said unknown, and not of what": (answer_is("plain.seven", problem="outcome_unknown", job=None),
                                      "an_error_tells_the_truth"),
    "a key that is never answered": (lambda h: [a.update(status=503, problem="outcome_unknown")
                                                for a in answers(h, "held.three")], "a_key_is_answered"),
    "a missed fire": (lambda h: without_fire(h, 1), "a_timer_fires_once"),
    "a missed last fire": (lambda h: without_fire(h, 2), "a_timer_fires_once"),
    "a doubled fire": (doubled_fire, "a_timer_fires_once"),
    "a left message": (put("queues", "sluice.held.normal", value=[1, 0]), "nothing_is_left_in_a_queue"),
    "a message in nobody's hand": (put("queues", "sluice.delay.3", value=[0, 1]), "nothing_is_left_in_a_queue"),
    "a shelf without its copy": (put("shelf_copies", "held", value=[]), "nothing_is_left_in_a_queue"),
    "a leaked slot": (put("state", "held", "s", value={"one:1:t": "1\tw\ti"}), "nothing_is_left_in_a_slot"),
    "a leaked counter": (put("state", "held", "t", "c:i", value="1"), "nothing_is_left_in_a_slot"),
    "a leaked lease": (put("leases", "w9", value="3:3000"), "nothing_is_left_in_a_lease"),
    "in doubt, not on the shelf": (lambda h: h["records"]["held.four"].pop("sh"), "the_shelf_is_right"),
    "a shelf that lost the request": (put("state", "held", "b", value={}), "the_shelf_is_right"),
    "a request kept for nothing": (put("state", "plain", "b", value={"two": 5}), "the_shelf_is_right"),
    "a wrong count in doubt": (put("state", "held", "t", "ind", value="2"), "the_shelf_is_right"),
    "a wrong sum of the shelf": (put("state", "held", "t", "sb", value="99"), "the_shelf_is_right"),
    "a forgotten outbox": (put("state", "plain", "o", value=["two"]), "the_shelf_is_right"),
    "a key held for ever": (put("state", "held", "k", "d3", value=["three", -1]), "keys_are_kept_as_said"),
}


def begin_at(job, at, lasts=100):
    """The first attempt of the job begins (and is received) at another time."""
    def change(h):
        h["records"][job]["a1"] = f"i\t{T0 + at}\t{T0 + at + lasts}\t200\t"
        for r in h["receipts"]:
            if r["job"] == job:
                r["time"] = T0 + at
    return change


WRONG.update({
    "one call more than a tenant's limit": (begin_at("plain.pool14", 6050), "answered_calls_keep_their_limits"),
    "one call more than an instance's limit": (lambda h: h["limits"]["plain"].update(tenant=9, instance=2),
                                               "answered_calls_keep_their_limits"),
    "one call more than a customer's limit": (lambda h: h["limits"]["plain"].update(customer=1),
                                              "answered_calls_keep_their_limits"),
    "one call more than the rate's burst": (lambda h: h["limits"]["plain"].update(rate=[10, 1000, 2]), "rates_hold"),
    "a call to who cools": (begin_at("plain.pool14", 7190), "what_cools_is_left_alone"),
    "a call to who is paused": (begin_at("plain.pool14", 5500), "who_rests_gets_nothing"),
    "a call to who drains": (lambda h: h["rests"].append(["i", T0 + 7190, T0 + 7250]), "who_rests_gets_nothing"),
})


def test_a_good_history_is_green():
    assert checker.check(good()) == []


@pytest.mark.parametrize("what", WRONG)
def test_one_wrong_thing_is_red(what):
    mutate, rule = WRONG[what]
    history = copy.deepcopy(good())
    mutate(history)
    found = checker.check(history)
    assert rule in {v["rule"] for v in found}, [(v["rule"], v["what"]) for v in found]
    # With its evidence, which can be written down.
    assert all(v["what"] and len(v) > 1 for v in found) and json.dumps(found)


def test_every_rule_has_its_wrong_history():
    said = {rule for _, rule in WRONG.values()} | {"a_cancel_is_kept"}
    assert {r.__name__ for r in checker.RULES} == said


def test_a_cancel_that_was_not_kept():
    history = good()
    row = answers(history, "held.one")[0]
    history["answers"].append({**row, "id": 99, "what": "cancel held.one", "status": 200})
    assert "a_cancel_is_kept" in {v["rule"] for v in checker.check(history)}


def test_a_seed_gives_one_plan():
    assert faults_of(7, 60) == faults_of(7, 60) != faults_of(8, 60)
    assert request_of(7, 3) == request_of(7, 3)


@pytest.mark.parametrize("seed", range(50))
def test_a_plan_hurts_few_at_a_time(seed):
    faults = faults_of(seed, 60)
    assert len(faults) >= 10
    for fault in faults:
        others = [f for f in faults if f is not fault and f.at <= fault.at < f.until]
        assert len(others) < OVERLAP and fault.target not in [f.target for f in others]
        assert fault.until < 60


def test_plans_hurt_everything():
    faults = [f for seed in range(100) for f in faults_of(seed, 60)]
    assert {"kill", "pause", "cut", "blackhole", "stop-reading", "stop", "hang", "rest", "drain"} == {f.kind for f in faults}
    assert {("kill", "redis"), ("kill", "rabbitmq"), ("pause", "redis"), ("pause", "rabbitmq")} \
        <= {(f.kind, f.target) for f in faults}
    assert any(f.kind == "pause" and f.target.startswith("worker") and f.lasts > LEASE_S + 1 for f in faults)
