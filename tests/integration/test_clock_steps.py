# SPDX-License-Identifier: Apache-2.0
"""The dispatcher's wall clock is set while it leads: by libfaketime, which leaves its monotonic clocks alone.
Redis and everything else keep theirs."""
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem

pytestmark = pytest.mark.slow  # a preloaded library and a sanitizer's do not go together

[LIBRARY] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
HOUR = 3600
LEASE_S = 3
STEP = timedelta(seconds=2)


def tick(path, **more):
    return {"cron": "*/2 * * * * *", "overlap": "allow", "job": {"tenant": "sample", "request": {"path": path}}, **more}


class Clock:
    """A dispatcher's wall clock, so many seconds from the true one."""

    def __init__(self, stack, name="dispatcher"):
        self.file = stack.directory / f"clock.{name}"
        self.set(0)
        stack[name].env = {
            **stack[name].env, "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        stack[name].restart()

    def set(self, seconds):
        self.offset = timedelta(seconds=seconds)
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        os.replace(new, self.file)

    def now(self):
        return datetime.now(timezone.utc) + self.offset


@pytest.fixture
def stack(make_stack):
    return make_stack(lambda stack: config_of(stack, {"sample": {}}, {
        "last": tick("/last"), "none": tick("/none", catch_up="none"),
        "all": tick("/all", cron="0 */5 * * * *", catch_up="all"),
    }, dispatcher={"leader_lease_s": LEASE_S}))


def instants(stack, path):
    return sorted(datetime.fromisoformat(r["scheduled_time"].replace("Z", "+00:00")) for r in stack.receipts(path=path))


def said(stack, event, name="dispatcher"):
    return [line for line in stack[name].text().splitlines() if f"id={event} " in line]


@pytest.mark.timeout_s(180)
def test_the_clock_is_set_forward_and_back(stack):
    clock = Clock(stack)
    wait_until(lambda: all(len(instants(stack, p)) >= 3 for p in ("/last", "/none")), 60)
    assert not said(stack, "clock_stepped") and not said(stack, "schedules_ahead")

    # An hour forward: no flood.
    before = clock.now()
    clock.set(HOUR)
    after = clock.now()
    wait_until(lambda: all(max(instants(stack, p)) > after + 3 * STEP for p in ("/last", "/none")), 60)
    for path in ("/last", "/none"):
        jumped = [t for t in instants(stack, path) if before + STEP < t <= after]
        # Those of the last three leases always fire.
        assert 1 <= len(jumped) <= 3 * LEASE_S // 2 + 1
        assert jumped[0] >= after - timedelta(seconds=3 * LEASE_S + 1)
    wait_until(lambda: len([t for t in instants(stack, "/all") if before < t <= after]) >= 11, 30, "all of the hour")
    [line] = said(stack, "clock_stepped")
    assert "level=warn" in line and 3590 < float(line.split("by_s=")[1].split()[0]) < 3610
    assert stack.metric("sluice_clock_steps_total", "dispatcher", direction="forward") == 1
    assert stack.metric("sluice_schedules_ahead", "dispatcher") == 0

    # An hour back: what was handled stays handled, and that is said.
    clock.set(0)
    back = clock.now()
    wait_until(lambda: said(stack, "schedules_ahead"), 20)
    assert stack.metric("sluice_clock_steps_total", "dispatcher", direction="back") == 1
    assert stack.metric("sluice_schedules_ahead", "dispatcher") == 3
    handled = {p: max(instants(stack, p)) for p in ("/last", "/none", "/all")}
    # A schedule that has handled nothing fires by the clock as it is; the others have as many turns, and do not.
    stack.configure(lambda stack: config_of(stack, {"sample": {}}, {
        "last": tick("/last"), "none": tick("/none", catch_up="none"),
        "all": tick("/all", cron="0 */5 * * * *", catch_up="all"), "fresh": tick("/fresh"),
    }, dispatcher={"leader_lease_s": LEASE_S}))
    wait_until(lambda: len(instants(stack, "/fresh")) >= 4, 60)
    for path in ("/last", "/none"):
        assert [t for t in instants(stack, path) if back < t < back + timedelta(minutes=30)] == []
    assert stack.metric("sluice_schedules_ahead", "dispatcher") == 3

    # Past it again: they go on, and nothing has fired twice.
    clock.set(HOUR)
    wait_until(lambda: all(max(instants(stack, p)) > handled[p] + 3 * STEP for p in ("/last", "/none")), 60)
    wait_until(lambda: said(stack, "schedules_caught_up"), 20)
    assert len(said(stack, "schedules_ahead")) == 1
    assert stack.metric("sluice_schedules_ahead", "dispatcher") == 0
    for path in ("/last", "/none", "/all", "/fresh"):
        found = instants(stack, path)
        assert len(found) == len(set(found)), path


@pytest.mark.timeout_s(120)
def test_a_clock_that_was_set_back_while_nobody_led(stack):
    clock = Clock(stack)
    clock.set(HOUR)
    stack["dispatcher"].restart()
    wait_until(lambda: any(t > clock.now() - timedelta(seconds=60) for t in instants(stack, "/last")), 60)
    stack["dispatcher"].stop()
    clock.set(0)
    back = clock.now()
    stack["dispatcher"].start()
    wait_until(lambda: said(stack, "schedules_ahead"), 30)
    assert [t for t in instants(stack, "/last") if back < t < back + timedelta(minutes=30)] == []


MANY = [f"{kind}-{n:02}" for kind in ("all", "last", "none") for n in range(17)]
TICK = timedelta(seconds=5)
CATCH_UP = timedelta(seconds=60)


def many(stack):
    return config_of(stack, {"sample": {}}, {
        name: tick(f"/{name}", cron="*/5 * * * * *", catch_up=name[:-3], catch_up_s=CATCH_UP.seconds) for name in MANY
    }, dispatcher={"leader_lease_s": LEASE_S})


def fires(stack):
    """{schedule: its instants in order}; none is two jobs."""
    found = {name: [] for name in MANY}
    for r in stack.receipts():
        found[r["schedule"]].append(datetime.fromisoformat(r["scheduled_time"].replace("Z", "+00:00")))
    twice = {name: sorted(t for t in set(own) if own.count(t) > 1) for name, own in found.items()}
    assert not any(twice.values()), {name: own for name, own in twice.items() if own}
    return {name: sorted(own) for name, own in found.items()}


def ahead(stack, now):
    """The schedules that have handled instants that are still to come."""
    cursors = {name: stack.redis.hget("{sample}:c", name) for name in MANY}
    return {name for name, cursor in cursors.items() if int(cursor) > (now + timedelta(seconds=1)).timestamp() * 1000}


@pytest.mark.timeout_s(300)
@pytest.mark.parametrize("has_acted", [False, True], ids=["at once", "when it has acted"])
@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
def test_the_clock_of_a_leader_is_set_and_it_dies(make_stack, step, has_acted):
    """The next leader's clock is right. Who handled an hour that has not come waits for it, and that is said; all others go
    on as if only the leader had died."""
    stack = make_stack(many)
    wrong = Clock(stack)
    stack.add("dispatcher").wait_ready(30)
    right = Clock(stack, "dispatcher-2")
    wait_until(lambda: all(fires(stack).values()), 60, "a first fire of each")
    assert stack.metric("sluice_leader", "dispatcher") == 1
    before = right.now()
    wrong.set(step)
    if has_acted:
        wait_until(lambda: said(stack, "clock_stepped"), 30)
        wait_until(lambda: step < 0 or len(ahead(stack, before + timedelta(minutes=30))) == len(MANY), 30, "the leader's deed")
    stack.kill("dispatcher")
    wait_until(lambda: stack.metric("sluice_leader", "dispatcher-2") == 1, 30, "the next leader")

    now = right.now()
    waiting = ahead(stack, now)
    if has_acted:
        assert len(waiting) == (len(MANY) if step > 0 else 0)
    if waiting:
        wait_until(lambda: said(stack, "schedules_ahead", "dispatcher-2"), 30)
        assert f"schedules={len(waiting)} " in said(stack, "schedules_ahead", "dispatcher-2")[0]
        assert stack.metric("sluice_schedules_ahead", "dispatcher-2") == len(waiting)
        assert said(stack, "clock_stepped"), "some are ahead, and nobody knows why"
    else:
        assert not said(stack, "schedules_ahead", "dispatcher-2")
    # Those that do not wait lose nothing that catch_up makes up, and fire on.
    going = set(MANY) - waiting
    wait_until(lambda: all(fires(stack)[name][-1] > now + TICK for name in going), 60, "fires of the next leader")
    wait_until(lambda: right.now() > now + 3 * TICK, 30)
    found = fires(stack)
    for name in going:
        assert all(t <= right.now() for t in found[name]), name
        if name.startswith("all"):
            assert found[name] == [found[name][0] + n * TICK for n in range(len(found[name]))], name
    # Those that wait fire nothing; what the clock jumped over was no flood.
    for name in waiting:
        jumped = [t for t in found[name] if t > before + TICK]
        assert all(t > now + timedelta(minutes=30) for t in jumped), f"{name} fired behind its cursor"
        assert len(jumped) <= (CATCH_UP if name.startswith("all") else timedelta(seconds=3 * LEASE_S)) // TICK + 3, name
    # When its time has come each goes on.
    if waiting:
        right.set(HOUR)
        wait_until(lambda: all(fires(stack)[name][-1] > right.now() - 2 * TICK for name in waiting), 60, "they go on")
        late = right.now()
        wait_until(lambda: all(fires(stack)[name][-1] > late for name in MANY), 60, "all go on")
        wait_until(lambda: said(stack, "schedules_caught_up", "dispatcher-2"), 20)


@pytest.mark.timeout_s(180)
def test_what_waits_for_a_clock_that_was_wrong_is_rewound(make_stack):
    """By a dispatcher that does not lead, and the one that leads goes on from then. What had fired by the wrong clock has its
    job: when its instant comes again there is no second."""
    stack = make_stack(lambda stack: config_of(stack, {"sample": {}}, {
        "tick": tick("/tick"), "daily": tick("/daily", cron="@daily"), "waits": tick("/waits"),
    }, dispatcher={"leader_lease_s": LEASE_S}), dispatchers=2)
    stack["dispatcher-2"].stop()
    clock = Clock(stack)
    wait_until(lambda: stack.metric("sluice_leader", "dispatcher") == 1, 60)
    stack["dispatcher-2"].start()
    wait_until(lambda: len(instants(stack, "/tick")) >= 2, 60)

    def said_to(name):
        return stack.http.post(f"{stack['dispatcher-2'].url}/v1/schedules/{name}/rewind", timeout=20)

    # Forty seconds ahead, for some fires; then by the true clock again.
    clock.set(40)
    ahead = clock.now()
    jumped = ahead - timedelta(seconds=3 * LEASE_S + 1)  # what lies before that, and was jumped over, has not fired
    wait_until(lambda: max(instants(stack, "/tick")) > ahead + 3 * STEP, 60)
    handled = max(instants(stack, "/tick"))
    clock.set(0)
    wait_until(lambda: said(stack, "schedules_ahead"), 20)
    back = clock.now()
    answer = said_to("tick")
    assert answer.status_code == 200, answer.text
    rewound = clock.now()
    # It fires long before the clock is past what was handled.
    wait_until(lambda: [t for t in instants(stack, "/tick") if back - STEP < t < min(rewound + 3 * STEP, jumped)], 15)
    assert clock.now() < handled, "the test took too long to tell"
    # Once more: it does not wait any more. "waits" was not asked for, "daily" has handled nothing ahead of the clock.
    for name in ("tick", "daily"):
        refused = expect_problem(said_to(name), 409, "not_ahead")
        assert "nothing to rewind" in refused["detail"]
    assert [t for t in instants(stack, "/waits") if back < t < jumped] == []
    # Past what was handled by the wrong clock: each instant has one job, and none before the rewind was made up.
    wait_until(lambda: max(instants(stack, "/tick")) > handled + 2 * STEP, 60)
    found = instants(stack, "/tick")
    assert len(found) == len(set(found))
    assert stack.metric("sluice_schedules_ahead", "dispatcher") == 0
    again = [t for t in found if rewound + STEP < t < handled]
    assert again == [again[0] + n * STEP for n in range(len(again))] and again[0] < rewound + 3 * STEP, "one is left out"
