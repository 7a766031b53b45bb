# SPDX-License-Identifier: Apache-2.0
"""Where two parts of the pool meet, on the scripts alone: work that waits for its own key is before nobody; both kinds of work
have their share of what an ailing pool can take; who waits is woken by whatever comes free first; a dead worker's probe is
nobody's; what is noted of an instance goes with it; a clock that was set back spoils no figure."""
import collections

import pytest

from test_load_rules import Load
from test_moods import BREAKER, Moods
from test_pool import Pool
from test_walk import store  # noqa: F401

HOUR = 3600000


@pytest.fixture
def load(store):  # noqa: F811
    return Load(store)


@pytest.fixture
def moods(store):  # noqa: F811
    return Moods(store)


@pytest.fixture
def pool(store):  # noqa: F811
    return Pool(store)


# --- shedding, and work that waits for its own key ---

def wait_in_line(load, head, names):
    load("mark", HOUR, head)
    assert load.claim(head, token=head)[0] == "go"
    for name in names:
        load("mark", HOUR, name)
        assert load.claim(name, token=name)[0] == "order"
        assert load("wait_turn", name, "head", "body", 100000)[0] == "shelved"


def test_a_line_whose_head_is_in_doubt_sheds_nobody_elses_work(load):
    """The line may wait for a person for days. The tenant itself is idle."""
    load.served(1000, times=5)
    names = [load.arrive(mode="async", ok="o")[0] for _ in range(40)]
    wait_in_line(load, names[0], names[1:])
    assert load.complete(names[0], 1, names[0], "hold")[0] == "in_doubt"
    for _ in range(8):
        assert load.verdict(mode="async", own=5000) == "new"
        load("cancel", f"n{load.n}", 600000, 600000)
        load.look(1500)
        load.pass_time(1000)
    assert load.redis.zcard("{t}:x") == 39


def test_who_leaves_the_line_waits_like_all(load):
    names = [load.arrive(mode="async", ok="o")[0] for _ in range(4)]
    wait_in_line(load, names[0], names[1:])
    assert load.redis.zrange("{t}:x", 0, -1) == sorted(names[1:])
    load.end(names[0])
    assert load.redis.zrange("{t}:x", 0, -1) == sorted(names[2:]), "its turn has come"
    assert load("cancel", names[2], 600000, 600000)[0] == "canceled"
    assert load.redis.zrange("{t}:x", 0, -1) == names[3:]


@pytest.mark.parametrize("mode", ["async", "wait"])
def test_a_key_without_room_sheds_nobody_elses_work(load, mode):
    """One customer's hundred jobs wait for that customer's one place; the others have room."""
    load("register", "{}", "a\thttp://a\t20\n", 20, "pol", "per_key=1")
    load.served(1000, times=5)

    def claim(name, key):
        load("mark", HOUR, name)
        return load("claim", name, name, "w1", "cw", 60000, "hold", 5, 15000, 600000, 600000, 600000, 60000, "pk", key)[0]

    names = [load.arrive(mode=mode, deadline=600000)[0] for _ in range(40)]
    assert [claim(name, "k1") for name in names] == ["go"] + ["park"] * 39
    load.look(3000)
    for _ in range(4):
        name, said = load.arrive(mode=mode, deadline=5000, own=5000 if mode == "async" else 0)
        assert said[0] == "new"
        assert claim(name, f"k{name}") == "go"
        load.end(name)
        load.look(1500)
    load.end(names[0])
    assert claim(names[1], "k1") == "go"
    assert load.redis.zscore("{t}:x", names[1]) is None


# --- shares of what is left of a pool ---

def shares(pool, rounds, others_first=False):
    """Both kinds always want more than there is, and one of them always asks first."""
    waiting = {"wait": pool.new("wait"), "async": pool.new()}
    running, grants = [], collections.Counter()
    for step in range(rounds):
        for mode in ("async", "wait") if others_first else ("wait", "async"):
            while pool.try_claim(waiting[mode])[0] == "go":
                running.append((mode, waiting[mode]))
                grants[mode] += step > 10
                waiting[mode] = pool.new(mode)
        pool.end(running.pop(0)[1])
    return grants


