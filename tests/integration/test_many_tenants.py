# SPDX-License-Identifier: Apache-2.0
"""Hundreds of tenants: their queues are declared in waves, and the broker or the connections go in the middle of them."""
import pika
import pytest

from harness import wait_until
from harness.load import config_of, is_ready

TENANTS = 400
SOME = [f"t{n}" for n in range(0, TENANTS, 16)]
DAEMONS = ("ingress", "worker-1", "dispatcher")


def config(stack):
    # Classic: a quorum queue younger than about a second comes back from a kill -9 of RabbitMQ 3.10 without a leader.
    tenants = {f"t{n}": {"timeouts": {"sync_s": 20}} for n in range(TENANTS)}
    return config_of(stack, tenants, broker={"queue_type": "classic"})


def standing(stack):
    """How many of some tenants' queues stand."""
    connection = stack.amqp()
    found = 0
    for name in SOME:
        channel = connection.channel()
        try:
            channel.queue_declare(f"sluice.{name}.normal", passive=True)
            found += 1
        except pika.exceptions.ChannelClosedByBroker:
            pass
    connection.close()
    return found


def is_consumed(stack, tenants=TENANTS):
    rows = stack.queues()
    return all(rows.get(f"sluice.t{n}.{route}", (0, 0, 0))[2] > 0 for n in range(tenants) for route in ("sync", "normal"))


def in_the_middle(make_stack):
    """A stack that is in the middle of its declares."""
    stack = make_stack(config, private=True, start=False).start(wait=False)
    wait_until(lambda: standing(stack), 60)
    assert standing(stack) < len(SOME), "it is too late: all stand"
    return stack


def check_calls(stack):
    """All tenants' queues are declared and consumed, a call to each of some succeeds, and nobody was told of a full line."""
    wait_until(lambda: is_ready(stack, *DAEMONS), 120)
    wait_until(lambda: is_consumed(stack), 60)
    for name in SOME:
        answer = stack.call("POST", f"/call/{name}/after")
        assert answer.status_code == 200, f"{name}: {answer.status_code} {answer.text[:300]}"
    assert len(stack.receipts(path="/after")) == len(SOME)
    for name in DAEMONS:
        assert "queue_declare_failed" not in stack[name].text(), name


@pytest.mark.slow
@pytest.mark.timeout_s(300)
def test_the_broker_is_killed_in_the_middle_of_the_declares(make_stack):
    stack = in_the_middle(make_stack)
    stack.restart("rabbitmq", 9)
    check_calls(stack)


@pytest.mark.slow
@pytest.mark.timeout_s(300)
def test_the_connections_are_cut_in_the_middle_of_the_declares(make_stack):
    stack = in_the_middle(make_stack)
    for _ in range(3):
        stack.broker.ctl("close_all_connections", "a test")
    check_calls(stack)


@pytest.mark.timeout_s(120)
def test_one_tenant_of_many_uses_the_whole_worker(make_stack):
    """Four times as many queues as the worker has places: those without work take none of them."""
    def config_of_a_hundred(stack):
        return config_of(stack, {f"t{n}": {} for n in range(100)}, broker={"queue_type": "classic"}, worker={"concurrency": 50})

    stack = make_stack(config_of_a_hundred)
    wait_until(lambda: is_consumed(stack, 100), 30)
    for n in range(40):
        assert stack.submit(f"/held/{n}?sleep_ms=8000", tenant="t7").status_code == 202
    wait_until(lambda: stack.tenant.stats()["running"] == 40, 7, "40 calls held at once")
