# SPDX-License-Identifier: Apache-2.0
"""The dispatcher's rows of points.yaml: killed, stopped, or without an answer between two steps of a fire, of the outbox, of a
burial. `dispatcher` carries the seam; `dispatcher-2`, added later, is the next leader."""
from datetime import datetime, timedelta, timezone
from signal import SIGCONT

import pytest
import requests

from harness import wait_until
from harness.load import config_of
from points import point

SECOND = timedelta(seconds=1)
TICK = {"cron": "* * * * * *", "timezone": "UTC", "overlap": "allow", "catch_up": "all",
        "job": {"tenant": "sample", "request": {"method": "POST", "path": "/tick"}}}


def config(schedules=None):
    return lambda stack: config_of(stack, {"sample": {"in_doubt": {"policy": "hold"}}}, schedules,
                                   worker={"lease_s": 2}, dispatcher={"leader_lease_s": 1})


def instants(stack):
    found = [datetime.fromisoformat(r["scheduled_time"].replace("Z", "+00:00")) for r in stack.receipts(schedule="tick")]
    return sorted(found)


def wait_instants(stack, n_more):
    n = len(set(instants(stack))) + n_more
    wait_until(lambda: len(set(instants(stack))) >= n, 20, "more instants")


def each_instant_once(stack, after=0):
    """As far as the schedule has come by now: none twice, none left out. after: so many are not judged."""
    until = instants(stack)[-1]
    wait_until(lambda: instants(stack)[-1] >= until + 2 * SECOND, 20, "later instants")
    found = [t for t in instants(stack)[after:] if t <= until]
    assert len(found) == len(set(found)), f"an instant twice: {sorted(t for t in set(found) if found.count(t) > 1)}"
    assert found == [found[0] + n * SECOND for n in range(len(found))], "an instant was left out"


def leaders(stack):
    names = [n for n in ("dispatcher", "dispatcher-2") if n in stack.processes]
    return [n for n in names if stack.metric("sluice_leader", n) == 1]


def ticking(make_stack, seam, nth):
    """A stack whose only schedule fires each second, and whose dispatcher meets its seam at the n-th fire."""
    stack = make_stack(config({"tick": TICK}))
    wait_until(lambda: instants(stack), 20, "a first fire")
    seam.arm(stack, "dispatcher", nth, wait=False)
    return stack


@point("dispatcher_after_fire")
def test_a_fire_without_its_publish_is_published_by_the_next_leader(make_stack, seam):
    stack = ticking(make_stack, seam, nth=2)
    seam.wait_killed(stack, "dispatcher")
    # The entry of the fire itself, at least: one of before may stand beside it.
    assert stack.redis.zcard("{sample}:o") >= 1
    stack.add("dispatcher")
    wait_instants(stack, 2)
    each_instant_once(stack)


@point("dispatcher_fire_answer_lost")
def test_a_fire_without_an_answer_is_read_again(make_stack, seam):
    stack = ticking(make_stack, seam, nth=2)
    seam.wait_hit()
    wait_instants(stack, 2)
    each_instant_once(stack)


@point("dispatcher_paused_before_fire")
def test_one_that_led_fires_nothing_behind_the_next_leader(make_stack, seam):
    stack = ticking(make_stack, seam, nth=3)
    wait_until(lambda: stack.redis.exists("{sluice}:leader"))
    stack.add("dispatcher")
    seam.wait_hit()
    wait_until(lambda: stack.metric("sluice_leader", "dispatcher-2") == 1, 20, "another leader")
    wait_instants(stack, 2)
    stack.signal("dispatcher", SIGCONT)
    wait_until(lambda: stack.metric("sluice_leader", "dispatcher") == 0, 10, "it leads no longer")
    wait_instants(stack, 2)
    assert leaders(stack) == ["dispatcher-2"]
    each_instant_once(stack)


