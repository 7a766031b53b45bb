# SPDX-License-Identifier: Apache-2.0
"""A restore whose caller hangs up before the store has answered goes on, as everything does that was asked for."""
from signal import SIGCONT, SIGSTOP

from harness import wait_until
from harness.load import HangingCall, config_of


def kept(stack):
    return config_of(stack, {"filed": {}}, dispatcher={"state_dir": str(stack.directory / "state")})


def snapshot(stack):
    return stack.ask("/health").json()["snapshot"]


def test_a_restore_goes_on_when_its_caller_hangs_up(make_stack):
    stack = make_stack(kept)
    dispatcher = stack["dispatcher"]
    url = dispatcher.url + "/v1/tenants/mine"
    assert stack.http.request("PUT", url, json={"concurrency": 3}, timeout=20).status_code == 201
    stack.redis.flushall()
    wait_until(lambda: snapshot(stack)["state"] == "not restored", 20, "the loss is seen")
    wait_until(lambda: stack.http.request("GET", url, timeout=20).status_code == 404, 20, "the loss is written")
    pid = dispatcher.pid
    stack.signal("redis", SIGSTOP)  # its answer cannot come before the caller has gone
    try:
        call = HangingCall(int(dispatcher.url.rsplit(":", 1)[1]), "POST", "/v1/registry/restore")
        snapshot(stack)  # one loop serves both: the call was read
        call.hang_up()
        for _ in range(3):
            snapshot(stack)  # likewise: the hang-up was seen
    finally:
        stack.signal("redis", SIGCONT)
    wait_until(lambda: snapshot(stack)["state"] == "kept", 20, "what was asked for is done")
    wait_until(lambda: stack.http.request("GET", url, timeout=20).status_code == 200, 20)
    assert dispatcher.pid == pid
