# SPDX-License-Identifier: Apache-2.0
"""A message that got lost is noticed, and one that turns up after all is run; a long backlog is no loss; what waits past its
deadline expires, whoever is away; messages without a queue come back (protocol.md, "Recovery"). First the scripts alone,
then the real stack."""
import time

import pika
import pytest

from harness import wait_until
from harness.load import config_of, expect_problem, start
from test_walk import Scripts, store  # noqa: F401

HOUR = 3600000


@pytest.fixture
def scripts(store):  # noqa: F811
    return Recovery(store)


class Recovery(Scripts):
    def queued(self, name, **more):
        self.accept(name, **more)
        self("mark", HOUR, name)

    def age(self, name, ms=2 * HOUR):
        """As if everything about the job had happened so long ago, and its check had come."""
        record = f"{{t}}:j:{name}"
        for field in ("ca", "due", "se", "ex", "sn"):
            at = int(self.redis.hget(record, field) or 0)
            if at > 0:
                self.redis.hset(record, field, at - ms)
        for field, slot in self.redis.hgetall("{t}:s").items():
            end, _, rest = slot.partition("\t")
            if field.startswith(name + ":"):
                self.redis.hset("{t}:s", field, f"{int(end) - ms}\t{rest}")
        self.redis.zadd("{t}:u", {name: 1})

    def sweep(self, is_empty=False):
        row = self("sweep", HOUR, "1" if is_empty else "0", 600000, 600000, 600000, 60000)
        names = ("freed", "undone", "unended", "running", "in_doubt", "delayed", "outbox", "oldest", "checked", "ended",
                 "suspects", "lost")
        return dict(zip(names, row))

    def lose(self, name):
        self.age(name)
        assert self.sweep()["suspects"] == 1
        assert self.sweep(is_empty=True)["lost"] == 1
        self.expect(name, "in_doubt", er="message_lost")

    def expect(self, name, state, **fields):
        record = self.redis.hgetall(f"{{t}}:j:{name}")
        assert record["st"] == state, record
        assert {k: record.get(k, "") for k in fields} == fields, record
        self.counts()

    def counts(self):
        """What the tenant's hash counts is what there is."""
        states = [self.redis.hget(k, "st") for k in self.redis.scan_iter("{t}:j:*")]
        counted = [int(n or 0) for n in self.redis.hmget("{t}:t", "run", "ind", "c")]
        assert counted == [states.count("running"), states.count("in_doubt"), self.redis.hlen("{t}:s")]

    def waiting_in_doubt(self, name):
        """Sent once, its outcome unknown, to be sent again (policy retry)."""
        self.queued(name)
        assert self.claim(name, policy="retry")[0] == "go"
        assert self.complete(name, 1, "t1", "doubt")[0] == "waiting"

    def running_dead(self, name, **more):
        self.queued(name, **more)
        assert self.claim(name)[0] == "go"
        self("mourn", "w1")

    def resolve(self, name, to):
        return self("resolve", name, to, "note", 600000, 600000, 600000)


def test_an_overdue_job_is_lost_only_when_the_queues_are_empty(scripts):
    scripts.queued("j")
    assert scripts.sweep(is_empty=True)["lost"] == 0
    scripts.age("j")
    assert (scripts.sweep()["lost"], scripts.sweep()["suspects"]) == (0, 1)
    scripts.expect("j", "queued")
    assert scripts.sweep(is_empty=True)["lost"] == 1
    scripts.expect("j", "in_doubt", er="message_lost", sh="")
    assert scripts.sweep(is_empty=True)["lost"] == 0


def test_nobody_who_waits_is_left_in_the_dark(scripts):
    channel = scripts.redis.pubsub()
    channel.subscribe("c")
    scripts.queued("j", mode="wait", waiter="c|1")
    scripts.redis.hset("{t}:j:j", "ex", 0)
    scripts.lose("j")
    heard = []
    wait_until(lambda: heard.append(channel.get_message()) or any(m and m["type"] == "message" for m in heard), 5)
    assert [m["data"] for m in heard if m and m["type"] == "message"] == ["job t.j in_doubt 0 0\n"]