AILING = {
    "cooling": lambda pool: pool.redis.hset("{t}:t", "cool:b", pool.now() + 600000),
    "down": lambda pool: pool("health", "b", "0"),
    "rate": lambda pool: pool.redis.hset("{t}:t", "tat:b", pool.now() + 600000),
}


@pytest.mark.parametrize("slots", [1, 5])
@pytest.mark.parametrize("others_first", [False, True])
@pytest.mark.parametrize("why", sorted(AILING))
def test_an_ailing_pool_is_shared_like_a_whole_one(pool, why, slots, others_first):
    pool.pool({"a": {"limit": slots}, "b": {"limit": slots, "rate": "1 900000 1" if why == "rate" else ""}}, sync_share="0.8")
    AILING[why](pool)
    grants = shares(pool, 80, others_first)
    assert grants["async"] / sum(grants.values()) == pytest.approx(0.2, abs=0.08), grants


def test_an_instance_without_weight_is_nobodys_share(pool):
    pool.pool({"a": {"limit": 5}, "b": {"limit": 20, "weight": 0}}, sync_share="0.8", balance="weighted")
    grants = shares(pool, 80)
    assert grants["async"] / sum(grants.values()) == pytest.approx(0.2, abs=0.08), grants


# --- who waits is woken ---

def test_a_full_instance_wakes_who_was_told_of_anothers_rate(pool):
    """What comes free first is not what the claim was told of."""
    pool.pool({"a": {"limit": 1}, "b": {"rate": "1 1000 1"}}, sync_share="0.8")
    held = dict(pool.go() for _ in range(2))
    assert pool.try_claim(pool.new("wait"), worker="w9")[:2] == ["wait", "rate"]
    assert pool.t("ww") == " cw-w9", "nobody would tell it that a is free"
    assert pool.t("ws"), "it waits for a slot, too"
    channel = pool.redis.pubsub(ignore_subscribe_messages=True)
    channel.subscribe("cw-w9")
    channel.get_message(timeout=1)
    pool.end(held["a"])
    assert channel.get_message(timeout=2)["data"] == "slot t"


def test_a_half_open_breaker_counts_for_its_probes(pool):
    pool.pool({"a": {"limit": 5}, "b": {"limit": 50}}, sync_share="0.8")
    pool.redis.hset("{t}:t", "br:b", f"h 0 x={pool.now() + HOUR}")
    breaker = {"breaker": "0.5 4 60000 1000 1"}
    waiting = {"wait": pool.new("wait"), "async": pool.new()}
    running, grants = [], collections.Counter()
    for _ in range(60):
        for mode in ("wait", "async"):
            while pool.try_claim(waiting[mode], **breaker)[0] == "go":
                running.append(waiting[mode])
                grants[mode] += 1
                waiting[mode] = pool.new(mode)
        pool.end(running.pop(0))
    assert grants["async"] >= 6, grants


def test_a_rate_alone_writes_nothing(pool):
    pool.pool({"a": {"rate": "1 900 1"}, "b": {"rate": "1 900 1"}}, sync_share="0.8")
    for _ in range(2):
        pool.go()
    assert pool.try_claim(pool.new("wait"))[:2] == ["wait", "rate"]
    assert pool.t("ww") is None and pool.t("ws") is None


# --- probes ---

@pytest.mark.parametrize("policy", ["hold", "ask", "retry"])
def test_a_dead_workers_probe_is_let_go_whatever_becomes_of_its_job(moods, policy):
    """Else nobody tries the instance until that attempt's slot ends: half an hour, perhaps."""
    moods.opened()
    moods.options = {"breaker": "0.5 4 60000 1000 1"}
    moods.forget_the_open_second()
    moods.queued("j")
    assert moods.claim("j", policy=policy)[:2] == ["go", 1]
    moods.queued("x")
    assert moods.claim("x", token="x")[:2] == ["wait", "breaker"], "one probe at a time"
    moods("mourn", "w1")
    said = moods.claim("j", token="t2", worker="w2", policy=policy)
    assert said[0] == {"hold": "hold", "ask": "park", "retry": "go"}[policy], said
    if policy == "retry":
        assert "t1=" not in moods.field("br:a")
    else:
        assert moods.claim("x", token="x", worker="w2")[0] == "go"


# --- what is noted of an instance ---