@point("dispatcher_schedule_deleted")
def test_what_is_put_anew_knows_nothing_of_one_whose_end_is_missing(make_stack, seam):
    def ask(method, path, name="dispatcher", **options):
        return stack.http.request(method, f"{stack[name].url}/v1/schedules/tick{path}", timeout=20, **options)

    stack = make_stack(config())
    seam.arm(stack, "dispatcher")
    assert ask("PUT", "", json=TICK).status_code == 201
    wait_until(lambda: instants(stack), 20, "a first fire")
    assert ask("POST", "/pause", json={"note": "of the old one"}).status_code == 200
    old = len(instants(stack))
    with pytest.raises(requests.ConnectionError):
        ask("DELETE", "")
    seam.wait_killed(stack, "dispatcher")
    stack.add("dispatcher").wait_ready(30)
    assert ask("GET", "", "dispatcher-2").status_code == 404
    missed = datetime.now(timezone.utc) + 3 * SECOND
    wait_until(lambda: datetime.now(timezone.utc) > missed, 10, "instants that nobody fires")
    again = datetime.now(timezone.utc)
    shown = ask("PUT", "", "dispatcher-2", json=TICK).json()
    assert (shown["paused"], shown["fired"], shown["last"]) == (None, 0, None)
    wait_until(lambda: len(instants(stack)) >= old + 2, 20, "its own fires")
    assert instants(stack)[old] > again - SECOND, "made up"
    each_instant_once(stack, after=old)


def held(stack, path):
    """A job in doubt, held for a person."""
    job = stack.submit(f"{path}?drop=1").json()["id"]
    assert stack.wait_job(job)["state"] == "in_doubt"
    return job


def retry(stack, job):
    assert stack.call("POST", f"/v1/jobs/{job}/retry").status_code == 200


def messages(stack):
    return {name: row[:2] for name, row in stack.queues().items() if (row[0] or row[1]) and not name.endswith(".shelf")}


def was_sent_again_once(stack, job, path):
    """Its first attempt broke off; so does the one that a person asked for."""
    wait_until(lambda: len(stack.job(job)["attempts"]) == 2 and stack.job(job)["state"] == "in_doubt", 15, "a second attempt")
    wait_until(lambda: stack.redis.zcard("{sample}:o") == 0, 15, "an empty outbox")
    wait_until(lambda: messages(stack) == {}, 15, "no message but the shelf's copies")
    assert len(stack.receipts(path=path)) == 2


@point("dispatcher_after_outbox_publish")
def test_what_was_published_and_not_removed_is_published_twice(make_stack, seam):
    stack = make_stack(config())
    job = held(stack, "/twice")
    seam.arm(stack, "dispatcher")
    retry(stack, job)
    seam.wait_killed(stack, "dispatcher")
    assert stack.redis.zcard("{sample}:o") == 1
    stack.add("dispatcher")
    was_sent_again_once(stack, job, "/twice")


@point("dispatcher_outbox_confirm_lost")
def test_what_the_broker_did_not_confirm_is_published_again(make_stack, seam):
    stack = make_stack(config())
    job = held(stack, "/again")
    seam.arm(stack, "dispatcher", nth="1+")
    retry(stack, job)
    wait_until(lambda: len(seam.hits()) >= 3, 15, "published until it is confirmed")
    seam.disarm(stack, "dispatcher")
    stack.restart("dispatcher")
    was_sent_again_once(stack, job, "/again")


@point("dispatcher_after_bury")
def test_the_next_leader_tells_the_tenants_of_the_dead(make_stack, seam):
    stack = make_stack(config())
    seam.arm(stack, "dispatcher")
    stack.tenant.control(pause=1)
    job = stack.submit("/bereaved").json()["id"]
    wait_until(lambda: stack.receipts(path="/bereaved"))
    stack.kill("worker")
    seam.wait_killed(stack, "dispatcher")
    assert list(stack.redis.hgetall("{sluice}:w").values()) == ["dead"]
    assert stack.redis.zcard("{sample}:d") == 0
    stack.tenant.control(pause=0)
    stack.add("dispatcher")
    stack.start("worker")
    wait_until(lambda: stack.redis.zcard("{sample}:d") == 1, 15, "the tenant is told")
    assert stack.wait_job(job)["state"] == "in_doubt"
    assert len(stack.receipts(path="/bereaved")) == 1