@pytest.mark.parametrize("what", ["claimed", "ended", "seen", "outbox"])
def test_a_suspect_that_gives_a_sign_of_life_is_not_lost(scripts, what):
    scripts.queued("j")
    scripts.age("j")
    assert scripts.sweep()["suspects"] == 1
    if what == "claimed":
        assert scripts.claim("j")[0] == "go"
    elif what == "ended":
        assert scripts("cancel", "j", 600000, 600000) == ["canceled", "canceled", ""]
    elif what == "seen":
        scripts("health", "a", "0")
        assert scripts.claim("j")[:2] == ["wait", "no_instance"]
    else:
        scripts.redis.zadd("{t}:o", {"j": 1})
    found = scripts.sweep(is_empty=True)
    assert (found["suspects"], found["lost"]) == (0, 0)


def test_a_living_holder_has_given_up_long_after_its_slots_end(scripts):
    """Its outcome was acknowledged, and then forgotten by the store (durability fast)."""
    scripts.accept("j")
    assert scripts.claim("j")[0] == "go"
    scripts.age("j")
    assert scripts.sweep(is_empty=True)["lost"] == 1
    assert scripts.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nok")[0] == "ended"


@pytest.mark.parametrize("what", ["young", "delayed", "waits for an hour", "accepted", "living holder", "young dead holder"])
def test_what_is_not_overdue_is_no_suspect(scripts, what):
    if what == "delayed":
        scripts("accept", "j", "", "fp", "normal", "async", 0, 0, 60000, "", 30000, 0)
        scripts("mark", HOUR, "j")
    elif what == "accepted":
        scripts.accept("j")
    else:
        scripts.queued("j")
    if what == "living holder":
        assert scripts.claim("j")[0] == "go"
    elif what == "young dead holder":
        assert scripts.claim("j")[0] == "go"
        scripts("mourn", "w1")
    elif what == "waits for an hour":
        scripts.age("j")
        scripts.redis.hset("{t}:j:j", "due", int(time.time() * 1000) + 1000)
    scripts.redis.zadd("{t}:u", {"j": 1})
    assert scripts.sweep()["suspects"] == 0
    assert scripts.sweep(is_empty=True)["lost"] == 0
    if what != "accepted":
        assert scripts.redis.zscore("{t}:u", "j") > time.time() * 1000, "its next check is moved on"


def test_a_job_that_was_seen_and_waits_is_looked_at_later(scripts):
    scripts.queued("j")
    scripts.age("j")
    scripts("health", "a", "0")
    assert scripts.claim("j")[0] == "wait"
    assert scripts.sweep()["suspects"] == 0


def test_a_young_job_that_waits_costs_no_write(scripts):
    scripts.queued("j")
    scripts("health", "a", "0")
    assert scripts.claim("j")[0] == "wait"
    assert scripts.redis.hget("{t}:j:j", "sn") is None


def test_a_dead_workers_job_without_a_delivery_is_lost(scripts):
    scripts.running_dead("j")
    scripts.lose("j")
    record = scripts.redis.hgetall("{t}:j:j")
    assert record["db"] == "1" and record["a1"].endswith("\tworker_lost")
    assert scripts.redis.hlen("{t}:s") == 0


