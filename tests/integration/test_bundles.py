# SPDX-License-Identifier: Apache-2.0
"""Several jobs in one message, while their tenant is brisk (decision 0014): each is called once and has its own answer, whoever
dies, drains or has no room meanwhile; a message that lies about what it brings is shelved, and takes nothing with it."""
import tempfile
import time
from signal import SIGCONT, SIGSTOP, SIGTERM

import pika
import pytest

from harness import Broker, wait_until
from harness.load import config_of, expect_problem, quiet, start, together

NORMAL = "sluice.sample.normal"
SYNC = "sluice.sample.sync"
BURST = 24
ROUNDS = 5  # on a busy machine the burst may come when the tenant is brisk no more
LEASE_S = 3


def config(**worker):
    def make(stack):
        tenant = {"in_doubt": {"policy": "retry"}, "retry": {"initial_s": 0.1, "max_s": 0.5},
                  "timeouts": {"sync_s": 60, "total_s": 60}}
        return config_of(stack, {"sample": tenant, "slow": tenant}, worker={"lease_s": LEASE_S, **worker})

    return make


@pytest.fixture(scope="module")
def one_stack(make_module_stack):
    return make_module_stack(config())


@pytest.fixture
def stack(one_stack):
    """All of it is up, and nothing is left of the test before."""
    one_stack["worker"].start()
    one_stack.wait_ready()
    yield one_stack
    one_stack.tenant.control(pause=0)


# --- what lies in a queue ---------------------------------------------------------------------------------------------

def text(value):
    return value if isinstance(value, bytes) else value.encode()


def jobs_in(properties, body):
    """[(head, body), …] of a message, of one job or of several."""
    if "js" not in properties.headers:
        return [(text(properties.headers["j"]), body)]
    found = []
    while body:
        sizes, _, rest = body.partition(b"\n")
        head_n, body_n = (int(word) for word in sizes.split(b" "))
        found.append((rest[:head_n], rest[head_n:head_n + body_n]))
        body = rest[head_n + body_n:]
    assert str(len(found)) == properties.headers["js"]
    return found


def packed(jobs):
    return b"".join(b"%d %d\n" % (len(head), len(body)) + head + body for head, body in jobs)


def fields_of(head):
    """{name: value}"""
    found = {}
    while head:
        line, _, rest = head.partition(b"\n")
        name, _, size = line.partition(b" ")
        found[name.decode()] = rest[:int(size)]
        head = rest[int(size) + 1:]
    return found


def head_of(fields):
    return b"".join(b"%s %d\n%s\n" % (name.encode(), len(value), value) for name, value in fields.items())


def take(stack, queue, n_jobs):
    """Takes the messages of so many jobs off a queue, as [(properties, body), …]."""
    found = []
    with stack.amqp() as connection:
        channel = connection.channel()

        def are_all():
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method is not None:
                found.append((properties, body))
            return sum(len(jobs_in(*message)) for message in found) >= n_jobs

        wait_until(are_all, 20, f"{n_jobs} jobs in {queue}")
    return found


def put(stack, key, properties, body):
    with stack.amqp() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("sluice.work", key, body, properties, mandatory=True)


def put_together(stack, jobs, count=None):
    """As one message."""
    properties = pika.BasicProperties(message_id="", headers={"js": str(len(jobs) if count is None else count)}, delivery_mode=2)
    put(stack, "sample.normal", properties, packed(jobs))


def ready(stack, queue=NORMAL):
    with stack.amqp() as connection:
        return connection.channel().queue_declare(queue, passive=True).method.message_count


def submit(stack, path, tenant="sample"):
    answer = stack.submit(path, tenant, body={"n": path})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def accept(stack, paths):
    """Jobs that were accepted while there is no worker, taken off their queue: their ids, and [(head, body), …]."""
    ids = [submit(stack, path) for path in paths]
    jobs = [job for message in take(stack, NORMAL, len(ids)) for job in jobs_in(*message)]
    assert [fields_of(head)["id"].decode() for head, _ in jobs] == ids
    return ids, jobs


def bundle(stack, paths):
    """Such jobs, in one message in their queue; their ids."""
    ids, jobs = accept(stack, paths)
    put_together(stack, jobs)
    return ids


