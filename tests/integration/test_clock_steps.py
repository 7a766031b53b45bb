# SPDX-License-Identifier: Apache-2.0
"""The dispatcher's wall clock is set while it leads: by libfaketime, which leaves its monotonic clocks alone.
Redis and everything else keep theirs."""
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from harness import wait_until
from harness.load import config_of

pytestmark = pytest.mark.slow  # a preloaded library and a sanitizer's do not go together

[LIBRARY] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
HOUR = 3600
LEASE_S = 3
STEP = timedelta(seconds=2)


def tick(path, **more):
    return {"cron": "*/2 * * * * *", "overlap": "allow", "job": {"tenant": "sample", "request": {"path": path}}, **more}


class Clock:
    """The dispatcher's wall clock, so many seconds from the true one."""

    def __init__(self, stack):
        self.file = stack.directory / "clock"
        self.set(0)
        stack["dispatcher"].env = {
            **stack["dispatcher"].env, "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        stack["dispatcher"].restart()

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


def said(stack, event):
    return [line for line in stack["dispatcher"].text().splitlines() if f"id={event} " in line]


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
