# SPDX-License-Identifier: Apache-2.0
"""The in-doubt policy `ask`: the tenant itself says what became of an attempt (protocol.md, invariant 5). First the
scripts alone, then the whole with a tenant that has a status path."""
import pytest

from harness import wait_until
from harness.load import config_of, expect_problem, start, together
from test_walk import Scripts, scripts, store  # noqa: F401

HOUR_MS = 3600000
APART_MS = 60000


class Asking(Scripts):
    """The scripts, and a job `j` whose attempt 1 is asked about."""

    def __init__(self, port, dead=True):
        super().__init__(port)
        self.accept("j", key="k")
        assert self.claim("j", policy="ask")[:2] == ["go", 1]
        if dead:
            self("mourn", "w1")

    def field(self, name):
        return self.redis.hget("{t}:j:j", name)

    def now(self):
        seconds, us = self.redis.time()
        return seconds * 1000 + us // 1000

    def past(self, *fields, ms=0):
        """As if what these fields say had been `ms` earlier than now."""
        for field in fields:
            self.redis.hset("{t}:j:j", field, self.now() - ms)

    def ask(self, token="q1", policy="ask"):
        return self.claim("j", token=token, worker="w2", policy=policy)

    def asked(self, word, question=0, token="q1", answer="", apart=APART_MS, n=1, fence="t1"):
        status = {"known": 200, "unknown": 404, "pending": 202, "unclear": 500, "silent": 0}[word]
        return self("asked", "j", n, fence, question, token, word, status, "", answer, len(answer), apart,
                    600000, 600000, 600000, 60000)

    def begin(self):
        """The slot's end has come: the job is due to be asked about."""
        assert self.ask()[:2] == ["park", "due"]
        self.past("due")
        assert self.ask()[0] == "ask"
        return self


@pytest.fixture
def asking(store):  # noqa: F811
    return Asking(store)


def test_a_lost_workers_attempt_waits_for_its_slots_end_and_is_asked_about(asking):
    parked = asking.ask()
    assert parked[:2] == ["park", "due"] and 55000 < int(parked[2]) <= 60000
    assert (asking.field("st"), asking.field("db"), asking.field("q")) == ("waiting", "1", "1")
    assert asking.field("due") == asking.field("se")
    assert asking.redis.hget("{t}:t", "run") == "0"
    asking.past("due")
    assert asking.ask() == ["ask", 1, "t1", "a", "http://a", "0"] == asking.ask("q2")
    # It took no number and no further slot.
    assert (asking.field("n"), asking.redis.hget("{t}:t", "c"), asking.redis.hlen("{t}:s")) == ("1", "1", 1)


def test_an_attempt_without_an_answer_is_asked_about(store):  # noqa: F811
    job = Asking(store, dead=False)
    said = job.complete("j", 1, "t1", "ask")
    assert said[:2] == ["waiting", job.field("se")] == job.complete("j", 1, "t1", "ask")[:2]
    assert (job.field("st"), job.field("db"), job.field("q")) == ("waiting", "1", "1")
    assert job("cancel", "j", 600000, 600000) == ["no", "waiting", "1"]
    assert job("resolve", "j", "retry", "", 600000, 600000, 600000)[0] == "not_on_shelf"
    assert job("resolve", "j", "failed", "", 600000, 600000, 600000)[0] == "not_in_doubt"
    assert job.ask()[:2] == ["park", "due"]


@pytest.mark.parametrize("instances, up, asked", [
    ("a\thttp://a\t2\nb\thttp://b\t2\n", {"a": "0"}, ["a", "http://a"]),
    ("b\thttp://b\t2\nc\thttp://c\t2\n", {"b": "0"}, ["c", "http://c"]),
    ("b\thttp://b\t2\n", {"b": "0"}, ["a", ""])])
def test_whoever_ran_it_is_asked_if_it_is_there(asking, instances, up, asked):
    asking.begin()
    asking("register", "{}", instances, 2)
    for name, word in up.items():
        asking.redis.hset("{t}:t", f"up:{name}", word)
    assert asking.ask()[3:5] == asked


