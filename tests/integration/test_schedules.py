# SPDX-License-Identifier: Apache-2.0
"""Schedules fire each instant once, whoever leads."""
from datetime import datetime, timedelta

import pytest

from harness import wait_until
from harness.load import config_of

DISPATCHERS = ("dispatcher", "dispatcher-2")
STEP = timedelta(seconds=2)
LEASE_S = 3  # an instant falls into each gap: a lease outlives its holder by 2.4 s at least


def tick(**more):
    return {"cron": "*/2 * * * * *", "timezone": "UTC", "overlap": "allow",
            "job": {"tenant": "sample", "request": {"method": "POST", "path": "/tick", "body": {"t": 1}}},
            **more}


def leader(stack):
    return [n for n in DISPATCHERS
            if n in stack.processes and stack[n].is_running and stack.metric("sluice_leader", n) == 1]


def instants(stack, **wanted):
    return [datetime.fromisoformat(r["scheduled_time"].replace("Z", "+00:00"))
            for r in stack.receipts(schedule="tick", **wanted)]


@pytest.mark.slow
@pytest.mark.timeout_s(180)
def test_none_twice_none_missed_while_the_leader_is_killed(make_stack):
    stack = make_stack(lambda stack: config_of(stack, {"sample": {}}, {"tick": tick()},
                                               dispatcher={"leader_lease_s": LEASE_S}), dispatchers=2)
    wait_until(lambda: len(instants(stack)) >= 2, 20)
    for _ in range(4):
        [name] = wait_until(lambda: leader(stack), 20)
        last = max(instants(stack))
        stack.kill(name)
        [successor] = wait_until(lambda: leader(stack), 20, "another leader")
        assert successor != name
        stack[name].start()
        # Something fell into the gap, and something came after it.
        wait_until(lambda: max(instants(stack)) >= last + 3 * STEP, 30)
    until = max(instants(stack))
    first = min(instants(stack))
    wanted = [first + n * STEP for n in range((until - first) // STEP + 1)]
    wait_until(lambda: set(wanted) <= set(instants(stack)), 20, "every instant")
    found = instants(stack)
    assert len(found) == len(set(found)), sorted(t for t in found if found.count(t) > 1)
    assert sorted(t for t in found if t <= until) == wanted
    jobs = {r["job"] for r in stack.receipts(schedule="tick")}
    for job in jobs:
        assert stack.wait_job(job)["state"] == "succeeded"


@pytest.fixture(scope="module")
def stack(make_module_stack):
    def config(stack):
        crontab = stack.directory / "crontab"
        # A crontab's entries are minutes: this one stands in for all by its being taken and listed.
        crontab.write_text("CRON_TZ=Europe/Berlin\n15 2 * * * sample POST /from-crontab {\"kind\": \"x\"}\n")
        return config_of(stack, {"sample": {}, "slow": {}}, {
            "tick": tick(),
            "spread": tick(jitter_s=60, job={"tenant": "sample", "request": {"path": "/spread"}}),
            "busy": tick(overlap="skip", job={"tenant": "slow", "request": {"path": "/busy?sleep_ms=5000"}}),
        }, crontabs=[str(crontab)])

    return make_module_stack(config)


def test_a_fire_carries_its_name_and_its_time(stack):
    [receipt, *_] = wait_until(lambda: stack.receipts(path="/tick"), 20)
    assert receipt["schedule"] == "tick" and receipt["method"] == "POST"
    assert receipt["scheduled_time"].endswith("Z") and len(receipt["scheduled_time"]) == 20
    assert datetime.fromisoformat(receipt["scheduled_time"].replace("Z", "+00:00")).second % 2 == 0
    job = stack.wait_job(receipt["job"], "succeeded")
    assert stack.result(job["id"]).json() == {"t": 1}


def test_jitter_moves_the_fire_and_not_its_instant(stack):
    def fires():
        return sorted((int(datetime.fromisoformat(r["scheduled_time"].replace("Z", "+00:00")).timestamp() * 1000),
                       r["time"]) for r in stack.receipts(path="/spread"))

    wait_until(lambda: len(fires()) >= 10, 40)
    found = fires()
    due = [scheduled for scheduled, _ in found]
    assert due == list(range(due[0], due[-1] + 1, 2000))
    behind = [time - scheduled for scheduled, time in found]
    assert min(behind) >= 0 and max(behind) >= 500


def test_overlap_skip_skips(stack):
    def busy():
        return [datetime.fromisoformat(r["scheduled_time"].replace("Z", "+00:00"))
                for r in stack.receipts(path="/busy")]

    wait_until(lambda: len(busy()) >= 3, 40)
    times = busy()
    assert all(later - earlier >= timedelta(seconds=6) for earlier, later in zip(times, times[1:]))
    assert stack.tenant.stats()["peak"] >= 1


@pytest.mark.slow
def test_nothing_is_published_before_its_queue_stands(make_stack):
    """Random chaos, seed 4: a dispatcher published a fire while the tenant's queues were being declared. The
    broker confirmed it, and put it among the orphans."""
    names = [f"t{n}" for n in range(30)]

    def config(stack):
        ticks = {f"tick-{n}": {**tick(), "cron": "* * * * * *", "job": {"tenant": n, "request": {"path": "/t"}}}
                 for n in names}
        return config_of(stack, {n: {} for n in names}, ticks)

    stack = make_stack(config, workers=0, ingresses=0)

    def have_fired():
        rows = stack.queues()
        return all(rows.get(f"sluice.{n}.normal", (0,))[0] >= 2 for n in names) and rows

    rows = wait_until(have_fired, 100, "two fires of each")
    assert rows["sluice.orphan"][0] == 0
