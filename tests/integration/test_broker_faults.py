# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ killed, and frozen, under load."""
import time
from signal import SIGCONT, SIGSTOP

import pytest

from harness import wait_until
from harness.load import Load, config_of, is_ready

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
def test_the_broker_is_killed_and_started_again(make_stack):
    stack = make_stack(config, private=True)
    with Load(stack) as load:
        load.wait_for(200)
        at = time.monotonic()
        stack.kill("rabbitmq")
        load.wait_for(20, status=503, since=at)
        stack.start("rabbitmq")
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
def test_a_frozen_broker_freezes_nothing_else(make_stack):
    stack = make_stack(config, private=True)
    with Load(stack) as load:
        load.wait_for(200)
        at = time.monotonic()
        stack.signal("rabbitmq", SIGSTOP)
        try:
            watch_livez(stack, FROZEN_S)
            status = stack.call("GET", f"/v1/jobs/{load.sent[0].job}", timeout=5)
            assert status.status_code == 200
            load.wait_for(20, status=503, since=at)
        finally:
            stack.signal("rabbitmq", SIGCONT)
        wait_until(lambda: is_ready(stack, *DAEMONS), 60)
        ready = time.monotonic()
        load.wait_for(100, status=202, since=ready)
        load.wait_for(100, status=200, since=ready)
    load.check_answers()
    load.check_ends()
    wait_until(lambda: stack.unacknowledged() == 0, 30)