def test_what_was_noted_of_an_instance_goes_with_it(pool):
    pool.pool({"a": {"limit": 2}, "b": {}})
    now = pool.now()
    noted = {f: v for f, v in {"up": "0", "n": "7", "tat": now - 1000, "ew": f"10 {now}", "cool": now - 1, "br": f"o {now - 1}",
                               "ad": "3 1 1 1 1 1 1 1"}.items()}
    pool.redis.hset("{t}:t", mapping={f"{f}:{i}": v for f, v in noted.items() for i in "ab"})
    pool.pool({"a": {"limit": 2}})
    left = {f for f in pool.redis.hkeys("{t}:t") if ":" in f}
    assert left == {f"{f}:a" for f in noted}


def test_a_limit_outlives_an_instance_that_is_soon_back(pool):
    """Discovery may lose sight of it for a moment: what it asked for still holds, and its slots still count."""
    pool.pool({"a": {"limit": 2, "rate": "1 600000 1"}, "b": {"limit": 2}})
    now = pool.now()
    held = dict(pool.go() for _ in range(2))
    pool.redis.hset("{t}:t", mapping={"cool:b": now + 60000, "br:b": f"o {now + 60000}"})
    pool.pool({"c": {"limit": 1}})
    for i in "ab":
        assert pool.t(f"c:{i}") == "1"
    assert float(pool.t("tat:a")) > now and int(pool.t("cool:b")) == now + 60000 and pool.t("br:b")
    for name in held.values():
        pool.end(name)
    pool.pool({"d": {"limit": 1}})
    assert pool.t("c:a") is None and pool.t("c:b") is None
    pool.counts()


def test_a_late_refusal_is_not_the_next_attempts(pool):
    """The worker was taken for dead; its job runs on another instance by now."""
    pool.pool({"a": {"limit": 1}, "b": {"limit": 1}})
    first, name = pool.go()
    pool("mourn", "w1")
    again = pool("claim", name, "t2", "w2", "cw", 60000, "retry", 5, 15000, 600000, 600000, 600000, 60000)
    assert again[0] == "go" and again[2] != first
    said = pool("complete", name, 1, "t" + name, "unsent", "failed", "", "connect_refused", "", 0, 1, 100, 600000, 600000, 600000,
                60000, "", "", 1000, 1, 1)
    assert said[0] == "late"
    assert pool.t("up:" + again[2]) is None


# --- a clock that was set back ---