def all_ran_once(stack, ids, timeout=60):
    for job in ids:
        record = stack.wait_job(job, timeout=timeout)
        assert (record["state"], len(record["attempts"])) == ("succeeded", 1), record
        assert [r["attempt"] for r in stack.receipts(job=job)] == [1]


def in_hand(stack, name="worker"):
    return stack.metric("sluice_worker_in_hand", stack[name].name)


# --- a burst ----------------------------------------------------------------------------------------------------------

def begin_burst(stack, send, prefix, tenant="sample", sleep_ms=0, part=lambda stack: stack.stop("worker")):
    """Attempts have just ended, and `part` has the worker do no more; then many calls at once, which the store accepts in one go.
    Gives the future of their answers."""
    for n in range(6):
        warm = stack.call("POST", f"/call/{tenant}{prefix}/warm/{n}?sleep_ms={sleep_ms}", data=b"x")
        assert warm.status_code == 200, warm.text
    part(stack)
    stack.signal("redis", SIGSTOP)
    try:
        answers = start(together, BURST, lambda n: send(f"{prefix}/{n}"), range(BURST))
        wait_until(lambda: stack.metric("sluice_http_pending") >= BURST, 4, "all are with the ingress", every=0.01)
    finally:
        stack.signal("redis", SIGCONT)
    return answers


def messages_of_burst(stack, queue):
    """How many jobs each of its messages brings; they are in the queue as before."""
    messages = take(stack, queue, BURST)
    for properties, body in messages:
        put(stack, queue.removeprefix("sluice."), properties, body)
    sizes = [len(jobs_in(*message)) for message in messages]
    assert sum(sizes) == BURST and max(sizes) <= 32, sizes
    return sizes


def async_round(stack, n):
    answers = begin_burst(stack, lambda path: stack.submit(path, body={"n": path}), f"/burst/{n}").result(30)
    assert {a.status_code for a in answers} == {202}
    sizes = messages_of_burst(stack, NORMAL)
    stack["worker"].start()
    all_ran_once(stack, [a.json()["id"] for a in answers])
    return len(sizes) < BURST


@pytest.mark.timeout_s(240)
def test_what_comes_together_travels_together_and_runs_once(stack):
    assert any(async_round(stack, n) for n in range(ROUNDS)), "as many messages as jobs"
    quiet(stack)


def sync_round(stack, n):
    def send(path):
        return stack.call("POST", f"/call/sample{path}", data=f"of {path}", timeout=60)

    future = begin_burst(stack, send, f"/calls/{n}")
    sizes = messages_of_burst(stack, SYNC)
    stack["worker"].start()
    answers = future.result(60)
    assert [(a.status_code, a.text) for a in answers] == [(200, f"of /calls/{n}/{i}") for i in range(BURST)]
    for i in range(BURST):
        assert [r["attempt"] for r in stack.receipts(path=f"/calls/{n}/{i}")] == [1]
    return len(sizes) < BURST


@pytest.mark.timeout_s(240)
def test_each_of_many_calls_at_once_has_its_own_answer(stack):
    assert any(sync_round(stack, n) for n in range(ROUNDS)), "as many messages as calls"
    quiet(stack)


@pytest.mark.parametrize("n", range(2))
def test_the_work_of_a_slow_tenant_is_spread(stack, n):
    """A message is one worker's: what takes its time is for all of them."""
    answers = begin_burst(stack, lambda path: stack.submit(path, "slow", body={"n": path}), f"/slow/{n}", "slow", 400).result(30)
    sizes = messages_of_burst(stack, "sluice.slow.normal")
    stack["worker"].start()
    assert sizes == [1] * BURST, "jobs of a slow tenant in one message"
    all_ran_once(stack, [a.json()["id"] for a in answers])


# --- in a worker's hand -----------------------------------------------------------------------------------------------

