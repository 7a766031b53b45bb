# SPDX-License-Identifier: Apache-2.0
"""The registry's rows of points.yaml: the dispatcher that took a word over HTTP is killed between its steps; the other one leads
and finishes what was said."""
import pytest
import requests

from harness import wait_until
from harness.load import config_of
from points import point


def both(make_stack):
    """`dispatcher-2` leads; `dispatcher` takes the word."""
    stack = make_stack(lambda stack: config_of(stack, {"sample": {}}, dispatcher={"leader_lease_s": 1}), dispatchers=2)
    stack.stop("dispatcher")
    wait_until(lambda: stack.metric("sluice_leader", "dispatcher-2") == 1, 20, "the other leads")
    return stack


def say(stack, method, path, document=None):
    """To the dispatcher that dies of it."""
    with pytest.raises(requests.exceptions.ConnectionError):
        stack.http.request(method, stack.dispatcher_url + path, json=document, timeout=20)


def instances(stack):
    answer = stack.http.get(stack["dispatcher-2"].url + "/v1/tenants/sample", timeout=10)
    return answer.json()["instances"]


@point("dispatcher_said_not_registered")
def test_what_was_said_and_not_registered_is_registered_by_the_leader(make_stack, seam):
    stack = both(make_stack)
    seam.arm(stack, "dispatcher")
    say(stack, "PUT", "/v1/tenants/sample/instances/new", {"url": stack.tenant.url, "concurrency": 2})
    seam.wait_killed(stack, "dispatcher")
    wait_until(lambda: "new" in instances(stack), 10, "the leader has seen it")
    assert "new\t" in stack.redis.hget("{sample}:t", "il")
    seam.disarm(stack, "dispatcher")
    stack.start("dispatcher")
    again = stack.http.put(stack.dispatcher_url + "/v1/tenants/sample/instances/new",
                           json={"url": stack.tenant.url, "concurrency": 2}, timeout=20)
    assert again.status_code == 200


@point("dispatcher_registered_not_governed")
def test_what_was_registered_and_not_governed_is_by_the_leader(make_stack, seam):
    stack = both(make_stack)
    seam.arm(stack, "dispatcher")
    say(stack, "POST", "/v1/tenants/sample/instances/sample-1/drain")
    seam.wait_killed(stack, "dispatcher")
    wait_until(lambda: stack.redis.hget("{sample}:t", "dr:sample-1") == "1", 10, "the leader says that it drains")
    wait_until(lambda: instances(stack)["sample-1"]["state"] == "draining", 10)
