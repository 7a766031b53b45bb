# SPDX-License-Identifier: Apache-2.0
"""What the counter of replicated writes says when commands come late or writes go under a link's hands, and what is not published
before replicas have it."""
from signal import SIGCONT, SIGSTOP

import pytest

from harness.load import expect_problem, quiet
from harness.waiting import wait_until
from test_recovery import HOUR
from test_replicas import DAEMONS, config, fail_over, replicated, unready  # noqa: F401
from test_walk import scripts, store  # noqa: F401

DAY = 86400000
SEEN = "{sluice}:seen:one"


def seen(scripts, counter, confirmed):  # noqa: F811
    return scripts.raw("seen", 1, SEEN, counter, DAY, confirmed)


def test_a_counter_does_not_go_back(scripts):  # noqa: F811
    """What a connection sent before it was given up may come after what the next one said."""
    scripts.redis.set(SEEN, 8)
    assert [seen(scripts, 9, 8), seen(scripts, 12, 9)] == [8, 9]
    assert seen(scripts, 10, 9) == 12
    assert scripts.redis.get(SEEN) == "12", "an old command took a confirmed counter back"


def test_a_counter_that_fell_is_left_for_the_arrival(scripts):  # noqa: F811
    scripts.redis.set(SEEN, 3)
    assert seen(scripts, 13, 12) == 3
    assert scripts.redis.get(SEEN) == "3", "the loss was covered up"
    arrive = ["arrive", 1, "{sluice}:epoch", "other", "run-1"]
    epoch, generation, forgot = scripts.raw(*arrive, "", SEEN, 0, DAY)
    assert forgot == 0
    assert scripts.raw(*arrive, epoch, SEEN, 12, DAY) == [epoch, generation + 1, generation + 1]


def test_a_fire_makes_no_job_twice(scripts):  # noqa: F811
    """A store that lost a fire after its message had left: the message was there first."""
    fire = ("fire", "s", "", "1", "f", "allow", 0, HOUR, "head", "body", 60000, HOUR, "m", "POST")
    assert scripts(*fire) == ["fired", "1"]
    assert scripts.claim("f")[:2] == ["go", 1]
    assert scripts.complete("f", 1, "t1", "end", "succeeded", "answer")[0] == "ended"
    scripts.redis.hdel("{t}:c", "s")
    assert scripts(*fire) == ["moved", "1"], "run again"
    assert scripts.redis.hget("{t}:j:f", "st") == "succeeded"


@pytest.mark.timeout_s(180)
def test_a_loss_under_the_hands_is_noticed(replicated):  # noqa: F811
    """No connection ended: a primary that was made a replica and a primary again, say."""
    stack = replicated()
    assert stack.wait_job(stack.submit(path="/before").json()["id"])["state"] == "succeeded"
    stack.redis.delete(*stack.redis.keys("{sluice}:seen:*"))
    for name in DAEMONS:
        wait_until(lambda: stack.metric("sluice_store_lost_writes_total", name) >= 1, 20, f"{name} to notice the loss")
    stack.wait_ready()
    assert stack.wait_job(stack.submit(path="/after").json()["id"])["state"] == "succeeded"
    quiet(stack)


def test_a_word_that_no_replica_has_is_unknown(replicated):  # noqa: F811
    """A cancellation that a fail-over may take back is not refused as if it had not been done."""
    stack = replicated()
    job = stack.submit(path="/later", delay_s=600).json()["id"]
    stack["replica-1"].signal(SIGSTOP)
    said = expect_problem(stack.call("DELETE", f"/v1/jobs/{job}"), 503, "unavailable")
    assert "not known" in said["detail"]
    stack["replica-1"].signal(SIGCONT)
    stack.wait_ready()
    assert stack.call("DELETE", f"/v1/jobs/{job}").json()["state"] == "canceled"


@pytest.mark.timeout_s(120)
def test_timers_go_on_at_a_primary_without_replicas(replicated):  # noqa: F811
    """What was put over HTTP cannot be read for sure then; what was known of it goes on, and the file's."""
    tick = {"cron": "* * * * * *", "timezone": "UTC", "overlap": "allow",
            "job": {"tenant": "sample", "request": {"method": "POST", "path": "/tick", "body": {}}}}
    stack = replicated(schedules={"tick": tick}, in_doubt={"policy": "hold"})
    wait_until(lambda: stack.receipts(path="/tick"), 30, "a fire")
    fail_over(stack, "replica-1")
    wait_until(lambda: stack.redis.zcard("{sample}:o") >= 3, 60, "fires to wait in the outbox")


@pytest.mark.timeout_s(240)
def test_a_fire_that_no_replica_has_is_not_published(replicated):  # noqa: F811
    """Nobody would remember it: its message would wait for a person."""
    job = {"tenant": "sample", "request": {"method": "POST", "path": "/tick", "body": {}}}
    tick = {"cron": "* * * * * *", "timezone": "UTC", "overlap": "allow", "job": job}
    stack = replicated(schedules={"tick": tick}, in_doubt={"policy": "hold"})
    wait_until(lambda: stack.receipts(path="/tick"), 30, "a fire")
    stack["replica-1"].detach()
    for name in DAEMONS:
        wait_until(lambda: unready(stack, name), 20, f"{name} to say why")
    wait_until(lambda: stack.redis.zcard("{sample}:o") >= 3, 30, "fires to wait in the outbox")
    fail_over(stack, "replica-1")
    stack.add_replica("replica-2").start()
    stack.wait_ready()
    before = len(stack.receipts(path="/tick"))
    wait_until(lambda: len(stack.receipts(path="/tick")) >= before + 3, 60, "fires at the new primary")
    assert stack.metric("sluice_record_missing_total", "worker-1") == 0, "published, and forgotten"
    jobs = [r["job"] for r in stack.receipts(path="/tick")]
    assert len(jobs) == len(set(jobs)), "an instant twice"