@pytest.mark.timeout_s(180)
def test_a_killed_worker_leaves_what_had_ended(stack):
    """One of them runs and the others have ended: the message comes back for the one."""
    stack.stop("worker")
    quick = [f"/killed/{n}" for n in range(3)]
    *ended, running, last = bundle(stack, [*quick, "/killed/long?sleep_ms=5000", "/killed/last"])
    stack["worker"].start()
    for job in [*ended, last]:
        assert stack.wait_job(job)["state"] == "succeeded"
    assert stack.job(running)["state"] == "running" and in_hand(stack) == 1
    stack.kill("worker")
    stack["worker"].start()
    assert stack.wait_job(running, "succeeded", timeout=40)["state"] == "succeeded"
    assert [r["attempt"] for r in stack.receipts(job=running)] == [1, 2]
    quiet(stack)
    all_ran_once(stack, [*ended, last])


@pytest.mark.timeout_s(180)
def test_what_a_worker_has_no_room_for_goes_to_another(make_stack):
    stack = make_stack(config(concurrency=2))
    stack.stop("worker")
    jobs = bundle(stack, [f"/surplus/{n}" for n in range(8)])
    stack.tenant.control(pause=1)  # whoever is called stays called
    stack["worker"].start()
    wait_until(lambda: ready(stack) >= 5, 15, "what it does not begin, in its queue")
    assert 1 <= len(stack.receipts()) <= 3 and in_hand(stack) <= 3
    stack.env["SLUICE_CFG_WORKER_CONCURRENCY"] = "64"
    stack.add("worker").wait_ready()
    wait_until(lambda: len(stack.receipts()) == len(jobs), 20, "all are called")
    assert {stack.job(job)["state"] for job in jobs} == {"running"}
    stack.tenant.control(pause=0)
    all_ran_once(stack, jobs)
    quiet(stack)


@pytest.mark.timeout_s(180)
def test_a_worker_with_room_for_one_works_off_all(make_stack):
    """There is nobody else; whether they wait in its hand or go back to the queue and come again."""
    stack = make_stack(config(concurrency=1))
    stack.stop("worker")
    jobs = bundle(stack, [f"/narrow/{n}?sleep_ms={500 if n < 5 else 0}" for n in range(32)])
    stack["worker"].start()
    all_ran_once(stack, jobs)
    assert stack.tenant.stats()["peak"] <= 2
    quiet(stack)


@pytest.mark.timeout_s(180)
@pytest.mark.parametrize("concurrency", [2, 64])
def test_a_drained_worker_loses_and_repeats_nothing(make_stack, concurrency):
    stack = make_stack(config(concurrency=concurrency))
    stack.stop("worker")
    jobs = bundle(stack, [f"/drained/{n}?sleep_ms={1000 if n % 2 else 0}" for n in range(16)])
    stack.tenant.control(pause=1)
    stack["worker"].start()
    wait_until(lambda: in_hand(stack) >= 14 and stack.receipts(), 20, "they are in its hand")
    worker = stack["worker"]
    worker.signal(SIGTERM)
    wait_until(lambda: worker.text().count("id=draining ") == 2, 20)  # of its first end, and of this
    stack.tenant.control(pause=0)
    wait_until(lambda: not worker.is_running, 60, "its end")
    assert worker.popen.returncode == 0
    worker.start()
    all_ran_once(stack, jobs)
    quiet(stack)


@pytest.fixture(scope="module")
def own_broker():
    """One that may be hurt."""
    with tempfile.TemporaryDirectory(prefix="sluice-broker.", ignore_cleanup_errors=True) as path:
        broker = Broker(path)
        try:
            yield broker.start()
        finally:
            broker.stop()


@pytest.mark.timeout_s(240)
def test_what_could_not_be_published_does_not_wait_for_one_that_runs_beside_it(make_stack, own_broker):
    """An alarm comes while a worker holds more than it has room for: the broker would have the message again only when the one that
    runs is over."""
    stack = make_stack(config(concurrency=2), broker=own_broker)
    stack.stop("worker")
    jobs = bundle(stack, [f"/alarm/{n}?sleep_ms={25000 if n < 3 else 0}" for n in range(8)])
    retried = submit(stack, "/fail?times=1", "slow")  # its retry is the publish that the broker blocks
    own_broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        wait_until(lambda: own_broker.ctl("eval", "rabbit_alarm:get_alarms().").strip() != "[]", 20, "the alarm")
        stack["worker"].start(wait=False)
        wait_until(lambda: stack.receipts(path="/alarm/0"), 30, "one runs")
        wait_until(lambda: stack.job(retried)["state"] == "waiting", 20, "another is to be published again")
        time.sleep(4)  # longer than it keeps what it does not begin
    finally:
        own_broker.ctl("set_vm_memory_high_watermark", "absolute", "1024MB")
    wait_until(lambda: ready(stack) >= 5, 12, "the others are in their queue")
    assert stack.job(jobs[0])["state"] == "running"
    all_ran_once(stack, jobs)
    assert stack.wait_job(retried)["state"] == "succeeded"
    quiet(stack)


