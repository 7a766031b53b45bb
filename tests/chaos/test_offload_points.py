# SPDX-License-Identifier: Apache-2.0
"""The rows of points.yaml about offloaded jobs: a worker killed, or left without an answer, between two steps of a poll."""
import pytest

from harness import wait_until
from points import point
from test_worker_points import LEASE, counters, in_hand, on_shelf, record, submit

SLOW = "/offloaded?offload_ms=1500"


@pytest.fixture
def stack(make_stack):
    offload = {"enabled": True, "poll_s": 0.3}
    return make_stack(lambda s: {**s.sample_config(offload=offload, in_doubt={"policy": "hold"}), **LEASE})


def polled_once(stack, job):
    """It was called once, polled to its end, and nothing is left."""
    assert stack.wait_job(job, timeout=60)["state"] == "succeeded"
    assert stack.result(job).json() == {"polled": True}
    assert [r["attempt"] for r in stack.receipts(job=job)] == [1]
    wait_until(lambda: in_hand(stack) == 0 and counters(stack, "run", "ind", "c") == [0, 0, 0], 20, "nothing left")
    assert on_shelf(stack) == 0 and record(stack, job, "of", "ofu") == [None, None]


@point("worker_between_202_and_poll")
def test_a_poll_that_was_not_published_is_made_by_the_delivery(stack, seam):
    seam.arm(stack, "worker-1")
    job = submit(stack, SLOW)
    seam.wait_killed(stack, "worker-1")
    assert record(stack, job, "st", "of") == ["running", "1"]
    stack.start("worker-1", wait=False)
    polled_once(stack, job)


@point("worker_202_record_lost")
def test_a_202_whose_record_is_lost_is_recorded_once(stack, seam):
    seam.arm(stack, "worker-1", nth=1)
    job = submit(stack, SLOW)
    seam.wait_hit()
    polled_once(stack, job)


@point("worker_between_poll_and_outcome")
def test_an_outcome_that_was_not_recorded_is_polled_again(stack, seam):
    # The first two or three polls say that it is pending.
    process = stack["worker-1"]
    job = submit(stack, SLOW)
    wait_until(lambda: record(stack, job, "of") == ["1"], 20, "the 202")
    process.stop()
    wait_until(lambda: stack.tenant.stats()["running"] == 0, 20, "the tenant is done")
    seam.arm(stack, "worker-1", wait=False)
    seam.wait_killed(stack, "worker-1")
    assert record(stack, job, "st", "of") == ["running", "1"]
    stack.start("worker-1", wait=False)
    polled_once(stack, job)


@point("worker_poll_record_lost")
def test_a_poll_whose_record_is_lost_is_recorded_once(stack, seam):
    seam.arm(stack, "worker-1", nth=1)
    job = submit(stack, SLOW)
    seam.wait_hit()
    polled_once(stack, job)
