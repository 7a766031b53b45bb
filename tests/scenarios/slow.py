# SPDX-License-Identifier: Apache-2.0
"""Situation E: a third party turns slow and recovers. A delay proxy before one tenant grows to its maximum and shrinks
again, while both tenants are called at a steady rate; the other tenant's callers must not notice."""
import threading
import time

from client import Request, percentile, send_steadily
from harness.load import config_of
from report import Report

# Fit answers of the slow tenant: its own; refused at once; its attempt timed out. A caller whose deadline is within the
# time that the breaker stays open is refused; one that may see the probes waits for them.
FIT = (200, 503, 502, 504)
TIGHT_S = 1
# A delay that a call bears: the proxy has recovered.
FIT_MS = TIGHT_S * 500


class Ramp(threading.Thread):
    """The proxy's growth and return, and when each happened."""

    def __init__(self, proxy, calm_s, top_ms, ramp_s, after_s):
        super().__init__(daemon=True)
        self.proxy, self.calm_s, self.top_ms, self.ramp_s, self.after_s = proxy, calm_s, top_ms, ramp_s, after_s
        self.begun = self.recovered = self.is_fit_since = self.ended = self.topped = None

    def run(self):
        time.sleep(self.calm_s)
        self.begun = time.monotonic()
        self.proxy.order("/set", delay_ms=0, max_ms=self.top_ms, ramp_ms_per_s=int(self.top_ms / self.ramp_s))
        top = 0
        while True:
            delay = self.proxy.stats()["delay_ms"]
            top = max(top, delay)
            if self.is_fit_since is None and delay < top / 2 and delay <= FIT_MS:
                self.is_fit_since = time.monotonic()
            if delay == 0 and top > 0:
                break
            time.sleep(0.05)
        self.recovered = time.monotonic()
        self.topped = top
        time.sleep(self.after_s)
        self.ended = time.monotonic()


def between(answers, start, end):
    return [a for a in answers if start <= a.begun < end]


def judge_slow(report, slow, ramp):
    refused = [a for a in slow if a.status == 503]
    unfit = sorted({a.status for a in slow} - set(FIT))
    hasty = [a for a in refused if not a.headers.get("retry-after", "").isdigit()]
    after = [a for a in slow if a.ended > ramp.is_fit_since]
    bad_after = [a.begun for a in after if a.status != 200]
    recovery = max(0, max(bad_after) - ramp.is_fit_since) if bad_after else 0
    report.must(not unfit, f"callers of the slow tenant were answered with {unfit}")
    report.must(not hasty, f"{len(hasty)} of {len(refused)} 503 had no Retry-After")
    report.must(refused, "nobody was refused with 503 while the tenant took too long")
    report.must(any(a.status == 200 for a in after), "the slow tenant's callers were not served again")
    report.figure("slow tenant: answered 200", sum(a.status == 200 for a in slow))
    report.figure("slow tenant: refused 503", len(refused))
    report.figure("slow tenant: 502 or 504", sum(a.status in (502, 504) for a in slow))
    report.figure("slow tenant: p50 until a 503", percentile([a.seconds for a in refused], 50) * 1000, "ms")
    report.figure("slow tenant: p99 until a 503", percentile([a.seconds for a in refused], 99) * 1000, "ms", ("<=", 100))
    report.figure("slow tenant: longest wait of a caller", max(a.seconds for a in slow), "s", ("<=", TIGHT_S + 3))
    report.figure("slow tenant: last call that failed, after recovery", recovery, "s", ("<=", 5))


def run(make_stack, small=False):
    calm_s, top_ms, ramp_s, after_s, per_s = (6, 6000, 6, 8, 20) if small else (20, 20000, 20, 15, 40)

    def config(stack):
        party = {"timeouts": {"first_byte_s": TIGHT_S, "total_s": TIGHT_S, "sync_s": TIGHT_S + 0.5},
                 "retry": {"max_attempts": 1}, "concurrency": 50,
                 "breaker": {"failure_ratio": 0.5, "minimum_calls": 10, "window_s": 5, "open_s": 3, "probes": 2}}
        slow = {"instances": [{"name": "slow-1", "url": f"http://127.0.0.1:{stack['proxy'].port}"}]}
        quick = {"instances": [{"name": "quick-1", "url": stack["quick-1"].url}]}
        return config_of(stack, {"slow": {**slow, **party}, "quick": {**quick, **party}})

    stack = make_stack(config, start=False)
    stack.add_tenant("quick-1")
    proxy = stack.add_proxy("proxy", stack.tenant.port)
    stack.start()
    ramp = Ramp(proxy, calm_s, top_ms, ramp_s, after_s)
    ramp.start()
    pairs = send_steadily(stack.port_base, lambda n: Request("GET", f"/call/{'slow' if n % 2 else 'quick'}/{n}?sleep_ms=5",
                                                             label=n % 2), 2 * per_s, lambda: ramp.ended is not None)
    slow = [a for request, a in pairs if request.label]
    quick = [a for request, a in pairs if not request.label]
    report = Report(f"E: a third party's delay grows to {top_ms / 1000:g} s and back")
    before = percentile([a.seconds for a in between(quick, ramp.begun - calm_s / 2, ramp.begun)], 99)
    during = percentile([a.seconds for a in between(quick, ramp.begun, ramp.recovered)], 99)
    other = [a.status for a in quick if a.status != 200]
    report.must(not other, f"{len(other)} calls of the other tenant were answered with {sorted(set(other))}")
    report.figure("the proxy's longest delay", ramp.topped / 1000, "s")
    report.figure("other tenant: p99 before", before * 1000, "ms")
    report.figure("other tenant: p99 while the first is slow", during * 1000, "ms")
    report.figure("other tenant: ratio", during / before, "", ("<=", 1.5))
    judge_slow(report, slow, ramp)
    return report
