# SPDX-License-Identifier: Apache-2.0
"""Two dispatchers, of which the one that leads is killed, or stopped beyond its lease and continued, again and again while
fifty schedules fire: every (schedule, instant) is exactly one job."""
import random
import time
from datetime import datetime
from signal import SIGCONT, SIGSTOP

import pytest

from harness import wait_until
from harness.load import config_of

STEPS_S = (1, 2, 3, 5)  # all of them divide a minute
SCHEDULES = 50
LEASE_S = 1


def step_of(number):
    return STEPS_S[number % len(STEPS_S)]


def config(stack):
    schedules = {f"t{n:02}": {"cron": f"*/{step_of(n)} * * * * *", "timezone": "UTC", "overlap": "allow", "catch_up": "all",
                              "job": {"tenant": "sample", "request": {"method": "POST", "path": f"/t{n:02}"}}}
                 for n in range(SCHEDULES)}
    return config_of(stack, {"sample": {"in_doubt": {"policy": "hold"}}}, schedules,
                     worker={"lease_s": 5}, dispatcher={"leader_lease_s": LEASE_S})


def leads(stack, name):
    try:
        return stack.metric("sluice_leader", name) == 1
    except OSError:
        return False


def leader(stack, names):
    return wait_until(lambda: next((n for n in names if leads(stack, n)), None), 30, "a leader")


def hurt(stack, name, dice):
    """Killed and started anew, or stopped for longer than its lease."""
    if dice.random() < 0.5:
        stack.kill(name)
        time.sleep(dice.uniform(0, 2 * LEASE_S))
        stack.start(name)
        return "killed"
    stack.signal(name, SIGSTOP)
    time.sleep(dice.uniform(1.2 * LEASE_S, 3 * LEASE_S))
    stack.signal(name, SIGCONT)
    return "stopped"


def fires(stack):
    """{schedule: {second: [job, …]}} of what arrived at the tenant."""
    found = {f"t{n:02}": {} for n in range(SCHEDULES)}
    for r in stack.receipts():
        if r["schedule"]:
            at = datetime.fromisoformat(r["scheduled_time"].replace("Z", "+00:00"))
            found[r["schedule"]].setdefault(int(at.timestamp()), []).append(r["job"])
    return found


def due(own, number, until):
    """The instants that a schedule owes from its own first one on."""
    return range(min(own), until + 1, step_of(number))


def missing(found, until):
    return {name: left for n, (name, own) in enumerate(sorted(found.items()))
            if (left := sorted(set(due(own, n, until)) - set(own)))}


def wrong(found, until):
    """Instants that fired twice, or that are none of the schedule's."""
    return {name: bad for n, (name, own) in enumerate(sorted(found.items()))
            if (bad := {at: jobs for at, jobs in own.items()
                        if at <= until and (len(jobs) != 1 or at not in due(own, n, until))})}


def hurt_leaders(make_stack, rounds, seed):
    """Returns what was done, and how many fires were judged."""
    stack = make_stack(config)
    stack.add("dispatcher")
    names = ("dispatcher", "dispatcher-2")
    dice = random.Random(seed)
    wait_until(lambda: all(fires(stack).values()), 60, "a first fire of each schedule")
    done = []
    for _ in range(rounds):
        done.append(hurt(stack, leader(stack, names), dice))
        time.sleep(dice.uniform(0, LEASE_S))
    until = int(time.time())
    wait_until(lambda: all(max(own) > until for own in fires(stack).values()), 90, "fires after the last fault", every=1)
    wait_until(lambda: not missing(fires(stack), until), 60, "every instant", every=1)
    found = fires(stack)
    assert wrong(found, until) == {}
    return done, sum(at <= until for own in found.values() for at in own)


def test_each_instant_is_one_job_whatever_becomes_of_the_leaders(make_stack):
    done, n = hurt_leaders(make_stack, 6, seed=1)
    assert set(done) == {"killed", "stopped"} and n > 6 * SCHEDULES


@pytest.mark.long
@pytest.mark.timeout_s(2400)
def test_each_instant_is_one_job_through_two_hundred_faults(make_stack):
    done, n = hurt_leaders(make_stack, 200, seed=8)
    print(f"{done.count('killed')} killed, {done.count('stopped')} stopped, {n} fires judged")