def test_known_is_the_outcome(asking):
    asking.begin()
    assert asking.asked("known", answer="200\n\r\nit") == ["ended", "0"]
    assert asking.asked("known", answer="200\n\r\nit") == ["ended", "0"], "sent again"
    assert (asking.field("st"), asking.field("os"), asking.field("db"), asking.field("q")) == ("succeeded", "200", "0", None)
    assert asking.redis.get("{t}:r:j") == "200\n\r\nit"
    assert (asking.redis.hlen("{t}:s"), asking.redis.hget("{t}:t", "c")) == (0, "0")
    assert asking.ask("q2") == ["ack", "succeeded"]
    assert asking.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nlate")[0] == "late"
    assert asking.redis.get("{t}:r:j") == "200\n\r\nit"


def test_unknown_twice_apart_never_arrived(asking):
    asking.begin()
    first = asking.asked("unknown")
    assert first[0] == "waiting" and 59000 < int(first[1]) <= APART_MS and asking.asked("unknown") == first
    assert asking.ask("q2")[:2] == ["park", "due"]
    asking.past("due")
    assert asking.ask("q2")[5] == "1"
    # Too early: it could be on its way still.
    again = asking.asked("unknown", 1, "q2")
    assert again[0] == "waiting" and 50000 < int(again[1]) <= APART_MS
    asking.past("due", "qu", ms=APART_MS)
    assert asking.ask("q3")[5] == "2"
    assert asking.asked("unknown", 2, "q3") == ["again", "0"] == asking.asked("unknown", 2, "q3")
    assert (asking.field("st"), asking.field("cnt"), asking.field("db")) == ("waiting", "0", "0")
    assert asking.redis.hlen("{t}:s") == 0
    assert asking.ask("t2")[:2] == ["go", 2]
    assert (asking.field("cnt"), asking.field("q")) == ("1", None)
    assert asking.complete("j", 2, "t2", "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"


def test_what_never_arrived_is_not_a_sent_attempt(asking):
    asking.begin()
    asking.asked("unknown", apart=0)
    assert asking.asked("unknown", 1, "q2", apart=0)[0] == "again"
    assert asking("cancel", "j", 600000, 600000)[0] == "canceled"
    assert asking.accept("other", key="k")[0] == "new"


def test_an_answer_of_what_never_arrived_still_counts(asking):
    asking.begin()
    asking.asked("unknown", apart=0)
    asking.asked("unknown", 1, "q2", apart=0)
    assert asking.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nafter all")[0] == "ended"
    assert asking.accept("other", key="k")[0] == "replay", "it was sent: its key is used"


def test_an_answer_between_makes_unknown_begin_anew(asking):
    asking.begin()
    assert asking.asked("unknown")[0] == "waiting"
    assert asking.asked("pending", 1, "q2")[0] == "waiting"
    asking.past("due", ms=APART_MS)
    assert asking.asked("unknown", 2, "q3")[0] == "waiting"


def test_silence_between_does_not(asking):
    asking.begin()
    asking.asked("unknown")
    assert asking.asked("silent", 1, "q2")[0] == "waiting"
    asking.past("qu", ms=APART_MS)
    assert asking.asked("unknown", 2, "q3")[0] == "again"


def test_it_is_asked_again_ever_more_seldom(asking):
    asking.begin()
    waits = [int(asking.asked("pending", i, f"q{i}")[1]) for i in range(9)]
    assert waits == [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]
    # Pending is an answer: there is no hour to run out.
    asking.past("qh", ms=2 * HOUR_MS)
    assert asking.asked("pending", 9, "qx")[0] == "waiting"
    assert asking.asked("silent", 10, "qy")[0] == "waiting"


def test_silent_for_an_hour_is_for_a_person(asking):
    asking.begin()
    assert asking.asked("silent")[0] == "waiting"
    asking.past("qh", ms=HOUR_MS - 60000)
    assert asking.asked("silent", 1, "q2")[0] == "waiting"
    asking.past("qh", ms=HOUR_MS)
    assert asking.asked("silent", 2, "q3") == ["silent", "0"] == asking.asked("silent", 2, "q3")
    shelve = ("shelve", "j", 1, "t1", "asked_silent", "head", "body", 1000000, "in_doubt", 600000)
    assert asking(*shelve)[0] == "shelved" == asking(*shelve)[0]
    assert (asking.field("st"), asking.field("er"), asking.field("q")) == ("in_doubt", "asked_silent", None)
    assert asking("resolve", "j", "retry", "", 600000, 600000, 600000)[0] == "queued"
    assert asking.claim("j", token="t2", worker="w2", policy="ask")[:2] == ["go", 2]


def test_another_status_is_for_a_person(asking):
    asking.begin()
    assert asking.asked("unclear") == ["unclear", "0"]
    assert asking.field("st") == "waiting", "nothing changes before the shelf's copy is durable"


def test_two_workers_ask_and_the_slower_answer_changes_nothing(asking):
    asking.begin()
    assert asking.asked("unknown", 0, "q1", apart=0)[0] == "waiting"
    # It was asked at the same time: it does not count as a second word.
    assert asking.asked("unknown", 0, "q2", apart=0)[0] == "changed"
    assert asking.asked("unclear", 0, "q3")[0] == "changed"
    assert asking.asked("known", 0, "q4", answer="200\n\r\n")[0] == "ended"


def test_a_question_about_an_older_attempt_changes_nothing(asking):
    asking.begin()
    asking.asked("unknown", apart=0)
    asking.asked("unknown", 1, "q2", apart=0)
    assert asking.ask("t2")[:2] == ["go", 2]
    assert asking.asked("known", 1, "q3", answer="200\n\r\n")[0] == "changed"
    assert asking.asked("known", 0, "q3", n=2, fence="t2", answer="200\n\r\n")[0] == "changed"
    assert asking.field("st") == "running"


def test_a_late_answer_of_the_attempt_settles_it(asking):
    asking.begin()
    asking.asked("unknown")
    assert asking.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nlate")[0] == "ended"
    assert asking.asked("unknown", 1, "q2", apart=0)[0] == "changed"
    assert (asking.field("st"), asking.field("q")) == ("succeeded", None)


def test_a_late_answer_that_asks_for_a_retry_ends_the_asking(asking):
    asking.begin()
    assert asking.complete("j", 1, "t1", "retry", answer="503\n\r\nlater")[0] == "waiting"
    assert asking.asked("known", 0, "q1", answer="200\n\r\n")[0] == "changed"
    assert asking.ask("t2")[:2] == ["go", 2]


def test_past_its_deadline_it_is_for_a_person(asking):
    asking.ask()
    asking.past("due", "ex")
    assert asking.ask() == ["hold", 1, "t1", "deadline"]


def test_a_deadline_before_the_slots_end_is_not_waited_for(asking):
    asking.redis.hset("{t}:j:j", "ex", asking.now() + 30000)
    assert asking.ask() == ["hold", 1, "t1", "worker_lost"]


@pytest.mark.parametrize("policy, what", [("hold", ["hold", 1, "t1"]), ("retry", ["go", 2, "b"])])
def test_another_policy_holds_for_what_is_asked_about(asking, policy, what):
    asking.begin()
    asking("register", "{}", "b\thttp://b\t2\n", 2)
    assert asking.ask(policy=policy)[:3] == what
    assert policy == "hold" or asking.field("q") is None


def test_a_paused_tenant_is_not_asked(asking):
    asking.begin()
    asking.redis.hset("{t}:t", "paused", "1")
    assert asking.ask()[:2] == ["wait", "paused"]


# --- the whole ---

TOTAL_S = 1


@pytest.fixture(scope="module")
def stack(make_module_stack):
    asks = {"in_doubt": {"policy": "ask", "ask": {"path": "/jobs/{id}"}}, "slot_linger_s": 0.2,
            "retry": {"initial_s": 0.05, "max_s": 0.2}}
    short = {"first_byte_s": 5, "total_s": TOTAL_S, "sync_s": 20}

    def config(stack):
        stack.lossy = stack.add_proxy("lossy", stack.tenant.port)
        via = [{"name": "via", "url": f"http://127.0.0.1:{stack.lossy.port}", "concurrency": 2}]
        return config_of(stack, {"asks": {**asks, "timeouts": short}, "slow": {**asks, "timeouts": {**short, "total_s": 3}},
                                 "lossy": {**asks, "timeouts": short, "instances": via}},
                         worker={"lease_s": 2})

    return make_module_stack(config)


def receipts(stack, job):
    return [r["attempt"] for r in stack.receipts(job=job)]


def test_a_broken_connection_is_asked_about(stack):
    job = stack.submit("/broken?drop=1&asked=", "asks", body={"n": 1}).json()["id"]
    seen = stack.wait_job(job, "waiting")
    assert seen["attempts"][0]["error"] == "connection_broken" and seen["outcome"] is None
    expect_problem(stack.call("DELETE", f"/v1/jobs/{job}"), 409, "not_cancelable")
    expect_problem(stack.call("POST", f"/v1/jobs/{job}/retry"), 409, "not_on_shelf")
    ended = stack.wait_job(job, "succeeded")
    assert ended["outcome"]["status"] == 200 and len(ended["attempts"]) == 1
    result = stack.result(job)
    assert (result.status_code, result.json(), result.headers["X-Asked"]) == (200, {"asked about": job}, "1")
    assert receipts(stack, job) == [1]


def test_a_caller_gets_what_the_tenant_says(stack):
    answer = stack.call("POST", "/call/asks/caller?drop=1&asked=", data=b"x")
    assert answer.status_code == 200 and answer.json() == {"asked about": answer.headers["Sluice-Job-Id"]}
    assert receipts(stack, answer.headers["Sluice-Job-Id"]) == [1]


def test_pending_is_asked_again(stack):
    def pending():
        return stack.metric("sluice_asked_total", "worker", tenant="asks", answer="pending")

    before, counted = stack.tenant.stats()["asked"], pending()
    job = stack.submit("/pending?drop=1&asked=202,202,200", "asks").json()["id"]
    assert stack.wait_job(job, ("succeeded", "failed", "in_doubt"))["state"] == "succeeded"
    assert stack.tenant.stats()["asked"] == before + 3
    assert pending() == counted + 2
    assert receipts(stack, job) == [1]


def test_what_the_tenant_cannot_say_is_for_a_person(stack):
    job = stack.submit("/unclear?drop=1&asked=500", "asks").json()["id"]
    assert stack.wait_job(job, "in_doubt")["outcome"]["error"] == "asked_unclear"
    expect_problem(stack.result(job), 409, "in_doubt")
    wait_until(lambda: stack.redis.zscore("{asks}:h", job.rpartition(".")[2]), 10, "it is on the shelf")
    assert receipts(stack, job) == [1]
    settled = stack.call("POST", f"/v1/jobs/{job}/resolve", json={"state": "succeeded"})
    assert settled.status_code == 200


@pytest.mark.parametrize("said, state, status", [("200", "succeeded", 200), ("410", "in_doubt", 502)])
def test_a_gateways_answer_is_asked_about(stack, said, state, status):
    answer = stack.call("POST", f"/call/asks/status/502?asked={said}", data=b"the gateway's words")
    assert answer.status_code == status
    job = answer.headers["Sluice-Job-Id"]
    assert stack.job(job)["state"] == state
    result = stack.result(job)
    assert result.status_code == status and (status == 200 or result.text == answer.text == "the gateway's words")
    assert receipts(stack, job) == [1]


def lose_a_request(stack):
    """A job whose request leaves the worker and never reaches the tenant."""
    before = stack.lossy.stats()["request_bytes"]
    stack.lossy.order("/blackhole")
    job = stack.submit("/lost?asked=", "lossy", body={"n": 2}).json()["id"]
    wait_until(lambda: stack.job(job)["state"] == "running" and stack.lossy.stats()["request_bytes"] > before, 20,
               "the request to be swallowed", every=0.02)
    return job


def judge_sent_again(stack, job):
    ended = stack.wait_job(job, ("succeeded", "failed", "in_doubt"))
    assert ended["state"] == "succeeded", ended
    first, second = ended["attempts"]
    assert (first["error"], second["status"]) == ("never_arrived", 200)
    assert stack.result(job).json() == {"n": 2}
    assert receipts(stack, job) == [2]
    name = job.rpartition(".")[2]
    assert stack.redis.hget(f"{{lossy}}:j:{name}", "cnt") == "1", "what never arrived is not counted"


def test_what_never_arrived_is_sent_again(stack):
    before = stack.tenant.stats()["asked"]
    job = lose_a_request(stack)
    stack.wait_job(job, "waiting")
    stack.lossy.order("/resume")
    judge_sent_again(stack, job)
    assert stack.tenant.stats()["asked"] == before + 2


def test_nobody_answers_and_it_is_asked_again(stack):
    job = lose_a_request(stack)
    name = job.rpartition(".")[2]
    wait_until(lambda: int(stack.redis.hget(f"{{lossy}}:j:{name}", "qn") or 0) >= 1, 20, "a question in vain")
    stack.lossy.order("/resume")
    judge_sent_again(stack, job)


def kill_the_worker(stack):
    stack.kill("worker")
    stack["worker"].start()


def test_a_killed_workers_attempt_is_asked_about(stack):
    job = start(stack.submit, "/killed?sleep_ms=1500&asked=", "slow", body={"n": 3}).result(20).json()["id"]
    wait_until(lambda: receipts(stack, job) == [1], 20, "the request to arrive", every=0.02)
    kill_the_worker(stack)
    ended = stack.wait_job(job, ("succeeded", "failed", "in_doubt"), timeout=60)
    assert (ended["state"], ended["outcome"]["status"], len(ended["attempts"])) == ("succeeded", 200, 1), ended
    assert stack.result(job).json() == {"asked about": job}
    assert receipts(stack, job) == [1]


def test_a_killed_workers_attempt_that_never_arrived_is_sent_again(stack):
    job = lose_a_request(stack)
    kill_the_worker(stack)
    stack.lossy.order("/resume")
    judge_sent_again(stack, job)


@pytest.mark.slow
@pytest.mark.timeout_s(180)
def test_under_load_a_killed_worker_does_nothing_twice(stack):
    """Whatever the kill cut off was done once: it is known to the tenant, or it never arrived."""
    def job(n):
        return stack.submit(f"/cut/{n}?sleep_ms={50 + n * 7 % 151}&asked=", "slow", body={"n": n}).json()["id"]

    jobs = start(together, 16, job, range(400))
    done = stack.tenant.stats()["served"]
    for kill in (1, 2):
        wait_until(lambda k=kill: stack.tenant.stats()["served"] > done + 100 * k and stack.tenant.stats()["running"] >= 5, 60,
                   "work under way", every=0.005)
        kill_the_worker(stack)
    ids = jobs.result(60)
    ended = together(16, lambda i: stack.wait_job(i, timeout=90), ids)
    assert {d["state"] for d in ended} == {"succeeded"}
    asked = [d for d in ended if any(a["error"] in ("asked", "never_arrived") for a in d["attempts"])]
    assert asked, "no attempt was cut"
    served = {}
    for receipt in stack.receipts():
        served.setdefault(receipt["job"], []).append(receipt["attempt"])
    assert {i: served.get(i) for i in ids if len(served.get(i, [])) != 1} == {}


def test_nothing_is_left(stack):
    """No message, no delivery, no slot: every job of this file ended."""
    wait_until(lambda: stack.unacknowledged() == 0, 30)
    for tenant in ("asks", "slow", "lossy"):
        wait_until(lambda t=tenant: stack.redis.hlen(f"{{{t}}}:s") == 0, 30, "no slot is taken")
        assert stack.redis.hget(f"{{{tenant}}}:t", "run") in (None, "0")
