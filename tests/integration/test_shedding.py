# SPDX-License-Identifier: Apache-2.0
"""A tenant that turns slow (situation E): its callers are told 503 with Retry-After at once instead of waiting for nothing,
another tenant's do not notice, and soon after the tenant is itself again everybody is served. Before that, good answers ask
to ease off. The delay is the delay proxy's."""
import threading
import time

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem

SYNC_S = 2
SLOW_MS = 5000


class Callers:
    """So many threads, each of which calls again and again; (began, took, answer) of every call."""

    def __init__(self, stack, path, n, pause_s=0.1):
        self.stack, self.path, self.pause_s = stack, path, pause_s
        self.calls = []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(n)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def _run(self):
        while not self.is_over.is_set():
            began = time.monotonic()
            answer = self.stack.call("GET", self.path)
            self.calls.append((began, time.monotonic() - began, answer))
            self.is_over.wait(self.pause_s)

    def since(self, instant):
        """Calls that began after it and have been answered."""
        return [call for call in list(self.calls) if call[0] > instant]

    def all_good(self, instant, n):
        """The last n of them, if there are so many, succeeded."""
        calls = self.since(instant)
        return len(calls) >= n and all(answer.status_code == 200 for _, _, answer in calls[-n:])


def grow(proxy, delay_ms, most_ms, step_ms):
    """A step a second."""
    while delay_ms <= most_ms:
        proxy.order("/set", delay_ms=delay_ms)
        delay_ms += step_ms
        time.sleep(1)
    proxy.order("/set", delay_ms=most_ms)


@pytest.fixture(scope="module")
def stack(make_module_stack):
    def config(stack):
        slow = [{"name": "slow-1", "url": f"http://127.0.0.1:{proxy.port}", "concurrency": 4}]
        free = [{"name": "free-1", "url": f"http://127.0.0.1:{proxy.port}"}]
        times = {"sync_s": SYNC_S, "first_byte_s": 20, "total_s": 30}
        return config_of(stack, {"slow": {"instances": slow, "timeouts": times}, "free": {"instances": free, "timeouts": times}, "ease": {"instances": free, "timeouts": times},
                                 "other": {"timeouts": times}})

    stack = make_module_stack(config, start=False, ingresses=2)
    proxy = stack.add_proxy("proxy", stack.tenant.port)
    stack.start()
    stack.proxy = proxy
    return stack


@pytest.mark.slow
@pytest.mark.timeout_s(180)
@pytest.mark.parametrize("tenant", ["slow", "free"])
def test_callers_of_a_slow_tenant_do_not_wait_for_nothing(stack, tenant):
    """slow: four calls at a time, so that a queue grows; free: no limit, each call is too slow by itself."""
    stack.proxy.order("/set", delay_ms=0)
    with Callers(stack, f"/call/{tenant}/x", 12) as callers, Callers(stack, "/call/other/x", 2) as others:
        wait_until(lambda: callers.all_good(0, 50), 30, "fifty good answers")
        assert {answer.status_code for _, _, answer in callers.calls} == {200}, "a fast tenant sheds nobody"
        slow_since = time.monotonic()
        grow(stack.proxy, 0, SLOW_MS, 1500)
        wait_until(lambda: sum(a.status_code == 503 for _, _, a in callers.since(slow_since)) >= 20, 40, "twenty 503")
        grown = time.monotonic()
        time.sleep(4)  # an interval to be judged
        later = callers.since(grown)
        stack.proxy.order("/set", delay_ms=0)
        fast_since = time.monotonic()
        # What was sent before is still late.
        wait_until(lambda: callers.all_good(fast_since, 24), 20, "good answers again")
        recovered = time.monotonic() - fast_since
    shed = [(took, answer) for _, took, answer in later if answer.status_code == 503]
    for _, answer in shed:
        expect_problem(answer, 503, "overloaded")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert len(shed) >= 0.7 * len(later), "most are told at once"
    assert sorted(took for took, _ in shed)[len(shed) * 9 // 10] < 1, "at once, not after their deadline"
    assert {answer.status_code for _, _, answer in others.calls} == {200}, "nobody else notices"
    assert recovered < SLOW_MS / 1000 + 5, "what is in the proxy comes out, and then all is well"


@pytest.mark.slow
@pytest.mark.timeout_s(120)
def test_good_answers_ask_to_ease_off_while_the_load_rises(stack):
    """Before anybody is turned away: the wait grows over a quarter of sync_s."""
    stack.proxy.order("/set", delay_ms=20)
    with Callers(stack, "/call/ease/x", 4) as callers:
        wait_until(lambda: callers.all_good(0, 40), 30, "forty good answers")
        assert all("Sluice-Backoff" not in answer.headers for _, _, answer in callers.calls)
        grow(stack.proxy, 100, 1500, 200)
        found = wait_until(lambda: [a for _, _, a in list(callers.calls) if "Sluice-Backoff" in a.headers], 30, "Sluice-Backoff")
    assert {answer.status_code for answer in found} == {200}
    assert {int(answer.headers["Sluice-Backoff"]) for answer in found} <= {1, 2}
    stack.proxy.order("/set", delay_ms=0)
