# SPDX-License-Identifier: Apache-2.0
"""A cluster that outlives its nodes: under 100 jobs a second and some waiting callers the broker node that leads the tenant's
queue, the primary Redis, an ingress and the leading dispatcher are killed, one after the other; each comes back 15 s
later; then the node that leads the queue is cut off. Nothing is lost, nothing is done twice, callers were told clearly, and
how long each outage lasted is printed."""
import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "integration")]

from cluster import Cluster, wait_until
from harness import free_port_base
from patient import Load, longest_gap, states

JOBS_PER_S, CALLS_PER_S = 100, 5
APART_S = float(os.environ.get("CLUSTER_APART_S", 30))
ENDED = ("succeeded", "failed", "expired", "canceled", "in_doubt")


@pytest.fixture
def cluster(tmp_path):
    # Addresses of its own: other clusters may live on this engine.
    net = os.environ.get("SLUICE_TEST_CLUSTER_NET", f"10.{64 + os.getpid() % 128}")
    c = Cluster(tmp_path / "cluster", f"sluicecluster{os.getpid()}", free_port_base(), net)
    c.prepare()
    try:
        begun = time.monotonic()
        c.up()
        c.wait_ready()
        print(f"\nstarted in {time.monotonic() - begun:.1f} s")
        yield c
    finally:
        if os.environ.get("CLUSTER_LOGS"):
            c.keep_logs(os.environ["CLUSTER_LOGS"])
        c.down()


def judge_answers(callers):
    """Whoever was not served was told so in Sluice's own words."""
    unserved = [s for c in callers for s in c.said if not c.is_answered(s)]
    print("answers that were none:", dict(Counter((s.status, s.problem or s.type) for s in unserved)))
    unclear = [s for s in unserved if s.problem is None]
    assert not unclear, f"{len(unclear)} unclear, e.g. {unclear[0].status} {unclear[0].text!r}: " + \
        str([c.path for c in callers if unclear[0] in c.said])
    assert all(s.retry_after for s in unserved if s.status == 503), "a 503 without Retry-After"
    missing = [c for c in callers if c.done is None]
    assert not missing, f"{len(missing)} callers without an answer, e.g. {missing[0].path}: " + \
        str([(round(s.at, 1), s.status, s.text) for s in missing[0].said[-3:]])


def judge_jobs(cluster, callers):
    """Every accepted job ends; each was done once, but for those of unknown outcome, which a person is asked about."""
    jobs = {c.done.job: c for c in callers}
    assert len(jobs) == len(callers), "two keys, one job"
    found = {}

    def all_ended():
        found.update(states(cluster.host, cluster.key, [j for j in jobs if found.get(j) not in ENDED]))
        return all(state in ENDED for state in found.values())

    try:
        wait_until(all_ended, 240, "all jobs ended", every=1)
    finally:
        print("jobs:", dict(Counter(found.values())))
    receipts = Counter(r["path"] for r in cluster.receipts())
    twice = [c.path for c in callers if receipts[c.path] > 1]
    never = [c.path for c in callers if receipts[c.path] == 0 and found[c.done.job] != "in_doubt"]
    assert not twice, f"{len(twice)} done twice, e.g. {twice[:3]}"
    assert not never, f"{len(never)} never done, e.g. {never[:3]}"
    assert {s for s in found.values()} <= {"succeeded", "in_doubt"}, Counter(found.values())
    return Counter(found.values())["in_doubt"]


def ticks_fired_once(cluster):
    ticks = Counter(r["scheduled_time"] for r in cluster.receipts() if r["path"] == "/tick")
    assert max(ticks.values()) == 1, [t for t, n in ticks.items() if n > 1]


def outage(callers, receipts, since, until):
    """(accepting, working, calls): the longest time without a new 202, without a job at the tenant, without a call answered."""
    wall = time.time() - time.monotonic()
    accepted = [c.done.at for c in callers if c.done and not c.is_sync]
    calls = [c.done.at for c in callers if c.done and c.is_sync]
    worked = [r["time"] / 1000 - wall for r in receipts]
    return tuple(longest_gap(times, since, until) for times in (accepted, worked, calls))


def kill_broker(c):
    return c.kill(c.of(c.queue_leader("sample.normal"))[0])


def kill_primary(c):
    return c.kill(c.of(c.redis_primary())[0])


def change_primary(c):
    """By hand, as docs/cluster.md says."""
    at = time.monotonic()
    c.exec(c.any("sentinel"), "/etc/redis/cluster/failover")
    return at


def kill_ingress(c):
    return c.kill(c.of("ingress")[0])


def kill_leader(c):
    return c.kill(wait_until(c.leading_dispatcher, 10, "a leading dispatcher"))


def cut_broker(c):
    """Off the two others, and off everybody, for most of the time: the cable is pulled, nobody hears a word."""
    service = c.queue_leader("sample.normal")
    return c.cut(service, "bus", f"{c.net}.1.1{service[-1]}", again_after_s=APART_S - 5)


KILLS = (("the broker node that leads the queue", kill_broker), ("the primary Redis", kill_primary),
         ("one ingress", kill_ingress), ("the leading dispatcher", kill_leader), ("cut: the node that leads the queue", cut_broker),
         ("by hand: the primary Redis", change_primary))


def members(cluster):
    """How many members of quorum queues are online, of each queue."""
    said = cluster.exec(cluster.any("rabbitmq"), "rabbitmqctl", "--quiet", "list_queues", "--no-table-headers", "name", "online")
    return {line.count("rabbit@") for line in said.splitlines() if line.startswith("sluice.")}


def wait_whole(cluster):
    """All that was killed has joined again."""
    wait_until(lambda: len(cluster.of("ingress")) == 2 and len(cluster.of("dispatcher")) == 2, 30, "all back")
    wait_until(lambda: cluster.replicas() == 2, 60, "two replicas")
    wait_until(lambda: members(cluster) == {3}, 60, "three members of each queue")


@pytest.mark.cluster
@pytest.mark.timeout_s(800)
def test_each_part_dies(cluster):
    load = Load(cluster.host, cluster.key, JOBS_PER_S, CALLS_PER_S, "kills").start()
    begun = time.monotonic()
    time.sleep(8)
    killed = []
    for what, kill in KILLS:
        killed.append((what, kill(cluster)))
        time.sleep(max(0, killed[-1][1] + APART_S - time.monotonic()))
    ended = time.monotonic()
    callers = load.stop()
    receipts = cluster.receipts()
    print(f"{len(callers)} callers in {ended - begun:.0f} s")
    print(f"{'killed':40} {'no 202':>8} {'no work':>8} {'no call':>8}  (longest, s)")
    for name, since, until in [("(nothing)", begun + 2, killed[0][1]),
                               *((what, at, at + APART_S) for what, at in killed)]:
        print("{:40} {:8.2f} {:8.2f} {:8.2f}".format(name, *outage(callers, receipts, since, until)))
    judge_answers(callers)
    in_doubt = judge_jobs(cluster, callers)
    print(f"in doubt, for a person: {in_doubt}")
    ticks_fired_once(cluster)
    wait_whole(cluster)
