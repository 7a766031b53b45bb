# SPDX-License-Identifier: Apache-2.0
"""The rows of points.yaml about ordering keys: a worker that dies or hears nothing between the end of a job and the next of its
key, or while it shelves one that is out of turn. In all of them the line goes on, in its order, each job called once."""
import time

from harness import wait_until
from harness.load import quiet
from points import point
from test_worker_points import config, record, submit, wait_sent

ENDS = 60


def line_of_three(stack, first="/line/0?sleep_ms=1000"):
    """The first runs, the others wait for their turn on the shelf (but for what a fault does to them)."""
    jobs = [submit(stack, first, ordering_key="k")]
    wait_sent(stack, jobs[0])
    return jobs + [submit(stack, f"/line/{n}", ordering_key="k") for n in (1, 2)]


def waits(stack, job):
    wait_until(lambda: record(stack, job, "oo") == ["1"], 30, f"{job} on the shelf for its turn")


def goes_on(stack, jobs, receipts=None):
    for job in jobs:
        assert stack.wait_job(job, timeout=ENDS)["state"] == "succeeded"
    assert [r["job"] for r in stack.receipts()] == (receipts or jobs), "each once, in their order"
    quiet(stack, timeout=60)
    assert stack.redis.keys("{sample}:q*") == [] and stack.redis.keys("{sample}:b:*") == []


@point("order_next_unpublished")
def test_the_next_of_a_worker_that_died_at_the_end_of_the_first(make_stack, seam):
    stack = make_stack(config("hold"), workers=2)
    stack.stop("worker-2")
    seam.arm(stack, "worker-1")
    jobs = line_of_three(stack)
    waits(stack, jobs[2])
    seam.wait_killed(stack, "worker-1")
    assert record(stack, jobs[0], "st") == ["succeeded"]
    stack.start("worker-2")
    stack.start("worker-1")
    goes_on(stack, jobs)


@point("order_next_confirm_lost")
def test_the_next_whose_confirm_is_lost_is_published_again(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    jobs = line_of_three(stack)
    waits(stack, jobs[2])
    goes_on(stack, jobs)


@point("order_copy_without_record")
def test_a_copy_that_was_published_and_not_recorded(make_stack, seam):
    """Its delivery comes back, and looks again. The first dies with the worker, and is sent again before it."""
    stack = make_stack(config("retry"))
    seam.arm(stack, "worker-1")
    first = submit(stack, "/line/0?sleep_ms=2000", ordering_key="k")
    wait_sent(stack, first)
    jobs = [first, submit(stack, "/line/1", ordering_key="k")]
    seam.wait_killed(stack, "worker-1")
    assert record(stack, jobs[1], "st", "oo") == ["queued", None]
    jobs.append(submit(stack, "/line/2", ordering_key="k"))
    stack.start("worker-1")
    goes_on(stack, jobs, receipts=[first, *jobs])


@point("order_wait_turn_answer_lost")
def test_a_turn_whose_answer_is_lost_is_asked_again(make_stack, seam):
    stack = make_stack(config("hold"))
    seam.arm(stack, "worker-1")
    jobs = line_of_three(stack)
    seam.wait_hit()
    waits(stack, jobs[2])
    goes_on(stack, jobs)


@point("order_copy_until_turn")
def test_whose_turn_comes_while_its_copy_is_on_its_way(make_stack, seam):
    """The worker stands still between the copy and the script, and the first ends meanwhile: nobody wakes the next."""
    stack = make_stack(config("hold"), workers=2)
    stack.stop("worker-2")
    first = submit(stack, "/line/0?sleep_ms=3000", ordering_key="k")
    wait_sent(stack, first)
    process = seam.arm(stack, "worker-2")
    stack.signal("worker-1", 19)  # so that the next comes to the other
    next_one = submit(stack, "/line/1", ordering_key="k")
    seam.wait_hit()
    stack.signal("worker-1", 18)
    assert stack.wait_job(first)["state"] == "succeeded"
    time.sleep(0.2)
    assert stack.redis.zcard("{sample}:o") == 0
    process.signal(18)
    goes_on(stack, [first, next_one])
