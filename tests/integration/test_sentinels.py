# SPDX-License-Identifier: Apache-2.0
"""The store found by sentinels: failovers under load, sentinels that are dead, wrong or behind, and servers that are no master."""
import time
from signal import SIGCONT, SIGSTOP

import pytest

from harness import free_port, wait_until
from harness.load import Load, config_of, is_ready
from harness.replicated import MASTER, RedisServer, Replicated, Sentinel

DAEMONS = ("ingress", "worker-1", "dispatcher")
FILE_ONLY = {"SLUICE_CFG_STORE_URL": ""}


def dead():
    """A sentinel's address where nobody listens."""
    return f"127.0.0.1:{free_port()}"


def told(stack, name):
    return stack.http.get(stack[name].url + "/readyz", timeout=5).text


def wait_told(stack, name, words, timeout=30):
    wait_until(lambda: words in told(stack, name), timeout, f"/readyz of {name} to say '{words}'")


def opened(stack, name):
    """The servers that this daemon's link opened at, in order."""
    return [line.partition("server=")[2].split()[0] for line in stack[name].text().splitlines() if " id=store_open " in line]


def lost(stack, name):
    return stack[name].text().count(" id=store_lost ")


def noticed(stack, name):
    return stack[name].text().count('msg="the store lost acknowledged writes"')


def check_opened(stack, group):
    """Once at the first primary, then at its replica: once, and anew each time that somebody found what the failover lost, since
    nothing waits for replicas here."""
    for name in DAEMONS:
        wait_until(lambda n=name: len(opened(stack, n)) == 2 + noticed(stack, n), 20, f"{name} to have opened once for each reason")
        first, *rest = opened(stack, name)
        assert first.endswith(f":{group.a.port}")
        assert all(server.endswith(f":{group.b.port}") for server in rest), rest


@pytest.fixture
def replicated(make_stack):
    """(stack, its Replicated), running and settled."""
    stack = make_stack(start=False, env=FILE_ONLY)
    replicated = Replicated(stack)
    stack._config = lambda s: config_of(s, {"sample": {"timeouts": {"sync_s": 60, "total_s": 60}}},
                                        store=replicated.store(dead(), wait_replicas=0))
    stack.start()
    replicated.wait_settled()
    return stack, replicated


def go_on_elsewhere(stack, load, fail, replicated):
    """Under load: fail(), then all goes on at the promoted replica. Who calls meanwhile gets a 503, or waits those few
    seconds. Gives the time of the failure."""
    load.wait_for(200)
    at = time.monotonic()
    fail()
    replicated.wait_promoted()
    wait_until(lambda: is_ready(stack, *DAEMONS), 60)
    ready = time.monotonic()
    load.wait_for(100, status=202, since=ready)
    load.wait_for(100, status=200, since=ready)
    check_opened(stack, replicated)
    return at


def check(stack, load, at):
    assert load.in_flight(at)
    load.check_answers()
    load.check_ends()
    first = min(s.ended for s in load.sent if s.ended > at + 1 and s.status == 202)
    print(f"from the failure to the next 202: {first - at:.1f} s; {len(load.sent)} calls, {len(load.refused())} refused")
    wait_until(lambda: stack.unacknowledged() == 0, 30)


@pytest.mark.slow
@pytest.mark.timeout_s(300)
def test_the_primary_dies_and_all_goes_on_at_its_replica(replicated):
    stack, group = replicated
    with Load(stack) as load:
        at = go_on_elsewhere(stack, load, group.a.kill, group)
    check(stack, load, at)


@pytest.mark.slow
@pytest.mark.timeout_s(300)
def test_a_primary_that_froze_and_wakes_up_has_no_clients(replicated):
    stack, group = replicated
    with Load(stack) as load:
        at = go_on_elsewhere(stack, load, lambda: group.a.signal(SIGSTOP), group)
        group.a.signal(SIGCONT)
        wait_until(lambda: group.a.role() == "slave", 60, "the old primary to be demoted")
        wait_until(lambda: group.a.clients() == [], 30, "the old primary to be left")
        woken = time.monotonic()
        load.wait_for(100, status=202, since=woken)
        load.wait_for(100, status=200, since=woken)
        assert group.a.clients() == []
    check(stack, load, at)
    check_opened(stack, group)


@pytest.mark.timeout_s(180)
def test_a_failover_by_hand_is_followed(replicated):
    """The old primary lives: its clients are sent away, or find it read-only, or hear of it from the sentinels."""
    stack, group = replicated
    job = stack.submit("/before").json()["id"]
    stack.wait_job(job)
    wait_until(lambda: group.b.is_in_sync_with(group.a), 30)
    group.sentinels[0].redis.execute_command("SENTINEL", "FAILOVER", MASTER)
    group.wait_promoted()
    for name in DAEMONS:
        wait_until(lambda n=name: opened(stack, n)[-1].endswith(f":{group.b.port}"), 60, f"{name} at the new primary")
    wait_until(lambda: is_ready(stack, *DAEMONS), 60)
    wait_until(lambda: group.a.role() == "slave" and group.a.clients() == [], 60, "the old primary to be left")
    assert stack.job(job)["state"] == "succeeded"
    assert stack.wait_job(stack.submit("/after").json()["id"])["state"] == "succeeded"


def store_of(**store):
    return lambda stack: {**stack.sample_config(), "store": store}


def ingress_alone(make_stack, env=FILE_ONLY, start=False):
    """Without a dispatcher /readyz goes on to complain of the registry when the store is open."""
    return make_stack(start=start, env=env, workers=0, dispatchers=0)