# --- without a queue --------------------------------------------------------------------------------------------------

def comes_back(stack, n):
    """A message whose queue is not there. False when the orphan queue was not needed: somebody had declared it anew."""
    stack.stop("worker")
    before = stack.metric("sluice_orphans_total", "dispatcher", outcome="republished")
    ids, jobs = accept(stack, [f"/orphan/{n}/{i}" for i in range(4)])
    with stack.amqp() as connection:
        connection.channel().queue_delete(NORMAL)
    put_together(stack, jobs)
    stack["worker"].start()
    all_ran_once(stack, ids)
    return stack.metric("sluice_orphans_total", "dispatcher", outcome="republished") == before + 4


@pytest.mark.timeout_s(240)
def test_each_job_of_an_orphan_comes_back(stack):
    assert any(comes_back(stack, n) for n in range(4))
    quiet(stack)


# --- what cannot be told apart ----------------------------------------------------------------------------------------

# The leader may be first to see the copy on the shelf, and knows nothing of why it is there.
WHY = ("undecodable", "memory_lost")


def shelved(stack):
    return set(stack.redis.zrange("{sample}:h", 0, -1))


def unknown_job(n):
    fields = {"id": f"sample.{'l' * 25}{n}", "c": "normal", "m": "POST", "p": "/lie", "e": "some"}
    return head_of({name: value.encode() for name, value in fields.items()}), b"the body"


