# SPDX-License-Identifier: Apache-2.0
"""Networks are cut under load, by the engine: cables are pulled, nobody hears of it, and addresses change."""
import json
import os
import time

import mix
import pytest
import requests
from compose import Clock, Compose
from harness import wait_until
from judge import Load, figures, history_of, in_doubt, violations

CUT_S = 30
RATE = min(60.0, float(os.environ.get("SLUICE_CONTAINERS_RATE", "60")))
# What a cut may do to an attempt: its worker is taken for dead, or its answer does not come (common/httpc/httpc.h).
DOUBTS = {"worker_lost", "timeout_first_byte", "timeout_total", "connection_broken"}


def drop_what_comes_in(compose, name):
    """Half open: what it sends arrives, nothing comes back, not even a reset."""
    compose.inside(name, "iptables", "-I", "INPUT", "!", "-i", "lo", "-j", "DROP")


def let_in(compose, name):
    compose.inside(name, "iptables", "-D", "INPUT", "!", "-i", "lo", "-j", "DROP")


def ready(compose, name):
    """As a container's health check asks."""
    return compose.docker("inspect", "--format", "{{.State.Health.Status}}", name) == "healthy"


def works(compose, names):
    """Whether each of these is healthy."""
    return [n for n in names if not ready(compose, n)] == []


@pytest.mark.timeout_s(600)
def test_workers_are_cut_off(make_compose):
    """One from the broker, one from the store, one from its tenant, one half-open, each for 30 s; a fifth goes on."""
    compose = make_compose(mix.config(Compose.sample()), workers=5)
    no_bus, no_store, no_tenant, half_open, _ = workers = compose.containers("worker")
    load = Load(compose, "partitions", 60, RATE)
    try:
        clock = Clock()
        clock.at(5)
        compose.cut(no_bus, "bus")
        compose.cut(no_store, "store")
        compose.cut(no_tenant, "tenants")
        drop_what_comes_in(compose, half_open)
        cut_at = clock.now()
        clock.at(cut_at + CUT_S)
        compose.mend(no_bus, "bus")
        compose.mend(no_store, "store")
        compose.mend(no_tenant, "tenants")
        let_in(compose, half_open)
        healed = clock.now()
        wait_until(lambda: works(compose, workers), 150, "all workers work again", every=0.5)
        print(f"all workers are ready {clock.now() - healed:.1f} s after the cables are back")
        said = load.wait()
        history = history_of(compose, workers=len(workers))
    finally:
        load.close()
    print(figures(history, said))
    print(json.dumps(delays(history)))
    assert violations(compose, history) == {}
    assert {row.error for _, _, row, _ in in_doubt(history)} <= DOUBTS


def delays(history):
    """How long jobs took from their acceptance to their end: the longest, and how many over 5 s and over 15 s."""
    found = sorted((int(r["ea"]) - int(r["ca"])) / 1000 for r in history["records"].values()
                   if r.get("ea") and r["st"] == "succeeded")
    return {"longest_s": found[-1], "over_5_s": sum(d > 5 for d in found), "over_15_s": sum(d > 15 for d in found)}


@pytest.mark.timeout_s(450)
def test_an_ingress_is_cut_off_from_the_store(make_compose):
    """Callers hear a clear 503, soon; what was accepted ends; it goes on by itself when the cable is back."""
    compose = make_compose(mix.config(Compose.sample()), workers=2)
    ingress = compose.one("ingress")
    load = Load(compose, "ingress", 60, RATE)
    try:
        clock = Clock()
        clock.at(8)
        compose.cut(ingress, "store")
        clock.at(clock.now() + CUT_S)
        compose.mend(ingress, "store")
        healed = time.monotonic()
        wait_until(lambda: accepts(compose), 60, "the ingress accepts")
        print(f"accepts {time.monotonic() - healed:.1f} s after the cable is back")
        said = load.wait()
        history = history_of(compose, workers=2)
    finally:
        load.close()
    print(figures(history, said))
    refused = [a for a in history["answers"] if a.get("status") == 503 and a.get("problem")]
    waits = sorted((a["answered"] - a["at"]) / 1000 for a in refused)
    print(f"{len(refused)} answers 503, after {waits[len(waits) // 2]:.2f} s in the middle, {waits[-1]:.2f} s at most")
    assert violations(compose, history) == {}
    assert len(refused) > RATE * CUT_S / 4
    assert waits[-1] < mix.TIMEOUTS["sync_s"] + 5
    assert in_doubt(history) == []


def accepts(compose):
    try:
        return compose.submit("/w/probe?sleep_ms=1", "plain", idempotency_key=f"probe-{time.monotonic()}").status_code == 202
    except requests.RequestException:
        return False