OPEN = "no dispatcher has written the registry yet"


def start_alone(stack, **store):
    """Its primaries have no replica: none is waited for."""
    stack._config = store_of(wait_replicas=0, **store)
    return stack.start(wait=False)


def test_a_name_that_no_sentinel_knows_is_told(make_stack):
    stack = ingress_alone(make_stack)
    primary = RedisServer(stack, "redis-a")
    sentinel = Sentinel(stack, "sentinel-1", primary, quorum=1)
    start_alone(stack, sentinels=[dead(), sentinel.url], master="other")
    wait_told(stack, "ingress", f"none of 2 sentinels tells the master: {sentinel.url}: knows no master named 'other'")


@pytest.mark.parametrize("how", ["address", "password", "name"])
def test_sentinels_that_come_later(make_stack, how):
    """Also with a password of their own, and with a name in place of the master's address."""
    stack = ingress_alone(make_stack)
    primary = RedisServer(stack, "redis-a")
    options = {"address": {}, "password": {"password": "hush"},
               "name": {"host": "localhost", "before": ["sentinel resolve-hostnames yes"],
                        "lines": ["sentinel announce-hostnames yes"]}}[how]
    sentinels = [Sentinel(stack, f"sentinel-{i}", primary, **options) for i in (1, 2)]
    for sentinel in sentinels:
        del stack.processes[sentinel.name]
    start_alone(stack, sentinels=[s.url for s in sentinels], master=MASTER)
    wait_told(stack, "ingress", "none of 2 sentinels tells the master: 127.0.0.1")
    wait_told(stack, "ingress", "Connection refused")
    for sentinel in sentinels:
        stack.processes[sentinel.name] = sentinel
        sentinel.start()
    wait_told(stack, "ingress", OPEN)
    assert opened(stack, "ingress") == [f"127.0.0.1:{primary.port}"]


def test_a_sentinel_that_wants_a_password_is_told(make_stack):
    stack = ingress_alone(make_stack)
    sentinel = Sentinel(stack, "sentinel-1", RedisServer(stack, "redis-a"), quorum=1, password="hush")
    start_alone(stack, sentinels=[f"127.0.0.1:{sentinel.port}"], master=MASTER)
    wait_told(stack, "ingress", f"127.0.0.1:{sentinel.port}: NOAUTH")


def test_a_sentinel_that_knows_less_is_not_followed(make_stack):
    """Two sentinels that know nothing of each other: one has seen more failovers."""
    stack = ingress_alone(make_stack)
    old, new = RedisServer(stack, "redis-a"), RedisServer(stack, "redis-b")
    behind = Sentinel(stack, "sentinel-1", old, lines=[f"sentinel config-epoch {MASTER} 1"])
    ahead = Sentinel(stack, "sentinel-2", new, lines=[f"sentinel config-epoch {MASTER} 5"])
    start_alone(stack, sentinels=[behind.url, ahead.url], master=MASTER)
    wait_until(lambda: opened(stack, "ingress")[-1:] == [f"127.0.0.1:{new.port}"], 30, "the link at the newer master")
    before = lost(stack, "ingress")
    asked = behind.connections()
    wait_until(lambda: behind.connections() >= asked + 4, 60, "the other one to be asked four times")
    assert lost(stack, "ingress") == before, "left the newer master"
    wait_told(stack, "ingress", OPEN)


def test_sentinels_that_were_set_up_anew_are_believed(make_stack):
    """Their failovers are counted from nothing again: when nobody tells more, less is believed."""
    stack = ingress_alone(make_stack)
    first, second = RedisServer(stack, "redis-a"), RedisServer(stack, "redis-b")
    sentinel = Sentinel(stack, "sentinel-1", first, lines=[f"sentinel config-epoch {MASTER} 5"])
    start_alone(stack, sentinels=[sentinel.url], master=MASTER)
    wait_told(stack, "ingress", OPEN)
    sentinel.redis.execute_command("SENTINEL", "REMOVE", MASTER)
    sentinel.redis.execute_command("SENTINEL", "MONITOR", MASTER, "127.0.0.1", second.port, 1)
    asked = sentinel.connections()
    wait_until(lambda: sentinel.connections() >= asked + 3, 60)
    assert opened(stack, "ingress") == [f"127.0.0.1:{first.port}"], "a link in use does not go back"
    first.kill()
    wait_until(lambda: opened(stack, "ingress")[-1].endswith(f":{second.port}"), 60, "the link at the new master")


@pytest.mark.parametrize("by", ["url", "sentinel"])
def test_a_replica_that_takes_writes_is_no_master(make_stack, by):
    stack = ingress_alone(make_stack)
    primary = RedisServer(stack, "redis-a")
    replica = RedisServer(stack, "redis-b", replica_of=primary, replica_read_only="no")
    if by == "url":
        start_alone(stack, url=f"redis://127.0.0.1:{replica.port}/0")
    else:
        # Nobody agrees with it that the replica is down or up: it believes its configuration.
        start_alone(stack, sentinels=[Sentinel(stack, "sentinel-1", replica).url], master=MASTER)
    wait_told(stack, "ingress", f"127.0.0.1:{replica.port} is no master: its role is slave")
    assert replica.redis.exists("{sluice}:run") == 0


def test_a_name_that_does_not_resolve_is_trouble_and_no_mistake(make_stack):
    stack = ingress_alone(make_stack)
    start_alone(stack, url="redis://nobody.invalid:6379/0")
    wait_told(stack, "ingress", "the name nobody.invalid does not resolve")
    assert stack.call("GET", "/livez").status_code == 200
