# SPDX-License-Identifier: Apache-2.0
"""The tenant's pool. First the rules, on the scripts alone: how each balance spreads calls, what each limit lets through and when
it says that it will let through more. Then the real stack: rates by the tenant's own log, per_key, failover, sync_share."""
import collections
import time

import pytest

from harness import wait_until
from harness.load import config_of, together
from test_recovery import Recovery
from test_walk import store  # noqa: F401


class Pool(Recovery):
    """A tenant whose instances and policy the test chooses."""

    def __init__(self, port):
        super().__init__(port)
        self.n = 0

    def pool(self, instances, tc=0, **policy):
        """instances: {name: {limit, priority, weight, region, rate}}"""
        lines = []
        for name, i in instances.items():
            lines.append("\t".join(str(x) for x in (name, f"http://{name}", i.get("limit", 0), i.get("priority", 1),
                                                    i.get("weight", 1), i.get("region", ""), i.get("rate", ""))))
        text = " ".join(f"{k}={v}" for k, v in policy.items())
        return self("register", "{}", "".join(line + "\n" for line in lines), tc, "pol", text)

    def new(self, mode="async"):
        self.n += 1
        name = f"j{self.n}"
        self.accept(name, mode=mode, waiter="c|1" if mode == "wait" else "")
        self("mark", 3600000, name)
        return name

    def try_claim(self, name, worker="w1", **options):
        pairs = [x for pair in options.items() for x in pair]
        return self("claim", name, "t" + name, worker, "cw-" + worker, 60000, "hold", 5, 15000, 600000, 600000, 600000, 60000, *pairs)

    def go(self, mode="async", **options):
        """The instance that took a new job, and its name."""
        name = self.new(mode)
        verdict = self.try_claim(name, **options)
        assert verdict[0] == "go", verdict
        return verdict[2], name

    def end(self, name, took=None):
        """Answered, after so many ms."""
        if took is not None:
            self.redis.hset(f"{{t}}:j:{name}", "sa", self.now() - took)
        assert self.complete(name, 1, "t" + name, "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"

    def now(self):
        s, us = self.redis.time()
        return s * 1000 + us // 1000

    def taken(self, calls, **options):
        """How many of so many calls, one after the other, each instance took."""
        got = collections.Counter()
        for _ in range(calls):
            instance, name = self.go(**options)
            got[instance] += 1
            self.end(name)
        return dict(got)

    def t(self, field):
        return self.redis.hget("{t}:t", field)

    def counts(self):
        """Slots, and all that counts them."""
        rows = [row.split("\t") for row in self.redis.hgetall("{t}:s").values()]
        keys = collections.Counter(row[4] for row in rows if row[4:] and row[4])
        assert int(self.t("c") or 0) == len(rows)
        assert int(self.t("cs") or 0) == sum(row[3] == "s" for row in rows)
        assert {k: int(n) for k, n in self.redis.hgetall("{t}:p").items()} == dict(keys)


@pytest.fixture
def pool(store):  # noqa: F811
    return Pool(store)


# --- balances ---

def test_lines_of_three_fields_are_a_round_robin(pool):
    pool("register", "{}", "a\thttp://a\t0\nb\thttp://b\t0\nc\thttp://c\t0\n", 0)
    assert pool.taken(9) == {"a": 3, "b": 3, "c": 3}
    assert pool.redis.hlen("{t}:s") == 0 and pool.t("c") is None, "nothing is written where nothing is limited"


def test_round_robin_leaves_out_what_is_full(pool):
    pool.pool({"a": {"limit": 1}, "b": {}, "c": {}})
    assert pool.go()[0] == "a"
    assert pool.taken(8) == {"b": 4, "c": 4}


def test_priority_takes_the_highest_class_that_is_free(pool):
    pool.pool({"low": {"priority": 2}, "h1": {"priority": 0, "limit": 2}, "med": {"limit": 1}, "h2": {"priority": 0, "limit": 2}},
              balance="priority")
    assert pool.taken(8) == {"h1": 4, "h2": 4}
    took = [pool.go()[0] for _ in range(7)]
    assert sorted(took[:4]) == ["h1", "h1", "h2", "h2"] and took[4:] == ["med", "low", "low"]
    pool("health", "h1", "0", "h2", "0", "med", "0")
    assert pool.go()[0] == "low"


def test_priority_goes_back_when_the_higher_class_does(pool):
    pool.pool({"a": {"priority": 0}, "b": {}}, balance="priority")
    pool("health", "a", "0")
    assert pool.taken(3) == {"b": 3}
    pool("health", "a", "1")
    assert pool.taken(3) == {"a": 3}


def test_least_busy_goes_where_least_is_out(pool):
    pool.pool({"a": {}, "b": {}, "c": {}}, balance="least_busy")
    held = collections.defaultdict(list)
    for _ in range(9):
        instance, name = pool.go()
        held[instance].append(name)
    assert {k: len(v) for k, v in held.items()} == {"a": 3, "b": 3, "c": 3}
    for name in held["b"]:
        pool.end(name)
    assert [pool.go()[0] for _ in range(3)] == ["b", "b", "b"]
    pool.counts()


def test_weighted_is_smooth(pool):
    pool.pool({"a": {"weight": 5}, "b": {"weight": 1}, "c": {"weight": 1}, "none": {"weight": 0}}, balance="weighted")
    took = [pool.go()[0] for _ in range(70)]
    assert collections.Counter(took) == {"a": 50, "b": 10, "c": 10}
    longest = max(len(run) for run in "".join(took).replace("b", " ").replace("c", " ").split())
    assert longest <= 5, took
    assert all(collections.Counter(took[i:i + 7])["a"] == 5 for i in range(0, 70, 7)), took


def test_weights_count_among_those_that_are_free(pool):
    pool.pool({"a": {"weight": 6}, "b": {"weight": 2}, "c": {"weight": 1}}, balance="weighted")
    pool("health", "a", "0")
    assert pool.taken(30) == {"b": 20, "c": 10}


def test_weights_of_zero_only_are_no_instance(pool):
    pool.pool({"a": {"weight": 0}}, balance="weighted")
    assert pool.try_claim(pool.new())[:2] == ["wait", "no_instance"]


def test_region_is_the_workers_first_and_flows_over(pool):
    pool.pool({"us1": {"region": "us"}, "eu1": {"region": "eu", "limit": 1}, "any": {}, "eu2": {"region": "eu", "limit": 1}},
              balance="region")
    assert pool.taken(4, rg="eu") == {"eu1": 2, "eu2": 2}
    assert pool.taken(4, rg="us") == {"us1": 4}
    took = [pool.go(rg="eu")[0] for _ in range(4)]
    assert sorted(took[:2]) == ["eu1", "eu2"] and sorted(took[2:]) == ["any", "us1"]
    assert set(pool.taken(6)) == {"any", "us1"}, "a worker without a region is nowhere's"


def test_least_latency_prefers_the_quick(pool):
    pool.pool({"quick": {}, "slow": {}}, balance="least_latency")
    for _ in range(2):
        instance, name = pool.go()
        pool.end(name, took=10 if instance == "quick" else 200)
    got = collections.Counter()
    for _ in range(40):  # one at a time
        instance, name = pool.go()
        got[instance] += 1
        pool.end(name, took=10 if instance == "quick" else 200)
    assert got == {"quick": 40}
    # Many at once: as many as make the next one as costly, 10 × (n + 1) = 200.
    took = collections.Counter(pool.go()[0] for _ in range(40))
    assert 15 <= took["quick"] <= 39 and took["slow"] >= 1, took
    pool.counts()


def test_a_slow_answer_counts_at_once_and_fades(pool):
    pool.pool({"a": {}, "b": {}}, balance="least_latency")
    now = pool.now()
    pool.redis.hset("{t}:t", mapping={"ew:a": f"10 {now}", "ew:b": f"50 {now}"})
    instance, name = pool.go()
    assert instance == "a"
    pool.end(name, took=2000)
    assert float(pool.t("ew:a").split()[0]) == pytest.approx(2000, rel=0.1)
    assert pool.taken(1) == {"b": 1}
    # A minute later it is worth a try again, and quick answers count little by little.
    pool.redis.hset("{t}:t", mapping={"ew:a": f"2000 {now - 60000}", "ew:b": f"50 {pool.now()}"})
    assert pool.go()[0] == "a"
    pool.redis.hset("{t}:t", mapping={"ew:a": f"1000 {pool.now()}", "ew:b": f"5000 {pool.now()}"})
    instance, name = pool.go()
    assert instance == "a"
    pool.end(name, took=10)
    assert float(pool.t("ew:a").split()[0]) > 800


def test_what_never_left_says_nothing_of_latency(pool):
    pool.pool({"a": {}}, balance="least_latency")
    _, name = pool.go()
    assert pool.complete(name, 1, "t" + name, "unsent", unsent=True)[0] == "waiting"
    assert pool.t("ew:a") is None
    pool.counts()


# --- rates ---

def granted_within(pool, seconds):
    """Claims as fast as it is told to; how many were granted, and in which time by the store's clock."""
    start = pool.now()
    granted = 0
    name = pool.new()
    while pool.now() < start + seconds * 1000:
        verdict = pool.try_claim(name)
        if verdict[0] == "go":
            granted += 1
            name = pool.new()
        else:
            assert verdict[:2] == ["wait", "rate"], verdict
            time.sleep(int(verdict[2]) / 1000)
    return granted, (pool.now() - start) / 1000


@pytest.mark.parametrize("where", ["tenant", "instance"])
def test_a_rate_is_used_to_the_brim_and_never_beyond(pool, where):
    if where == "tenant":
        pool.pool({"a": {}, "b": {}}, rate="40,1000,5")
    else:
        pool.pool({"a": {"rate": "40 1000 5"}})
    granted, took = granted_within(pool, 1)
    assert granted <= 5 + 40 * took + 0.001, "beyond the rate"
    assert granted >= 30, "not used"


def test_a_refused_claim_takes_nothing_and_says_when(pool):
    pool.pool({"a": {}}, rate="1,2000,3")  # one in two seconds, three at once
    for _ in range(3):
        pool.go()
    tat = pool.t("tat")
    name = pool.new()
    waits = [int(pool.try_claim(name)[2]) for _ in range(20)]
    assert pool.t("tat") == tat
    assert all(1000 < ms <= 2000 for ms in waits) and waits == sorted(waits, reverse=True)
    pool.redis.hset("{t}:t", "tat", pool.now() + 4000)  # as if it were the instant that was said
    assert pool.try_claim(name)[0] == "go"


def test_the_rates_of_all_instances_are_used_and_the_earliest_is_said(pool):
    pool.pool({"a": {"rate": "1 60000 1"}, "b": {"rate": "1 1000 1"}, "c": {"rate": "2 60000 2"}})
    took = collections.Counter(pool.go()[0] for _ in range(4))
    assert took == {"a": 1, "b": 1, "c": 2}
    verdict = pool.try_claim(pool.new())
    assert verdict[:2] == ["wait", "rate"] and 0 < int(verdict[2]) <= 1000


def test_a_clock_set_back_and_a_higher_rate_do_not_stop_it(pool):
    pool.pool({"a": {}}, rate="10,1000,1")
    pool.go()
    pool.redis.hset("{t}:t", "tat", pool.now() + 3600000)
    verdict = pool.try_claim(pool.new())
    assert verdict[:2] == ["wait", "rate"] and int(verdict[2]) <= 101


# --- a limit a key ---

def test_a_key_has_its_own_limit_and_blocks_nobody_else(pool):
    pool.pool({"a": {}}, per_key=2)
    held = [pool.go(pk="k1")[1] for _ in range(2)]
    third = pool.new()
    assert pool.try_claim(third, pk="k1")[:2] == ["park", "concurrency"]
    pool.go(pk="k2")
    pool.go()  # no key: no limit
    pool.counts()
    pool.end(held[0])
    assert pool.try_claim(third, pk="k1")[0] == "go"
    pool.counts()


def test_a_keys_slot_outlives_its_worker_and_is_freed_once(pool):
    pool.pool({"a": {}}, per_key=1)
    _, name = pool.go(pk="k1", worker="w1")
    pool("mourn", "w1")
    other = pool.new()
    assert pool.try_claim(other, worker="w2", pk="k1")[:2] == ["park", "concurrency"]
    pool.sweep()
    assert pool.redis.hgetall("{t}:p") == {"k1": "1"}
    pool.age(name)
    assert pool.sweep()["freed"] == 1
    assert pool.redis.hgetall("{t}:p") == {}
    assert pool.try_claim(other, worker="w2", pk="k1")[0] == "go"
    pool.counts()
    pool.complete(name, 1, "t" + name, "end", state="succeeded", answer="200\n\r\nlate")
    pool.counts()


def test_an_attempt_that_is_taken_along_keeps_its_key(pool):
    pool.pool({"a": {}}, per_key=1)
    name = pool.new(mode="wait")
    assert pool.try_claim(name, worker="w1", pk="k1")[0] == "go"
    pool("mourn", "w1")
    assert pool.try_claim(name, worker="w3", pk="k1")[0] == "go"
    assert [row.split("\t")[1:] for row in pool.redis.hgetall("{t}:s").values()] == [["w3", "a", "s", "k1"]]
    pool.end(name)
    pool.counts()
    assert pool.redis.hlen("{t}:s") == 0


def test_what_is_registered_again_counts_its_key(pool):
    pool.pool({"a": {}}, per_key=1)
    now = pool.now()
    again = ("reregister", "j", 1, "t1", "w1", "a", now, now + 60000, 1, "", "fp", "sync", 1, "", 3600000, 0, "m", "POST", "pk", "k1")
    assert pool(*again) == ["restored"]
    assert pool(*again) == ["kept"]
    pool.counts()
    assert pool.try_claim(pool.new(), pk="k1")[:2] == ["park", "concurrency"]
    assert pool.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"
    pool.counts()
    assert pool.redis.hgetall("{t}:p") == {}


def test_a_key_without_room_does_not_make_others_wait(pool):
    """A waiting caller that waits for its key alone does not keep a slot from other work."""
    pool.pool({"a": {"limit": 2}}, per_key=1, sync_share="0.8")
    pool.go(mode="wait", pk="k1")
    assert pool.try_claim(pool.new("wait"), pk="k1")[:2] == ["park", "concurrency"]
    assert pool.t("ws") is None
    pool.go()
    pool.counts()


# --- waiting callers and other work ---

def compete(pool, rounds, slots):
    """Both kinds always want more than there is: each round one of those that run ends, the oldest, and both kinds ask, the order
    changing. Gives the grants by kind, and the most that each ever had at once after the start."""
    waiting = {"wait": pool.new("wait"), "async": pool.new()}
    running, grants, most = [], collections.Counter(), collections.Counter()
    for step in range(rounds):
        for mode in (("wait", "async") if step % 2 else ("async", "wait")):
            while True:
                verdict = pool.try_claim(waiting[mode])
                if verdict[0] != "go":
                    assert verdict[:2] == ["wait", "concurrency"], verdict
                    break
                running.append((mode, waiting[mode]))
                grants[mode] += 1
                waiting[mode] = pool.new(mode)
        pool.counts()
        assert len(running) <= slots
        if step > 2 * slots:
            for mode, n in collections.Counter(mode for mode, _ in running).items():
                most[mode] = max(most[mode], n)
        pool.end(running.pop(0)[1])
    return grants, most


@pytest.mark.parametrize("share, callers", [("0.8", 0.8), ("0.5", 0.5), ("0.25", 0.25)])
def test_of_one_slot_both_kinds_have_their_share(pool, share, callers):
    pool.pool({"a": {"limit": 1}}, sync_share=share)
    grants, _ = compete(pool, 120, 1)
    assert abs(grants["wait"] / sum(grants.values()) - callers) < 0.05, grants


@pytest.mark.parametrize("slots, most_callers", [(10, 8), (2, 1), (3, 2), (7, 5)])
def test_of_several_slots_callers_have_their_share_at_most(pool, slots, most_callers):
    pool.pool({"a": {"limit": slots}, "b": {}}, tc=slots, sync_share="0.8")
    _, most = compete(pool, 12 * slots, slots)
    assert dict(most) == {"wait": most_callers, "async": slots - most_callers}


def test_alone_each_kind_has_all(pool):
    pool.pool({"a": {"limit": 4}}, sync_share="0.8")
    names = [pool.go(mode="wait")[1] for _ in range(4)]
    assert pool.try_claim(pool.new("wait"))[:2] == ["wait", "concurrency"]
    pool.redis.hdel("{t}:t", "ws")
    for name in names:
        pool.end(name)
    names = [pool.go()[1] for _ in range(4)]
    assert pool.try_claim(pool.new())[:2] == ["wait", "concurrency"]


def test_who_is_called_and_does_not_come_waits_no_more(pool):
    pool.pool({"a": {"limit": 1}}, sync_share="0.8")
    _, name = pool.go()
    assert pool.try_claim(pool.new("wait"))[0] == "wait"  # and its caller is never seen again
    other = pool.new()
    assert pool.try_claim(other)[0] == "wait"
    pool.end(name)
    verdict = pool.try_claim(other)
    assert verdict[:2] == ["wait", "concurrency"] and 0 < int(verdict[2]) <= 500
    time.sleep(int(verdict[2]) / 1000 + 0.002)
    assert pool.try_claim(other)[0] == "go"


def test_a_caller_that_is_served_does_not_speak_for_those_behind_it(pool):
    """Its worker has more callers in hand: the next slot is theirs, too, though none of them has been refused since."""
    pool.pool({"a": {"limit": 4}}, sync_share="0.8")
    names = [pool.go()[1] for _ in range(4)]
    first, second = pool.new("wait"), pool.new("wait")
    assert pool.try_claim(first)[:2] == ["wait", "concurrency"]
    for name in names[:2]:
        pool.end(name)
    assert pool.try_claim(first, mw="1")[0] == "go"
    other = pool.new()
    assert pool.try_claim(other)[:2] == ["wait", "concurrency"], "a caller comes next"
    assert pool.try_claim(second)[0] == "go"
    pool.end(names[2])
    assert pool.try_claim(other)[0] == "go", "nobody else waits"


def test_where_nothing_is_limited_nobody_waits(pool):
    pool.pool({"a": {}}, sync_share="0.8")
    pool.go(mode="wait")
    pool.go()
    assert pool.redis.hkeys("{t}:t").count("ws") == 0 and pool.redis.hlen("{t}:s") == 0


# --- a change of the registry ---

def listening(pool, worker="w1"):
    channel = pool.redis.pubsub(ignore_subscribe_messages=True)
    channel.subscribe("cw-" + worker)
    channel.get_message(timeout=1)
    return channel


def test_a_new_instance_wakes_those_that_wait(pool):
    pool.pool({"a": {"limit": 1}})
    pool.go()
    name = pool.new()
    assert pool.try_claim(name)[0] == "wait"
    channel = listening(pool)
    assert pool.pool({"a": {"limit": 1}}) == [0]
    assert pool.pool({"a": {"limit": 1}, "b": {"limit": 1}}) == [1]
    said = channel.get_message(timeout=2)
    assert said and said["data"] == "slot t", "nobody was told"
    assert pool.try_claim(name)[2] == "b"


def test_a_tenant_that_leaves_leaves_no_policy(pool):
    pool.pool({"a": {"weight": 2}}, balance="weighted", rate="1,1000,1")
    pool.go()
    for name in pool.redis.zrange("{t}:u", 0, -1):
        pool.end(name)
    assert pool("register", "", "", 0) == [1]
    assert not {"ep", "il", "tc", "pol", "sw"} & set(pool.redis.hkeys("{t}:t"))


# --- the real stack ---


def instances(stack, *names, **keys):
    return [{"name": name, "url": stack.processes[name].url, **keys} for name in names]


def times(receipts):
    """When the tenant had them, in seconds, in order."""
    return sorted(r["time"] / 1000 for r in receipts)


@pytest.mark.timeout_s(120)
def test_a_rate_holds_over_many_workers_and_is_used(make_stack):
    """Four workers, sixty jobs that all wait: ten in a second, three at once."""
    stack = make_stack(lambda s: s.sample_config(rate={"limit": 10, "period_s": 1, "burst": 3}), workers=4)
    ids = [stack.submit(f"/n{n}").json()["id"] for n in range(60)]
    for job in ids:
        stack.wait_job(job, "succeeded", 60)
    # By the store's clock exactly; at the tenant but for what is on its way.
    starts = sorted(int(stack.redis.hget("{sample}:j:" + job.partition(".")[2], "sa")) / 1000 for job in ids)
    for at, spare in ((starts, 0.02), (times(stack.receipts()), 1)):
        assert len(at) == 60
        for i, begin in enumerate(at):
            for n, end in enumerate(at[i:], 1):
                assert n <= 3 + 10 * (end - begin) + spare, (n, end - begin)
    assert starts[-1] - starts[0] <= 5.7 * 1.25, "not used to the brim"


@pytest.mark.timeout_s(120)
def test_a_key_waits_for_itself_alone(make_stack):
    def config(stack):
        return config_of(stack, {"head": {"per_key": {"header": "X-Customer", "concurrency": 1}},
                                 "label": {"per_key": {"label": "customer", "concurrency": 2}}})

    stack = make_stack(config, workers=2)
    held = stack.submit("/long?ms=4000", tenant="head", labels={"customer": "1"}).json()["id"]  # no header: no limit
    ids = []
    for n in range(3):
        answer = stack.call("POST", "/v1/jobs", json={"tenant": "head", "request": {
            "method": "POST", "path": "/one?ms=700", "headers": {"x-customer": "1"}}})
        ids.append(answer.json()["id"])
        ids.append(stack.submit("/two?ms=700", tenant="label", labels={"customer": "1"}).json()["id"])
    began = time.monotonic()
    for n in range(5):
        answer = stack.call("POST", "/v1/jobs", json={"tenant": "head", "request": {
            "method": "POST", "path": "/other", "headers": {"x-customer": str(n + 2)}}})
        stack.wait_job(answer.json()["id"], "succeeded")
    assert time.monotonic() - began < 10, "others waited for the key"
    for job in ids:
        stack.wait_job(job, "succeeded", 60)
    stack.wait_job(held, "succeeded")
    for path, most in (("/one", 1), ("/two", 2)):
        spans = sorted((r["time"], r["time"] + 700) for r in stack.receipts(path=path))
        assert len(spans) == 3
        for begin, _ in spans:
            # 50 ms: what the answers need.
            assert sum(b <= begin < e - 50 for b, e in spans) <= most, spans
    assert stack.redis.hlen("{head}:p") == 0 and stack.redis.hlen("{label}:p") == 0


@pytest.mark.timeout_s(120)
def test_the_next_class_takes_over_and_gives_back(make_stack):
    def config(stack):
        return stack.sample_config(balance="priority", polling={"method": "health", "endpoint": "/health", "frequency": 1,
                                                                "retries": 0, "retry_delay": 0.2},
                                   instances=instances(stack, "sample-1", priority="high") + instances(stack, "second", priority="low"))

    stack = make_stack(config, start=False)
    second = stack.add_tenant("second")
    stack.start()

    def where():
        answer = stack.call("POST", "/call/sample/x")
        assert answer.status_code == 200
        return answer.headers["X-Instance"]

    assert {where() for _ in range(10)} == {"sample-1"}
    stack.kill("sample-1")
    wait_until(lambda: stack.call("POST", "/call/sample/x").headers.get("X-Instance") == "second", 20, "failover")
    assert {where() for _ in range(5)} == {"second"}
    stack.start("sample-1")
    wait_until(lambda: where() == "sample-1", 30, "the higher class again")
    assert {where() for _ in range(10)} == {"sample-1"}
    assert second.stats()["dropped"] == 0


@pytest.mark.timeout_s(120)
@pytest.mark.parametrize("slots, ms", [(1, 100), (10, 400)])
def test_callers_and_other_work_share_the_slots(make_stack, slots, ms):
    """Both kinds want more than there is, for a while: neither gets more than its share, neither starves. So many callers that some
    wait also while a slow machine takes its time to send the next ones."""
    stack = make_stack(lambda s: s.sample_config(concurrency=slots, sync_share=0.8, timeouts={"sync_s": 40}), workers=2)
    n = 60 if slots == 1 else 160
    ids = together(8, lambda i: stack.submit(f"/job?ms={ms}").json()["id"], range(n // 2))
    answers = together(4 * slots + 4, lambda i: stack.call("POST", f"/call/sample/call?ms={ms}").status_code, range(n))
    assert answers == [200] * n
    calls, jobs = times(stack.receipts(path="/call")), times(stack.receipts(path="/job"))
    # While both wait: from a while after the first caller until the last callers are in.
    begin, end = calls[len(calls) // 6], calls[-3 * slots]
    callers, others = (sum(begin <= t < end for t in x) for x in (calls, jobs))
    share = callers / (callers + others)
    assert 0.65 <= share <= 0.9, f"{callers} calls beside {others} jobs"
    for job in ids:
        stack.wait_job(job, "succeeded", 60)
    assert stack.tenant.stats()["peak"] <= slots


@pytest.mark.timeout_s(90)
def test_a_new_instance_gets_its_first_call_within_two_seconds(make_stack):
    def config(stack):
        return stack.sample_config(instances=instances(stack, "sample-1", concurrency=1))

    stack = make_stack(config, start=False, workers=2)
    second = stack.add_tenant("second")
    stack.start()
    ids = [stack.submit("/long?ms=8000").json()["id"] for _ in range(2)]
    wait_until(lambda: stack.tenant.stats()["running"] == 1, 20, "the first call")
    stack.configure(lambda s: s.sample_config(instances=instances(s, "sample-1", "second", concurrency=1)))
    wait_until(lambda: "second" in (stack.redis.hget("{sample}:t", "il") or ""), 20, "the registry")
    began = time.monotonic()
    wait_until(lambda: second.stats()["running"] == 1, 10, "the new instance's first call")
    assert time.monotonic() - began < 2
    for job in ids:
        stack.wait_job(job, "succeeded")
