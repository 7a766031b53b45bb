# SPDX-License-Identifier: Apache-2.0
"""Workers come and go under load: an orderly end leaves nothing in doubt, a killed container is a crash."""
import os
import time

import mix
import pytest
from compose import Clock, Compose
from harness import wait_until
from judge import Load, figures, history_of, in_doubt, violations

SECONDS = 60
RATE = float(os.environ.get("SLUICE_CONTAINERS_RATE", "200"))  # a machine that is busy with other things bears less
KILL = 9


def drained(compose, before):
    """How each that is gone since ended: {name: its exit code}, and who was killed."""
    gone = set(before) - set(compose.containers("worker"))
    events = compose.events.seen()
    codes = {name: code for name, what, code in events if what == "die" and name in gone}
    killed = [name for name, what, signal in events if what == "kill" and signal == KILL and name in gone]
    return codes, killed


def scale_down(compose, n):
    before = compose.containers("worker")
    clock = Clock()
    compose.scale(n)
    took = clock.now()
    codes, killed = wait_until(lambda: len(drained(compose, before)[0]) == len(before) - n and drained(compose, before),
                               10, "the engine says how they ended")
    print(f"{len(before)} → {n} workers in {took:.1f} s: exit codes {sorted(codes.values())}")
    assert set(codes.values()) == {0}, codes
    assert killed == [], "ended by force: the grace is shorter than the drain"


def crash(compose, name):
    """docker kill; somebody starts it again."""
    compose.kill(name)
    compose.docker("start", name)


def dead(compose):
    return [name for name, value in compose.leases().items() if value == "dead"]


@pytest.mark.timeout_s(600)
def test_scaling_under_load(make_compose):
    """1 → 8 → 2 workers and three killed, under 200 jobs/s for a minute."""
    compose = make_compose(mix.config(Compose.sample()), workers=1)
    load = Load(compose, "scaling", SECONDS, RATE)
    try:
        clock = Clock()
        clock.at(5)
        compose.scale(8)
        compose.wait_healthy(*compose.containers("worker"))
        print(f"8 workers after {clock.now():.1f} s")
        clock.at(20)
        scale_down(compose, 2)
        assert dead(compose) == [], "a worker that was drained was declared dead"
        assert {t: compose.redis.hget(f"{{{t}}}:t", "ind") or "0" for t in mix.POLICIES} == dict.fromkeys(mix.POLICIES, "0")
        orderly_until = time.time() * 1000
        for turn in range(3):
            clock.at(36 + 7 * turn)
            crash(compose, compose.containers("worker")[turn % 2])
        said = load.wait()
        wait_until(lambda: len(dead(compose)) == 3, 60, "three workers are declared dead")
        history = history_of(compose, workers=2)
    finally:
        load.close()
    print(figures(history, said))
    assert violations(compose, history) == {}
    lost = dead_of(history)
    for job, number, row, record in in_doubt(history):
        assert row.end > orderly_until, f"{job}: in doubt by an orderly scale-down"
        assert row.error == "worker_lost", (job, number, row)
        assert record["w"] in lost or record["n"] != str(number), f"{job}: in doubt, and its worker was not killed"
    assert in_doubt(history), "nothing ran in the workers that were killed: the test shows nothing"


def dead_of(history):
    return {name for name, value in history["leases"].items() if value == "dead"}


@pytest.mark.timeout_s(180)
def test_a_container_that_is_stopped_while_it_starts_ends_by_itself(make_compose):
    """The first process of a container hears no signal that it has no handler for."""
    compose = make_compose(mix.config(Compose.sample()), workers=1)
    worker = compose.one("worker")
    for _ in range(10):
        compose.docker("stop", worker)
        compose.docker("start", worker)
        compose.docker("stop", worker)
        assert compose.docker("inspect", "--format", "{{.State.ExitCode}}", worker) == "0"
    assert [e for e in compose.events.seen() if e[1] == "kill" and e[2] == KILL] == []