TWO = packed([unknown_job("a"), unknown_job("b")])
LIES = {
    "three that are two": ("3", TWO), "one that is two": ("1", TWO), "none": ("0", TWO), "none at all": ("0", b""),
    "too many": ("33", packed([unknown_job("a")] * 33)), "no number": ("two", TWO), "less than none": ("-2", TWO),
    "trailing bytes": ("2", TWO + b"x"), "cut off": ("2", TWO[:-1]), "nothing": ("1", b""), "no sizes": ("1", b"\n"),
    "no second size": ("1", b"0\n"), "no end of the sizes": ("1", b"0 0"), "negative": ("1", b"-1 1\nx"),
    "a head beyond the end": ("1", b"9 0\nx"), "a body beyond the end": ("1", b"0 9\nx"),
    "more than a number holds": ("1", b"18446744073709551615 18446744073709551615\nx"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_message_that_lies_is_shelved_as_one(stack, lie):
    count, body = LIES[lie]
    before = shelved(stack)
    put(stack, "sample.normal", pika.BasicProperties(message_id="", headers={"js": count}, delivery_mode=2), body)
    [name] = wait_until(lambda: shelved(stack) - before, 20, "it is on the shelf")
    found = stack.job(f"sample.{name}")
    assert found["state"] == "in_doubt" and found["outcome"]["error"] in WHY
    wait_until(lambda: stack.unacknowledged() == 0, 20, "it is acknowledged")
    assert len(shelved(stack) - before) == 1 and stack.receipts(path="/lie") == []


def test_one_that_is_broken_takes_nothing_with_it(stack):
    stack.stop("worker")
    ids, jobs = accept(stack, ["/good/1", "/bad", "/good/2"])
    before = shelved(stack)
    put_together(stack, [jobs[0], (b"no head", jobs[1][1]), jobs[2]])
    stack["worker"].start()
    all_ran_once(stack, [ids[0], ids[2]])
    [name] = wait_until(lambda: shelved(stack) - before, 20, "the broken one is on the shelf")
    assert stack.job(f"sample.{name}")["outcome"]["error"] in WHY
    wait_until(lambda: stack.unacknowledged() == 0, 20, "it is acknowledged")
    assert stack.receipts(job=ids[1]) == []
    assert ready(stack) == 0


def shelf_copy(stack, job):
    """(properties, body), or None while the leader looks at it. What is seen goes back with the connection's end."""
    with stack.amqp() as connection:
        channel = connection.channel()
        while True:
            method, properties, body = channel.basic_get("sluice.sample.shelf")
            if method is None or properties.message_id == job:
                return method and (properties, body)


def test_one_whose_head_makes_no_sense_keeps_its_name_and_its_copy_is_sound(stack):
    stack.stop("worker")
    ids, jobs = accept(stack, ["/sense/1", "/sense/2"])
    before = shelved(stack)
    bad = head_of({**fields_of(jobs[1][0]), "p": b"no path"})
    put_together(stack, [jobs[0], (bad, jobs[1][1])])
    stack["worker"].start()
    all_ran_once(stack, ids[:1])
    [name] = wait_until(lambda: shelved(stack) - before, 20, "it is on the shelf")
    assert (f"sample.{name}", stack.receipts(job=ids[1])) == (ids[1], [])
    assert stack.job(ids[1])["outcome"]["error"] in WHY
    properties, body = wait_until(lambda: shelf_copy(stack, ids[1]), 20, "its copy")
    assert (fields_of(text(properties.headers["j"]))["p"], body) == (b"/", jobs[1][1])


# --- a confirm that never comes ---------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def proxied(make_module_stack):
    """A stack, and what its ingress' way to the broker leads through."""
    stack = make_module_stack(config())
    proxy = stack.add_proxy("proxy", stack.broker.port, direction="answers").start()
    stack["ingress"].env["SLUICE_CFG_BROKER_URL"] = stack.broker.url(stack.vhost).replace(f":{stack.broker.port}/", f":{proxy.port}/")
    stack["ingress"].restart()
    return stack, proxy


def unconfirmed_burst(stack, proxy, prefix, part):
    """Its messages reach the broker, and no confirm comes back."""
    def part_and_delay(stack):
        part(stack)
        proxy.order("/set", delay_ms=60000)

    return begin_burst(stack, lambda path: stack.submit(path, body={"n": path}), prefix, part=part_and_delay)


def end_of_burst(stack, proxy, future):
    """The connection is cut: the answers."""
    proxy.order("/set", delay_ms=0)
    proxy.order("/cut")
    answers = future.result(40)
    assert {a.status_code for a in answers} <= {202, 503}
    stack["worker"].start()
    stack.wait_ready()
    return answers


def are_true(stack, prefix, answers):
    """What was accepted ran once, and what was refused never does."""
    all_ran_once(stack, [a.json()["id"] for a in answers if a.status_code == 202])
    quiet(stack)
    for n, answer in enumerate(answers):
        if answer.status_code == 503:
            expect_problem(answer, 503, "unavailable")
        assert len(stack.receipts(path=f"{prefix}/{n}")) == (1 if answer.status_code == 202 else 0), answer.text


def withdrawn_round(stack, proxy, prefix):
    future = unconfirmed_burst(stack, proxy, prefix, lambda stack: stack.stop("worker"))
    sizes = messages_of_burst(stack, NORMAL)
    answers = end_of_burst(stack, proxy, future)
    assert {a.status_code for a in answers} == {503}
    are_true(stack, prefix, answers)
    return len(sizes) < BURST


def run_round(stack, proxy, prefix):
    future = unconfirmed_burst(stack, proxy, prefix, lambda stack: stack["worker"].signal(SIGSTOP))
    stack["worker"].signal(SIGCONT)
    wait_until(lambda: sum(r["path"].startswith(prefix + "/") for r in stack.receipts()) > 6 or future.done(), 20, "some run")
    answers = end_of_burst(stack, proxy, future)
    are_true(stack, prefix, answers)
    return 202 in {a.status_code for a in answers}


@pytest.mark.timeout_s(240)
@pytest.mark.parametrize("one_round", [withdrawn_round, run_round])
def test_a_publish_of_which_nothing_is_known_is_answered_truthfully(proxied, one_round):
    """Without a worker all of them are withdrawn; those that one has are accepted."""
    assert any(one_round(*proxied, f"/unknown/{one_round.__name__}/{n}") for n in range(ROUNDS))
