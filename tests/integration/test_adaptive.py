# SPDX-License-Identifier: Apache-2.0
"""The adaptive limit finds the limit of a tenant that nobody knows, within 20 %, and follows when it moves: against the
job scripts on a real Redis, with a simulated tenant that serves so many calls at a time and keeps the others waiting, or
refuses them. The time is real, the calls are events: their latencies are what the tenant makes of its load."""
import heapq
import random
import time

import pytest

from test_moods import Moods
from test_walk import store  # noqa: F401

pytestmark = pytest.mark.slow


class Tenant:
    """Serves `limit` calls at a time, `service_ms` each (and a little more or less)."""

    def __init__(self, limit, service_ms, refuses):
        self.limit, self.service_ms, self.refuses = limit, service_ms, refuses
        self.running, self.queue, self.random = [], [], random.Random(7)

    def call(self, name, now):
        """Gives the instant of its end, and whether it is served, where that is known at once."""
        self.running = [end for end in self.running if end > now]
        service = self.service_ms * self.random.uniform(0.9, 1.1)
        if self.refuses and len(self.running) >= self.limit:
            return now + 1, False
        if len(self.running) >= self.limit:  # it is served when so many before it have ended
            now = sorted(self.running)[len(self.running) - self.limit]
        end = now + service
        self.running.append(end)
        return end, True


class Simulation:
    """Workers that always have work: as many calls as claims are given out."""

    def __init__(self, port, tenant, adaptive):
        self.scripts = Moods(port)
        self.scripts.pool("a", concurrency=0)
        self.scripts.options = {"adaptive": adaptive}
        self.tenant, self.ends, self.n, self.t0 = tenant, [], 0, time.monotonic()
        self.now = 0.0  # the simulation's; it never runs ahead of the clock, which stamps the claims
        self.limits = []
        self.refused = self.served = 0

    def claim_all(self):
        while True:
            name = f"j{self.n}"
            self.scripts.redis.hset(f"{{t}}:j:{name}", mapping={"st": "queued", "cl": "sync", "ca": "1"})
            if self.scripts.claim(name, token=name)[0] != "go":
                return
            self.n += 1
            end, is_served = self.tenant.call(name, self.now)
            heapq.heappush(self.ends, (end, self.now, name, is_served))

    def end_next(self):
        end, began, name, is_served = heapq.heappop(self.ends)
        while (time.monotonic() - self.t0) * 1000 < end:
            time.sleep(0.0005)
        self.now = end
        load = "good" if is_served else "busy"
        self.served += is_served
        self.refused += not is_served
        self.scripts.end(name, "none", load=load, took=round(end - began))
        self.scripts.redis.delete(f"{{t}}:j:{name}", f"{{t}}:r:{name}")
        self.limits.append((self.now, int(float(self.scripts.field("ad:a").split()[0]))))

    def run(self, ms):
        until = self.now + ms
        while self.now < until:
            self.claim_all()
            self.end_next()
        return self

    def mean_limit(self, last_ms):
        """Over the time, of the limit that held."""
        since, total, weight = self.now - last_ms, 0.0, 0.0
        for (at, limit), (following, _) in zip(self.limits, self.limits[1:]):
            if at >= since:
                total, weight = total + limit * (following - at), weight + following - at
        return total / weight


@pytest.mark.timeout_s(180)
@pytest.mark.parametrize("refuses", [False, True], ids=["queues", "refuses"])
def test_the_limit_is_found_and_followed(store, refuses):  # noqa: F811
    tenant = Tenant(12, 30, refuses)
    simulation = Simulation(store, tenant, "1 200")
    found = []
    for limit, ms in ((12, 5000), (24, 5000), (6, 5000)):
        tenant.limit = limit
        found.append((limit, simulation.run(ms).mean_limit(2500)))
    assert all(abs(mean - limit) <= 0.2 * limit for limit, mean in found), found
    assert simulation.refused <= simulation.served * 0.1, (simulation.refused, simulation.served)


@pytest.mark.timeout_s(120)
def test_a_tenant_that_became_slower_for_good_is_used_again(store):  # noqa: F811
    """Its calls take twice as long: at first that looks like a queue."""
    tenant = Tenant(8, 15, False)
    simulation = Simulation(store, tenant, "2 100").run(3000)
    tenant.service_ms = 30
    assert simulation.run(14000).mean_limit(2000) >= 0.8 * 8
