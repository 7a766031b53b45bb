# SPDX-License-Identifier: Apache-2.0
"""The estimate of accept.lua (common/store/lua/_load.lua), on a real Redis: who is turned away because its tenant could not
get to it in time, who never is, and when that is over. Time is made to pass by moving what was written back."""
import pytest

from test_walk import Scripts, store  # noqa: F401


@pytest.fixture
def load(store):  # noqa: F811
    return Load(store)


class Load(Scripts):
    """Tenant t: instance a with two slots, and so has the tenant."""

    def __init__(self, port):
        super().__init__(port)
        self.n = 0

    def pass_time(self, ms):
        """So long ago is now all that was noted of the load."""
        for field, places in (("ld", (0, 3)), ("lq", (0, 1, 2)), ("lqs", (0, 1, 2))):
            text = self.redis.hget("{t}:t", field)
            if text:
                numbers = [int(word) for word in text.split()]
                for place in places:
                    numbers[place] = max(0, numbers[place] - ms)
                self.redis.hset("{t}:t", field, " ".join(map(str, numbers)))

    def arrive(self, deadline=2000, mode="wait", own=0, delay=0, key="", **fields):
        """A call, or a job; what accept says of it, and its name."""
        self.n += 1
        name = f"n{self.n}"
        more = [word for pair in fields.items() for word in pair]
        return name, self("accept", name, key, "fp", "sync" if mode == "wait" else "normal", mode,
                          deadline if mode == "wait" else 0, own, delay, f"ch|{self.n}" if mode == "wait" else "", 30000, 0, *more)

    def verdict(self, **options):
        return self.arrive(**options)[1][0]

    def begin(self, name, ago=0):
        """Its attempt began so many ms ago."""
        self("mark", 3600000, name)
        assert self.claim(name, token=name)[0] == "go"
        for field in ("sa", "ca"):
            self.redis.hincrby(f"{{t}}:j:{name}", field, -ago)

    def end(self, name):
        assert self.complete(name, 1, name, "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"

    def served(self, took, times=3, **options):
        """So many calls, one after the other, each of which took so long."""
        for _ in range(times):
            name, said = self.arrive(**{"deadline": 60000, **options})
            assert said[0] == "new"
            self.begin(name, ago=took)
            self.end(name)

    def busy(self, took=1000, waiting=2, mode="wait"):
        """Both slots taken, some wait, all that for a while."""
        self.served(took)
        for n in range(2 + waiting):
            name, said = self.arrive(mode=mode, deadline=60000000)
            assert said[0] == "new"
            if n < 2:
                self.begin(name)
        self.look()

    def look(self, ms=3000):
        """Jobs have been waiting for so long, and attempts have ended meanwhile."""
        self.pass_time(ms)
        self.redis.hset("{t}:t", "ld", " ".join([self.time(), *self.redis.hget("{t}:t", "ld").split()[1:]]))
        for field in ("lq", "lqs"):
            text = self.redis.hget("{t}:t", field)
            if text:
                self.redis.hset("{t}:t", field, " ".join([text.split()[0], self.time(), *text.split()[2:]]))

    def time(self):
        seconds, micros = self.redis.time()
        return str(seconds * 1000 + micros // 1000)


# --- who is never turned away ---

def test_nobody_knows_anything_of_a_new_tenant(load):
    assert [load.verdict(deadline=1) for _ in range(20)] == ["new"] * 20


def test_an_idle_tenant_takes_a_burst(load):
    """As long as it could be worked off: two at a time, a second each, ten seconds for everybody."""
    load.served(1000)
    load.begin(load.arrive()[0])  # the others' claims are still to come
    assert [load.verdict(deadline=10000) for _ in range(15)] == ["new"] * 15


def test_what_a_tenant_did_an_hour_ago_says_nothing(load):
    load.served(1000)
    load.pass_time(3600000)
    assert [load.verdict(deadline=500) for _ in range(100)] == ["new"] * 100


def test_a_fast_tenant_takes_a_crowd(load):
    """It goes on serving meanwhile: on a slow machine two hundred calls of the script take their time."""
    load.served(5)
    for _ in range(20):
        assert [load.verdict(deadline=2000) for _ in range(10)] == ["new"] * 10
        load.served(5, times=1)


def test_what_has_no_deadline_is_never_turned_away(load):
    load.busy(took=100000, waiting=20)
    assert load.verdict(deadline=0, mode="async") == "new"


def test_who_takes_a_202_in_the_end_is_never_turned_away(load):
    """Prefer: wait=N. The record says so (wn)."""
    load.busy(took=100000, waiting=20)
    assert load.verdict(deadline=100, wn=1) == "new"
    assert load.verdict(deadline=100) == "shed"


def test_what_begins_later_is_not_judged_by_the_queue_of_now(load):
    load.busy(took=100000, waiting=20)
    assert load.verdict(mode="async", own=3000, delay=1000) == "new"


def test_who_repeats_a_call_joins_it_however_long_the_queue_is(load):
    load.served(1000)
    name, said = load.arrive(deadline=60000, key="k")
    load("mark", 3600000, name)
    load.busy(took=10000, waiting=20)
    assert load.verdict(deadline=2000) == "shed"
    assert load.arrive(deadline=2000, key="k")[1][:2] == ["replay", name]


def test_what_is_not_due_in_time_is_not_before_anybody(load):
    load.busy(took=1000, waiting=2, mode="async")
    for _ in range(50):
        load("mark", 3600000, load.arrive(mode="async", delay=60000)[0])
    assert load.verdict(mode="async", own=3000) == "new"


def test_asynchronous_work_is_not_before_a_call(load):
    """Calls have a queue of their own."""
    load.busy(took=1000, waiting=100, mode="async")
    assert load.verdict(deadline=2500) == "new"
    assert load.verdict(mode="async", own=2500) == "shed"


def test_a_call_that_runs_or_has_ended_waits_no_more(load):
    load.busy(took=1000, waiting=20)
    assert load.redis.zcard("{t}:y") == 20
    load.end("n4")
    load.begin("n6")
    assert load("expire", "n7", "ch|7", "hangup", 600000)[0] == "expired"
    assert load.redis.zcard("{t}:y") == 18
    load("mark", 3600000, "n8")
    assert load("cancel", "n8", 600000, 600000)[0] == "canceled"
    assert load.redis.zcard("{t}:y") == 17


def test_what_is_in_doubt_is_not_before_anybody(load):
    for _ in range(20):
        name = load.arrive(mode="async")[0]
        load.begin(name)
        assert load.complete(name, 1, name, "hold")[0] == "in_doubt"
    load.busy(took=1000, waiting=2, mode="async")
    assert load.verdict(mode="async", own=3000) == "new"


def test_two_may_always_wait(load):
    load.busy(took=1000, waiting=1)
    assert load.verdict(deadline=1100) == "new", "it will be late, but there is nobody who would notice that all is well again"
    assert load.verdict(deadline=1100) == "shed"


# --- who is ---

def test_a_queue_that_cannot_be_worked_off_in_time(load):
    """Twenty wait, two at a time, a second each: ten seconds, and one more for itself."""
    load.busy(took=1000, waiting=20)
    name, said = load.arrive(deadline=9000)
    assert said[:2] == ["shed", name]
    assert 1000 <= int(said[3]) <= 4000, "when it may be tried again"
    assert load.redis.exists(f"{{t}}:j:{name}") == 0
    assert load.verdict(deadline=13000) == "new"


def test_a_job_whose_time_to_live_is_too_short(load):
    load.busy(took=1000, waiting=20, mode="async")
    assert load.verdict(mode="async", own=5000) == "shed"
    assert load.verdict(mode="async", own=60000) == "new"


def test_the_estimate_grows_while_nothing_ends(load):
    load.busy(took=10, waiting=4)
    assert load.verdict(deadline=3000) == "new"
    for _ in range(3):
        load.pass_time(1500)
        load.verdict(deadline=60000000)  # somebody looks
    assert load.verdict(deadline=3000) == "shed"


def test_what_stands_still_takes_nobody_who_has_no_time(load):
    """No attempt runs: no instance is up, say, or no worker is there."""
    load("register", "{}", "a\thttp://a\t0\n", 0)
    for _ in range(3):
        load.arrive(deadline=60000000)
    assert load.verdict(deadline=3000) == "new"
    load.pass_time(1400)
    load.verdict(deadline=3000)
    load.pass_time(600)
    assert load.verdict(deadline=3000) == "shed"
    assert load.verdict(deadline=10000) == "new"


def sweep(load, asleep):
    return load("sweep", 3600000, "0", 600000, 600000, 600000, 60000, asleep, 30000)


def test_who_calls_a_sleeping_tenant_waits_for_a_worker(load):
    """Scaled to zero: that nothing moves says nothing of the tenant, for a minute."""
    load("register", "{}", "a\thttp://a\t0\n", 0)
    sweep(load, "1")
    for _ in range(3):
        load.arrive(deadline=60000000)
    load.verdict(deadline=3000)
    for _ in range(38):
        load.pass_time(1500)
        assert load.verdict(deadline=3000) == "new"
    load.pass_time(1500)
    load.verdict(deadline=3000)
    load.pass_time(1500)
    load.verdict(deadline=3000)
    load.pass_time(1500)
    assert load.verdict(deadline=3000) == "shed"  # nobody comes


def test_who_has_just_woken_has_not_stood_still(load):
    load("register", "{}", "a\thttp://a\t0\n", 0)
    sweep(load, "1")
    for _ in range(3):
        load.arrive(deadline=60000000)
    load.pass_time(1500)
    load.verdict(deadline=3000)
    load.pass_time(1500)
    sweep(load, "")  # asked by one who does not know
    assert load.redis.hexists("{t}:t", "sl")
    sweep(load, "0")
    assert not load.redis.hexists("{t}:t", "sl")
    assert load.verdict(deadline=3000) == "new"
    load.pass_time(1600)
    load.redis.hincrby("{t}:t", "wk", -1600)
    assert load.verdict(deadline=3000) == "shed"


def test_a_tenant_that_is_too_slow_for_its_callers_lets_one_a_second_try(load):
    """No queue at all: each call takes longer than its caller has."""
    load.served(5000)
    said = [load.verdict(deadline=2000) for _ in range(10)]
    assert said == ["new"] + ["shed"] * 9
    load.pass_time(1100)
    assert [load.verdict(deadline=2000) for _ in range(3)] == ["new", "shed", "shed"]
    assert load.verdict(deadline=30000) == "new", "who has the time is taken"


def test_callers_whose_time_was_over_say_that_it_is_too_slow(load):
    """Nothing has ended yet: that nothing did in all their time is known."""
    load.redis.hset("{t}:t", "tc", 0)
    load("register", "{}", "a\thttp://a\t0\n", 0)
    for _ in range(3):
        name, said = load.arrive(deadline=2000)
        assert said[0] == "new"
        load.begin(name, ago=2000)
        assert load("expire", name, f"ch|{load.n}", "deadline", 600000)[0] == "running"
    assert [load.verdict(deadline=2000) for _ in range(3)] == ["new", "shed", "shed"]


def test_a_few_quick_calls_are_enough_to_take_all_again(load):
    load.served(5000)
    assert [load.verdict(deadline=2000) for _ in range(3)] == ["new", "shed", "shed"]
    load.served(20, times=12)
    assert [load.verdict(deadline=2000) for _ in range(9)] == ["new"] * 9


def test_the_estimate_follows_within_a_few_calls_when_all_is_fast_again(load):
    load.busy(took=10000, waiting=20)
    assert load.verdict(deadline=3000) == "shed"
    load.pass_time(3000)
    for name in ("n4", "n5"):
        load.redis.hset(f"{{t}}:j:{name}", "sa", load.time())
        load.end(name)
    assert load.verdict(deadline=30000) == "new"
    assert int(load.redis.hget("{t}:t", "ld").split()[1]) < 4000, "what they take, smoothed"


def test_a_slow_time_is_forgotten(load):
    load.served(5000)
    load.pass_time(11000)
    assert [load.verdict(deadline=2000) for _ in range(5)] == ["new"] * 5


# --- what it says ---

def test_a_full_queue_says_when_there_may_be_room(load):
    def full(bound):
        return load("accept", "x", "", "fp", "normal", "async", 0, 0, 0, "", 30000, bound)

    load.arrive(mode="async")
    assert full(1)[0::3] == ["full", "5000"], "nothing is known yet"
    load.busy(took=10000, waiting=2)
    assert full(3)[0] == "full" and 4000 <= int(full(3)[3]) <= 6000
    assert full(1000)[0] == "new"


def test_what_a_job_will_wait_is_said_as_it_is_accepted(load):
    assert load.arrive(deadline=60000)[1][3:5] == ["0", "0"]
    load.busy(took=1000, waiting=10)
    said = load.arrive(deadline=60000)[1]
    assert said[0] == "new" and 4000 <= int(said[3]) <= 8000


def test_a_tenant_is_brisk_while_its_attempts_are_over_at_once(load):
    """Then what comes together goes to one worker together (decision 0014)."""
    def is_brisk():
        said = load.arrive(deadline=60000)[1]
        assert said[0] == "new"
        return int(said[5]) > 0

    at_once = -1000  # it took no time, however long this test takes
    assert not is_brisk(), "nothing is known of it"
    load.served(at_once, times=2)
    assert not is_brisk(), "too little is known"
    load.served(at_once)
    assert is_brisk()
    load.pass_time(2000)
    assert not is_brisk(), "nothing has ended of late"
    load.served(at_once)
    assert is_brisk()
    load.served(1000)
    assert not is_brisk(), "it takes its time"