def test_what_turns_up_after_all_and_was_never_sent_runs(scripts):
    scripts.queued("j")
    scripts.lose("j")
    assert scripts.claim("j", token="t2")[:2] == ["go", 1]
    assert scripts.claim("j", token="t2")[:2] == ["go", 1]
    scripts.expect("j", "running", er="")
    assert scripts.complete("j", 1, "t2", "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"
    scripts.expect("j", "succeeded")


def test_what_turns_up_and_must_wait_is_queued_again(scripts):
    scripts.queued("j")
    scripts.lose("j")
    scripts("health", "a", "0")
    assert scripts.claim("j")[:2] == ["wait", "no_instance"]
    scripts.expect("j", "queued", er="")
    scripts.lose("j")


def test_what_turns_up_past_its_deadline_expires(scripts):
    scripts.queued("j")
    scripts.lose("j")
    scripts.redis.hset("{t}:j:j", "ex", 1)
    assert scripts.claim("j") == ["ack", "expired"]
    scripts.expect("j", "expired")


@pytest.mark.parametrize("make", ["running_dead", "waiting_in_doubt"])
def test_what_turns_up_and_was_sent_goes_by_the_in_doubt_policy(scripts, make):
    getattr(scripts, make)("j")
    scripts.lose("j")
    assert scripts.claim("j", token="t2", worker="w2", policy="hold") == ["hold", 1, "t1", "worker_lost"]
    shelve = ("shelve", "j", 1, "t1", "worker_lost", "head", "body", 1000000, "in_doubt", 600000)
    assert scripts(*shelve)[0] == "shelved"
    assert scripts(*shelve)[0] == "shelved"
    scripts.expect("j", "in_doubt", er="worker_lost", sh="1")
    assert scripts.claim("j", token="t3", worker="w2") == ["ack", "in_doubt"]
    assert scripts.resolve("j", "retry")[0] == "queued"
    scripts.expect("j", "queued")


@pytest.mark.parametrize("make", ["running_dead", "waiting_in_doubt"])
def test_what_turns_up_and_was_sent_is_sent_again_where_the_policy_says_so(scripts, make):
    getattr(scripts, make)("j")
    scripts.lose("j")
    assert scripts.claim("j", token="t2", worker="w2", policy="retry")[:2] == ["go", 2]
    scripts.expect("j", "running", er="", db="1")
    scripts.sweep()
    assert scripts.complete("j", 2, "t2", "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"
    scripts.expect("j", "succeeded")


def test_what_turns_up_with_its_attempts_used_up_is_dead(scripts):
    scripts.running_dead("j")
    scripts.redis.hset("{t}:j:j", "cnt", 5)
    scripts.lose("j")
    assert scripts.claim("j", token="t2", worker="w2", policy="retry") == ["used_up", 1, "t1"]
    assert scripts("shelve", "j", 1, "t1", "attempts_used_up", "head", "body", 1000000, "failed", 600000)[0] == "shelved"
    scripts.expect("j", "failed", er="attempts_used_up", sh="1")


def test_what_was_answered_and_waits_is_no_attempt_in_doubt(scripts):
    scripts.queued("j")
    scripts.claim("j")
    assert scripts.complete("j", 1, "t1", "retry", answer="503\n\r\nlater")[0] == "waiting"
    scripts.lose("j")
    assert scripts.claim("j", token="t2", policy="hold")[:2] == ["go", 2]
    scripts.expect("j", "running")


def test_a_late_answer_settles_what_is_lost(scripts):
    scripts.running_dead("j")
    scripts.lose("j")
    assert scripts.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"
    scripts.expect("j", "succeeded", er="word")
    assert scripts.redis.get("{t}:r:j") == "200\n\r\nx"


def test_a_late_answer_that_asks_for_a_retry_is_looked_after_again(scripts):
    scripts.running_dead("j")
    scripts.lose("j")
    assert scripts.complete("j", 1, "t1", "retry", answer="503\n\r\nlater")[0] == "waiting"
    scripts.expect("j", "waiting", er="", db="0")
    assert scripts.redis.zscore("{t}:u", "j") <= time.time() * 1000 + HOUR
    assert scripts.claim("j", token="t2", worker="w2")[:2] == ["go", 2]
    scripts.counts()


def test_an_operator_settles_what_is_lost_and_cannot_run_it(scripts):
    scripts.queued("j")
    scripts.lose("j")
    assert scripts.resolve("j", "retry") == ["not_on_shelf", "in_doubt"]
    assert scripts("cancel", "j", 600000, 600000)[0] == "no"
    assert scripts.resolve("j", "succeeded")[0] == "settled"
    scripts.expect("j", "succeeded", er="resolved")
    assert scripts.claim("j", token="t2") == ["ack", "succeeded"]


def test_an_unreadable_message_of_a_lost_job_reaches_the_shelf(scripts):
    scripts.queued("j")
    scripts.lose("j")
    assert scripts("shelve", "j", -1, "", "undecodable", "head", "body", 1000000, "in_doubt", 0)[0] == "shelved"
    scripts.expect("j", "in_doubt", er="undecodable", sh="1")


def deadline(scripts, name, **fields):
    scripts.queued(name)
    scripts.redis.hset(f"{{t}}:j:{name}", mapping={"ex": 1000, **fields})
    scripts.redis.zadd("{t}:u", {name: 1})


def test_a_job_past_its_deadline_expires_without_a_delivery(scripts):
    deadline(scripts, "j")
    assert scripts.sweep()["ended"] == 1
    scripts.expect("j", "expired", er="expired")
    assert scripts.redis.zscore("{t}:u", "j") is None


def test_a_waiting_callers_own_ingress_comes_first(scripts):
    scripts.queued("j", mode="wait", waiter="c|1")
    scripts.redis.hset("{t}:j:j", "ex", int(time.time() * 1000) - 100)
    scripts.redis.zadd("{t}:u", {"j": 1})
    assert scripts.sweep()["ended"] == 0
    assert scripts("give_202", "j", "c|1") == ["queued"]
    scripts.redis.zadd("{t}:u", {"j": 1})
    assert scripts.sweep()["ended"] == 0
    scripts.expect("j", "queued")


def test_past_the_deadline_the_last_answer_is_the_outcome(scripts):
    scripts.queued("j")
    scripts.claim("j")
    scripts.complete("j", 1, "t1", "retry", answer="503\n\r\nlater")
    scripts.redis.hset("{t}:j:j", "ex", 1000)
    scripts.redis.zadd("{t}:u", {"j": 1})
    assert scripts.sweep()["ended"] == 1
    scripts.expect("j", "failed", er="deadline", os="200")
    assert scripts.redis.get("{t}:r:j") == "503\n\r\nlater"


@pytest.mark.parametrize("make", ["waiting_in_doubt", "running_dead"])
def test_past_the_deadline_an_attempt_in_doubt_is_left_to_its_delivery(scripts, make):
    getattr(scripts, make)("j")
    scripts.redis.hset("{t}:j:j", "ex", 1000)
    scripts.redis.zadd("{t}:u", {"j": 1})
    assert scripts.sweep()["ended"] == 0
    assert scripts.claim("j", token="t2", worker="w2", policy="retry")[0] == "hold"


def test_the_next_check_of_a_job_with_a_deadline_is_at_its_deadline(scripts):
    scripts("accept", "j", "", "fp", "normal", "async", 60000, 60000, 0, "", 30000, 0)
    scripts("mark", HOUR, "j")
    ends = int(scripts.redis.hget("{t}:j:j", "ex"))
    assert scripts.redis.zscore("{t}:u", "j") == ends
    scripts.redis.zadd("{t}:u", {"j": 1})
    scripts.sweep()
    assert scripts.redis.zscore("{t}:u", "j") == ends
    scripts("fire", "s", "", "1", "f", "allow", 0, HOUR, "head", "body", 60000, HOUR)
    assert scripts.redis.zscore("{t}:u", "f") == int(scripts.redis.hget("{t}:j:f", "ex"))


def test_what_leaves_the_outbox_is_as_good_as_new(scripts):
    scripts("fire", "s", "", "1", "f", "allow", 0, HOUR, "head", "body", 0, HOUR)
    scripts.age("f")
    assert scripts.sweep()["suspects"] == 0, "the outbox is published again and again"
    scripts("outbox_done", "f", int(scripts.redis.zscore("{t}:o", "f")))
    scripts.redis.zadd("{t}:u", {"f": 1})
    assert scripts.sweep()["suspects"] == 0


def test_many_are_ended_a_hundred_at_a_time(scripts):
    for n in range(250):
        deadline(scripts, f"j{n}")
    assert [scripts.sweep()["ended"] for _ in range(4)] == [100, 100, 50, 0]
    scripts.counts()


def test_suspects_are_bounded_and_suspected_again(scripts):
    scripts.queued("j")
    scripts.age("j")
    assert scripts.sweep()["suspects"] == 1
    scripts.redis.zadd("{t}:l", {f"x{n}": 9e15 + n for n in range(10005)})
    assert scripts.sweep()["suspects"] == 10000
    assert scripts.redis.zscore("{t}:l", "j") is None and scripts.redis.zscore("{t}:l", "x10004") is not None
    scripts.redis.delete("{t}:l")
    scripts.age("j")
    assert scripts.sweep()["suspects"] == 1


def test_an_unknown_tenants_message_of_a_known_job_is_shelved(scripts):
    scripts.queued("j")
    shelve = ("shelve", "j", -1, "", "tenant_unknown", "head", "body", 1000000, "in_doubt", 0)
    assert scripts(*shelve) == ["shelved", ""]
    scripts.expect("j", "in_doubt", er="tenant_unknown", sh="1")
    assert scripts(*shelve) == ["shelved", "in_doubt"]


# --- the real stack ---------------------------------------------------------------------------------------------------

LOST_AFTER_S = 2
# A worker without a free instance holds deliveries for two seconds before it publishes them anew: as seldom are they seen.
BACKLOG_LOST_AFTER_S = 4


def tenants(stack):
    down = stack.processes.get("down-1") or stack.add_tenant("down-1")
    return config_of(stack, {
        "lossy": {"lost_after_s": LOST_AFTER_S},
        "backlog": {"lost_after_s": BACKLOG_LOST_AFTER_S, "instances": [{"name": "down-1", "url": down.url}],
                    "polling": {"frequency": 1}},
        "paused": {"lost_after_s": 3600},
        "ladder": {"lost_after_s": 60},
    })


@pytest.fixture(scope="module")
def one_stack(make_module_stack):
    return make_module_stack(tenants)


@pytest.fixture
def stack(one_stack):
    """All of it is up at the beginning, whatever the test before has stopped."""
    for name in ("worker", "down-1"):
        if not one_stack[name].is_running:
            one_stack[name].start()
    one_stack.wait_ready()
    return one_stack


def take(stack, queue, count=1, timeout=20):
    """Takes so many messages off a queue, as [(properties, body), …]."""
    found = []
    with stack.amqp() as connection:
        channel = connection.channel()

        def get():
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method is not None:
                found.append((properties, body))
            return len(found) >= count

        wait_until(get, timeout, f"{count} messages in {queue}")
    return found


def put(stack, exchange, key, properties, body):
    with stack.amqp() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, body, properties, mandatory=True)


def ready(stack, queue):
    with stack.amqp() as connection:
        return connection.channel().queue_declare(queue, passive=True).method.message_count


@pytest.mark.timeout_s(180)
def test_a_lost_message_is_said_and_runs_when_it_turns_up(stack):
    stack.stop("worker")
    job = stack.submit("/lost?1", "lossy", body={"n": 1}).json()["id"]
    other = stack.submit("/lost?2", "lossy").json()["id"]
    saved = take(stack, "sluice.lossy.normal", 2)
    call = start(stack.call, "POST", "/call/lossy/lost?3", data=b"x", headers={"Prefer": "wait=30"})
    take(stack, "sluice.lossy.sync")
    for name in (job, other):
        found = stack.wait_job(name, "in_doubt")
        assert found["outcome"]["error"] == "message_lost" and found["attempts"] == []
        expect_problem(stack.result(name), 409, "in_doubt")
        expect_problem(stack.call("POST", f"/v1/jobs/{name}/retry"), 409, "not_on_shelf")
        expect_problem(stack.call("DELETE", f"/v1/jobs/{name}"), 409, "not_cancelable")
    expect_problem(call.result(60), 502, "call_in_doubt")
    wait_until(lambda: stack.metric("sluice_jobs_lost_total", "dispatcher", tenant="lossy") == 3, 20)
    assert stack.call("POST", f"/v1/jobs/{other}/resolve", json={"state": "failed"}).json()["state"] == "failed"

    stack["worker"].start()
    for properties, body in saved:
        put(stack, "sluice.work", "lossy.normal", properties, body)
    assert stack.wait_job(job, "succeeded")["outcome"]["status"] == 200
    assert [r["attempt"] for r in stack.receipts(job=job)] == [1]
    wait_until(lambda: ready(stack, "sluice.lossy.normal") == 0, 10)
    assert stack.job(other)["state"] == "failed" and stack.receipts(job=other) == []
    wait_until(lambda: stack.metric("sluice_jobs_in_doubt", "dispatcher", tenant="lossy") == 1, 20)  # the call
    wait_until(lambda: stack.unacknowledged() == 0, 20)


@pytest.mark.timeout_s(180)
def test_a_queue_deleted_with_its_messages_is_a_loss(stack):
    stack.stop("worker")
    job = stack.submit("/deleted", "lossy").json()["id"]
    with stack.amqp() as connection:
        connection.channel().queue_delete("sluice.lossy.normal")
    assert stack.wait_job(job, "in_doubt")["outcome"]["error"] == "message_lost"
    assert ready(stack, "sluice.lossy.normal") == 0, "it is there again"
    stack["worker"].start()
    after = stack.submit("/after", "lossy").json()["id"]
    stack.wait_job(after, "succeeded")


@pytest.mark.timeout_s(180)
@pytest.mark.parametrize("away", ["the worker", "the only instance"])
def test_a_long_backlog_is_no_loss(stack, away):
    stack.stop("worker" if away == "the worker" else "down-1")
    jobs = [stack.submit(f"/backlog/{n}", "backlog").json()["id"] for n in range(20)]
    wait_until(lambda: stack.redis.zcard("{backlog}:l") > 0 or away != "the worker", 60, "suspects")
    # Longer than lost_after_s, and than the leader needs to be sure.
    time.sleep(3 * BACKLOG_LOST_AFTER_S)
    # Attempts whose connection was refused wait for another.
    assert {stack.job(j)["state"] for j in jobs} <= {"queued", "waiting"}
    assert stack.metric("sluice_jobs_lost_total", "dispatcher", tenant="backlog") == 0
    stack["worker" if away == "the worker" else "down-1"].start()
    for job in jobs:
        stack.wait_job(job, "succeeded", timeout=60)
    for job in jobs:
        assert len(stack.receipts(job=job)) == 1
    assert stack.metric("sluice_jobs_lost_total", "dispatcher", tenant="backlog") == 0


def test_a_job_without_a_worker_expires_at_its_deadline(stack):
    stack.stop("worker")
    job = stack.submit("/late", "paused", ttl_s=1).json()["id"]
    found = stack.wait_job(job, timeout=15)
    assert (found["state"], found["outcome"]["error"]) == ("expired", "expired")
    stack["worker"].start()
    wait_until(lambda: ready(stack, "sluice.paused.normal") == 0, 30)
    assert stack.receipts(job=job) == []


def republished(stack):
    return stack.metric("sluice_orphans_total", "dispatcher", outcome="republished")


def is_ready_again(stack, queue):
    try:
        return ready(stack, queue) == 1
    except pika.exceptions.ChannelClosedByBroker:
        return False  # deleted, and not declared again yet


def comes_back(stack, n):
    """A delayed job, whose tenant's queue is deleted just before it is due, runs once. False when the orphan queue was not needed."""
    stack.stop("worker")
    before = republished(stack)
    job = stack.submit(f"/delayed/{n}", "ladder", delay_s=4, body={"n": n}).json()["id"]
    stack.wait_job(job, "scheduled")
    time.sleep(3)
    with stack.amqp() as connection:
        connection.channel().queue_delete("sluice.ladder.normal")
    wait_until(lambda: is_ready_again(stack, "sluice.ladder.normal"), 30, "it to be in the queue again")
    assert ready(stack, "sluice.orphan") == 0
    stack["worker"].start()
    stack.wait_job(job, "succeeded")
    assert [r["attempt"] for r in stack.receipts(job=job)] == [1]
    return republished(stack) == before + 1


@pytest.mark.timeout_s(180)
def test_a_delayed_message_without_a_queue_comes_back(stack):
    """Who declares all queues anew each half minute may be there first; then the message does not miss its own."""
    assert any(comes_back(stack, n) for n in range(4))
    wait_until(lambda: stack.unacknowledged() == 0, 20)


def unknown_message(tenant, name=None):
    job = f"{tenant}.{name or 'a' * 26}"
    headers = {"c": "normal", "m": "POST", "p": "/unknown", "e": "some"}
    return job, pika.BasicProperties(message_id=job, headers=headers, delivery_mode=2)


@pytest.mark.timeout_s(180)
def test_a_message_of_an_unknown_tenant_is_shelved(stack):
    job, properties = unknown_message("nobody")
    put(stack, "sluice.work", "nobody.normal", properties, b"the body")
    found = {}

    def is_there():
        answer = stack.call("GET", f"/v1/jobs/{job}")
        found.update(answer.json() if answer.status_code == 200 else {})
        return answer.status_code == 200

    wait_until(is_there, 30, "the job on the shelf")
    assert (found["state"], found["outcome"]["error"]) == ("in_doubt", "tenant_unknown")
    wait_until(lambda: stack.metric("sluice_orphans_total", "dispatcher", outcome="tenant_unknown") == 1, 10)
    wait_until(lambda: ready(stack, "sluice.orphan") == 0 and stack.unacknowledged() == 0, 30)
    assert ready(stack, "sluice.nobody.shelf") == 1


@pytest.mark.timeout_s(180)
def test_an_unreadable_orphan_is_shelved_where_its_key_says(stack):
    put(stack, "sluice.work", "nobody2.normal", pika.BasicProperties(message_id="?", delivery_mode=2), b"broken")

    def shelved():
        return stack.redis.zrange("{nobody2}:h", 0, -1)

    wait_until(lambda: len(shelved()) == 1, 30, "a job on the shelf")
    found = stack.job(f"nobody2.{shelved()[0]}")
    assert (found["state"], found["outcome"]["error"]) == ("in_doubt", "undecodable")


@pytest.mark.timeout_s(180)
def test_a_shelf_copy_without_a_queue_goes_back_to_the_shelf_queue(stack):
    _, properties = unknown_message("nobody3")
    put(stack, "sluice.shelf", "nobody3", properties, b"a copy")
    wait_until(lambda: ready(stack, "sluice.orphan") == 0 and stack.unacknowledged() == 0, 30)
    assert ready(stack, "sluice.nobody3.shelf") == 1
    assert stack.redis.exists("{nobody3}:h") == 0


@pytest.mark.timeout_s(180)
def test_an_orphan_that_nobody_can_place_stays(stack):
    properties = pika.BasicProperties(message_id="?", delivery_mode=2)
    put(stack, "sluice.work", "No.Tenant", properties, b"whose?")
    wait_until(lambda: stack.metric("sluice_orphans_total", "dispatcher", outcome="left") >= 1, 30)
    wait_until(lambda: ready(stack, "sluice.orphan") == 1, 30)
    take(stack, "sluice.orphan")
