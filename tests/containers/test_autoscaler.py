# SPDX-License-Identifier: Apache-2.0
"""Workers as containers, set by KEDA's own formula from /v1/scale: load from nothing to 300 jobs/s on a backend that takes a second,
and back (tests/scaling/play.py)."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scaling"))

from compose import Compose  # noqa: E402
from play import Play, Ramp, Stage, spec_of_manifest  # noqa: E402

CONCURRENCY = 64
SLOTS = 6 * CONCURRENCY
FASTER = 5  # than the manifest's times: the HPA looks every 3 s, and none are left after 24 s without work


class Containers(Stage):
    def __init__(self, compose):
        self.compose = compose
        self.url, self.key = f"http://{compose.address(compose.one('ingress'), 'front')}:8080", compose.vars["SLUICE_KEY"]

    def scale(self, n):
        self.compose.scale(n)

    def figure(self):
        answer = self.compose.ask("/v1/scale")
        return answer.json() if answer.status_code == 200 else None

    def receipts(self):
        return self.compose.ledger_lines()


def states(redis, jobs):
    """{state: count} of these jobs' records."""
    found = {}
    for k in range(0, len(jobs), 1000):
        pipe = redis.pipeline(transaction=False)
        for job in jobs[k:k + 1000]:
            tenant, _, name = job.rpartition(".")
            pipe.hget(f"{{{tenant}}}:j:{name}", "st")
        for state in pipe.execute():
            found[state] = found.get(state, 0) + 1
    return found


@pytest.mark.timeout_s(600)
def test_workers_follow_the_load_from_nothing_and_back(make_compose, tmp_path):
    config = {"tenants": {"sample": {"instances": [Compose.sample(concurrency=SLOTS)], "result_ttl_s": 3600}},
              "worker": {"concurrency": CONCURRENCY}}
    compose = make_compose(config, workers=0)
    ramp = Ramp(rate=float(os.environ.get("SLUICE_RAMP_RATE", "300")))
    play = Play(Containers(compose), spec_of_manifest(FASTER, most=8), ramp, tmp_path).run()
    print("\n" + play.table())
    workers = [row.workers for row in play.rows]
    before = [row.workers for row in play.rows if row.at < ramp.idle_s]
    assert set(before) == {0}, "somebody worked before there was any work"
    # 300 a second for a second each, 64 at a time: five, while they come as they should.
    assert max(workers) >= 4, play.table()
    assert workers[-1] == 0 and compose.containers("worker") == [], play.table()
    assert play.not_once() == {}, "the tenant did not get each accepted job exactly once"
    assert states(compose.redis, [s["job"] for s in play.sent]) == {"succeeded": len(play.sent)}
    # How often they turned is printed, not judged: on a machine that cannot keep the callers' rate, the load turns, too.
