# SPDX-License-Identifier: Apache-2.0
"""Three RabbitMQ nodes, one of them killed, or frozen, under load: broker.urls."""
import re
import tempfile
import time
from signal import SIGSTOP

import pytest

from harness import Cluster, wait_until
from harness.load import Load, config_of, is_ready

DAEMONS = ("ingress", "worker-1", "worker-2", "dispatcher")
NODES = 3
AS_CONFIGURED = {"SLUICE_CFG_BROKER_URL": None}


@pytest.fixture(scope="module")
def cluster():
    with tempfile.TemporaryDirectory(prefix="sluice-cluster.", ignore_cleanup_errors=True) as path:
        made = Cluster(path, NODES)
        try:
            yield made.start()
        finally:
            made.stop()


def config(stack):
    sample = {"timeouts": {"sync_s": 60, "total_s": 60}, "in_doubt": {"policy": "hold"}}
    return config_of(stack, {"sample": sample}, broker={"urls": stack.broker.urls(stack.vhost)})


def nodes_of(stack, daemon):
    """{link: the port it was opened to last}"""
    return {link: int(port) for link, port in
            re.findall(r"id=broker_open .*?link=(\w+) node=127\.0\.0\.1:(\d+)", stack[daemon].text())}


def show(load, what, at):
    """For people: how long nobody was served."""
    for status, word in ((202, "accepted"), (200, "answered")):
        good = sorted(s.ended for s in list(load.sent) if s.status == status and s.ended > at - 1)
        gap = max((b - a for a, b in zip(good, good[1:])), default=0)
        print(f"{what}: longest time without one {word}: {gap:.1f} s")


@pytest.mark.slow
@pytest.mark.timeout_s(300)
def test_each_node_dies_in_turn(cluster, make_stack):
    """Whoever was connected to it goes on at another, whatever it led is led by another."""
    stack = make_stack(config, broker=cluster, env=AS_CONFIGURED, workers=2)
    with Load(stack, callers=32) as load:
        load.wait_for(100)
        for i in range(NODES):
            print(f"leaders {cluster.leaders(stack.vhost)}, links {[nodes_of(stack, name) for name in DAEMONS]}")
            at = time.monotonic()
            cluster.kill(i)
            load.wait_for(100, status=202, since=at)
            load.wait_for(100, status=200, since=at)
            wait_until(lambda: is_ready(stack, *DAEMONS), 60)
            show(load, f"r{i} ({cluster.ports[i]}) killed", at)
            assert cluster.ports[i] not in [p for name in DAEMONS for p in nodes_of(stack, name).values()]
            cluster.restart(i)
    load.check_answers()
    load.check_ends()
    wait_until(lambda: stack.unacknowledged() == 0, 30)


@pytest.mark.slow
@pytest.mark.timeout_s(300)
def test_a_node_freezes(cluster, make_stack):
    """No connection breaks: silence is all that is seen of it."""
    stack = make_stack(config, broker=cluster, env=AS_CONFIGURED, workers=2)
    port = nodes_of(stack, "ingress")["publisher"]
    frozen = cluster.ports.index(port)
    with Load(stack, callers=32) as load:
        load.wait_for(100)
        at = time.monotonic()
        cluster.freeze(frozen, SIGSTOP)
        wait_until(lambda: nodes_of(stack, "ingress")["publisher"] != port, 60)
        moved = time.monotonic()
        load.wait_for(100, status=202, since=moved)
        load.wait_for(100, status=200, since=moved)
        wait_until(lambda: is_ready(stack, *DAEMONS), 60)
        show(load, f"r{frozen} frozen", at)
        # What an operator does: one that goes on after the others gave it up does not always join them again by itself.
        cluster.kill(frozen)
        cluster.restart(frozen)
    load.check_answers()
    load.check_ends()
    wait_until(lambda: stack.unacknowledged() == 0, 60, "no message unacknowledged")
