# SPDX-License-Identifier: Apache-2.0
"""Two replicas, three sentinels and promises that one replica must have: primaries die one after the other, and nothing is lost."""
import time

import pytest

from harness import wait_until
from harness.load import Load, config_of, is_ready
from harness.replicated import MASTER, Replicated

DAEMONS = ("ingress", "worker-1", "dispatcher")
# A promise costs a round to a replica that syncs each write to the disk, on whatever machine this is.
STORE = {"wait_replicas": 1, "wait_s": 1.5}


@pytest.fixture
def replicated(make_stack):
    """(stack, its Replicated, the primary), settled; of three Redis one may be away."""
    stack = make_stack(start=False, env={"SLUICE_CFG_STORE_URL": ""})
    group = Replicated(stack, replicas=2)
    tenants = {"sample": {"timeouts": {"sync_s": 60, "total_s": 60}, "in_doubt": {"policy": "hold"}}}
    stack._config = lambda s: config_of(s, tenants, store=group.store(**STORE))
    stack.start()
    return stack, group, group.wait_settled()


def wait_goes_on(stack, load, calls):
    """At the new primary: so many of each kind that began there were answered."""
    wait_until(lambda: is_ready(stack, *DAEMONS), 60, "all to be ready at the new primary")
    since = time.monotonic()
    load.wait_for(calls, status=202, since=since)
    load.wait_for(calls, status=200, since=since)


def check_nothing_lost(stack, load, master):
    load.check_answers()
    load.check_ends()
    for name in DAEMONS:
        assert stack.metric("sluice_store_lost_writes_total", name) == 0, f"{name} noticed a loss"
    assert stack.metric("sluice_record_missing_total", "worker-1") == 0
    assert master.redis.get("{sluice}:forgot") is None
    wait_until(lambda: stack.unacknowledged() == 0, 30)


@pytest.mark.slow
@pytest.mark.timeout_s(300)
def test_a_primary_is_changed_by_hand_and_nothing_is_lost(replicated):
    """As deploy/container/cluster/failover does. Without the pause the old primary goes on, and the replica that was not chosen
    confirms what it takes."""
    stack, group, master = replicated
    with Load(stack, callers=16) as load:
        load.wait_for(100)
        at = time.monotonic()
        master.redis.execute_command("CLIENT", "PAUSE", "5000", "WRITE")
        group.sentinels[0].redis.execute_command("SENTINEL", "FAILOVER", MASTER)
        promoted = group.wait_promoted(instead_of=master)
        wait_goes_on(stack, load, 100)
    assert load.in_flight(at), "nothing was under way"
    check_nothing_lost(stack, load, promoted)


@pytest.mark.slow
@pytest.mark.timeout_s(400)
def test_two_primaries_die_and_nothing_is_lost(replicated):
    stack, group, master = replicated
    with Load(stack, callers=16) as load:
        load.wait_for(100)
        for _ in range(2):
            dead, at = master, time.monotonic()
            dead.kill()
            master = group.wait_promoted(instead_of=dead)
            wait_goes_on(stack, load, 30)
            assert load.in_flight(at), "nothing was under way"
            # It comes back as a replica, so that again one may be away.
            dead.start()
            assert group.wait_settled() is master
    check_nothing_lost(stack, load, master)
