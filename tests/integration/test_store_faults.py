# SPDX-License-Identifier: Apache-2.0
"""Redis killed, and frozen, under load; and an ingress that starts while it is frozen."""
import time
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from harness import wait_until
from harness.load import Load, config_of, expect_problem, is_ready

DAEMONS = ("ingress", "worker-1", "dispatcher")
FROZEN_S = 8


def config(stack):
    return config_of(stack, {"sample": {"timeouts": {"sync_s": 60, "total_s": 60}}})


def watch_livez(stack, seconds):
    """Every daemon answers /livez at once, all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name in DAEMONS:
            assert stack.http.get(stack[name].url + "/livez", timeout=1).status_code == 200
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout_s(240)
def test_the_store_is_killed_and_started_again(make_stack):
    stack = make_stack(config)
    with Load(stack) as load:
        load.wait_for(200)
        at = time.monotonic()
        stack.kill("redis")
        load.wait_for(20, status=503, since=at)
        known = next(s for s in load.sent if s.job)
        expect_problem(stack.call("GET", f"/v1/jobs/{known.job}", timeout=6), 503)
        stack.start("redis")
        wait_until(lambda: is_ready(stack, *DAEMONS), 60)
        ready = time.monotonic()
        load.wait_for(100, status=202, since=ready)
        load.wait_for(100, status=200, since=ready)
    assert len(load.in_flight(at)) >= 20 and len(load.refused()) >= 20
    load.check_answers()
    load.check_ends()
    wait_until(lambda: stack.unacknowledged() == 0, 30)


@pytest.mark.slow
@pytest.mark.timeout_s(240)
def test_a_frozen_store_freezes_nothing_else(make_stack):
    stack = make_stack(config)
    with Load(stack) as load:
        load.wait_for(200)
        at = time.monotonic()
        stack.signal("redis", SIGSTOP)
        try:
            watch_livez(stack, FROZEN_S)
            load.wait_for(20, status=503, since=at)
            known = next(s for s in load.sent if s.job)
            expect_problem(stack.call("GET", f"/v1/jobs/{known.job}", timeout=6), 503)
        finally:
            stack.signal("redis", SIGCONT)
        wait_until(lambda: is_ready(stack, *DAEMONS), 60)
        ready = time.monotonic()
        load.wait_for(100, status=202, since=ready)
        load.wait_for(100, status=200, since=ready)
    load.check_answers()
    load.check_ends()
    wait_until(lambda: stack.unacknowledged() == 0, 30)


def test_an_ingress_that_has_not_read_the_registry_denies_no_job(make_stack):
    """Random chaos, seed 2: a cancel was answered with 404 unknown_job, of a job that had its 202."""
    stack = make_stack(config)
    job = stack.submit("/later", delay_s=300).json()["id"]
    stack.signal("redis", SIGSTOP)
    try:
        stack["ingress"].restart(SIGKILL, wait=False)
        wait_until(lambda: stack.call("GET", "/livez").status_code == 200)
        expect_problem(stack.call("DELETE", f"/v1/jobs/{job}"), 503, "unavailable")
        expect_problem(stack.call("POST", f"/v1/jobs/{job}/retry"), 503, "unavailable")
        expect_problem(stack.call("POST", f"/v1/jobs/{job}/resolve", json={"state": "failed"}), 503, "unavailable")
    finally:
        stack.signal("redis", SIGCONT)
    wait_until(lambda: is_ready(stack, "ingress"), 60)
    assert stack.call("DELETE", f"/v1/jobs/{job}").json()["state"] == "canceled"