def test_a_clock_set_back_spoils_no_estimate(load):
    load.busy(took=1000, waiting=10)
    load.arrive(deadline=60000)
    for hours in (HOUR // 60, 2 * HOUR):
        load.pass_time(-hours)
        said = load.arrive(deadline=60000)[1]
        assert said[0] == "new" and 0 <= int(said[3]) <= 100000 and 0 <= int(said[4]) <= 100000, said


def test_a_clock_set_back_does_not_stop_an_adaptive_limit(moods):
    moods.pool("a", concurrency=0)
    moods.options = {"adaptive": "4 100"}
    moods.redis.hset("{t}:t", "ad:a", f"10.00 5.00 {moods.now() + HOUR} 0 0 0 0 1")
    moods.queued("j")
    assert moods.claim("j", token="j")[0] == "go"
    moods.redis.hincrby("{t}:j:j", "sa", -50)
    moods.end("j", "bad", load="busy")
    assert float(moods.field("ad:a").split()[0]) < 10, "it feels nothing for an hour"


def test_a_breaker_is_open_no_longer_than_its_policy_says_by_now(moods):
    """The policy was changed, or the clock set back."""
    moods.opened()
    moods.redis.hset("{t}:t", "br:a", f"o {moods.now() + HOUR}")
    moods.queued("x")
    said = moods.claim("x", token="x")
    assert said[:2] == ["wait", "breaker"] and int(said[2]) <= 1000


def test_an_open_breaker_is_waited_for_by_who_has_the_time(load):
    load.busy(took=1000, waiting=3)
    for name in ("n4", "n5"):
        load.end(name)
    load.redis.hset("{t}:t", "br:a", f"o {int(load.time()) + 20000}")
    assert load.verdict(deadline=15000) == "shed"
    assert load.verdict(deadline=30000) == "new"
    load.redis.hset("{t}:t", "br:a", f"h 1 x={int(load.time()) + 20000}")
    assert load.verdict(deadline=1500) == "new", "it is about to close"


# --- offloaded work ---

class Offloads(Moods):
    def offload(self, name, frees=0, **more):
        options = {**self.options, "ofu": "http://a/jobs/7", "ofm": HOUR, "ofg": 5000, **more}
        said = self("complete", name, 1, name, "offload", "failed", "202", "", "", 0, frees, 500, 600000, 600000, 600000, 60000,
                    "", "", 1000000, 0, 0, *[x for pair in options.items() for x in pair])
        assert said[0] == "waiting", said

    def outcome(self, name, **more):
        """As a poll brings it: it says nothing of the call's pace."""
        done = self.complete(name, 1, name, "end", state="succeeded", answer="200\n\r\nx", call="", load="", took=0, **more)
        assert done[0] == "ended"

    def begun(self, name, ago=0):
        self.queued(name)
        assert self.claim(name, token=name)[0] == "go"
        self.redis.hincrby(f"{{t}}:j:{name}", "sa", -ago)


@pytest.fixture
def offloads(store):  # noqa: F811
    return Offloads(store)


def test_a_probe_that_is_offloaded_has_its_answer(offloads):
    """Else a breaker never closes whose tenant offloads all that it gets."""
    offloads.opened()
    offloads.options = {"breaker": "0.5 4 60000 1000 1"}
    offloads.forget_the_open_second()
    offloads.begun("j")
    offloads.offload("j", call="good", load="good", took=5)
    assert offloads.field("br:a") == "c 0 0 0 0 0"
    offloads.offload("j", call="good", load="good", took=5)
    offloads.outcome("j")
    assert offloads.field("br:a") == "c 0 0 0 0 0", "a poll is no call"


@pytest.mark.parametrize("frees", [0, 1])
def test_what_the_tenant_does_apart_is_not_the_pace_of_its_calls(offloads, frees):
    offloads("register", "{}", "a\thttp://a\t2\n", 2, "pol", "balance=least_latency")
    for name in ("j", "k"):
        offloads.begun(name, ago=50)
        offloads.offload(name, frees=frees)
        offloads.redis.hincrby(f"{{t}}:j:{name}", "sa", -HOUR)
        offloads.outcome(name)
    assert float(offloads.field("ew:a").split()[0]) < 5000
    took = float(offloads.field("ld").split()[1])
    assert took < 5000 if frees else took > HOUR / 2, "a slot that is kept is what others wait for"


def test_a_probes_late_answer_is_heard(offloads):
    """Its tenant posted the outcome before it answered the call."""
    offloads.opened()
    offloads.options = {"breaker": "0.5 4 60000 1000 1"}
    offloads.forget_the_open_second()
    offloads.begun("j")
    options, offloads.options = offloads.options, {}
    done = offloads.complete("j", 1, "j", "end", state="succeeded", answer="200\n\r\nx", cd="digest")
    assert done[0] == "ended" and offloads.field("br:a").startswith("h 0 j=")
    offloads.options = options
    for _ in range(2):
        assert offloads.complete("j", 1, "j", "offload", call="good", ofu="", ofm=HOUR, ofg=5000)[0] == "late"
        assert offloads.field("br:a") == "c 0 0 0 0 0"


# --- how many workers are wanted ---

def test_no_worker_is_wanted_for_a_line_whose_head_is_in_doubt(load):
    names = [load.arrive(mode="async", ok="o")[0] for _ in range(4)]
    wait_in_line(load, names[0], names[1:])
    assert load.complete(names[0], 1, names[0], "hold")[0] == "in_doubt"
    swept = load("sweep", HOUR, "0", 600000, 600000, 600000, 60000)
    assert swept[2] == 4 and swept[4] == 1 and swept[13] == 3, "unended, in doubt, waiting for their own key"


# --- why ---

def test_a_job_that_waits_for_its_key_says_so(pool):
    pool.pool({"a": {"limit": 5}}, per_key=1)
    pool.go(pk="k1")
    name = pool.new()
    assert pool("why", name)[3] == ""
    assert pool.try_claim(name, pk="k1")[:2] == ["park", "concurrency"]
    assert pool("why", name)[3:6] == ["concurrency", "", ""]
    pool.redis.zadd("{t}:x", {name: 1})
    assert pool("why", name)[3] == "", "that was a while ago"
