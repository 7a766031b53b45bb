# SPDX-License-Identifier: Apache-2.0
"""Situation D: callers who wait for a carrier that takes long, 200 of them at a time. The same load three times: the
carrier holds its calls; it answers 202 and is polled; it answers 202 and posts the outcome itself."""
import sys
import time
from pathlib import Path

from client import Request, percentile, send_all
from harness import Process, free_port, new_session
from harness.load import config_of
from report import Report

POLL_S = 0.5
CARRIER = Path(__file__).resolve().parent / "carrier.py"


class CarrierProcess(Process):
    """See carrier.py."""

    def __init__(self, stack, mode, seconds):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._http = new_session(2)
        command = [sys.executable, CARRIER, "--port", self.port, "--mode", mode, "--seconds", seconds,
                   "--ingress", stack.ingress_url]
        super().__init__("carrier", command, stack.directory, is_ready=self.stats)
        self.was_killed = True  # it has no orderly end

    def stats(self):
        return self._http.get(self.url + "/stats", timeout=10).json()


def run(make_stack, mode, small=False):
    callers, count, seconds = (20, 100, 1) if small else (200, 2000, 10)
    ideal = count / callers * seconds
    per_round = POLL_S + 0.2
    wanted = {"blocking": ideal * 1.015, "polled": ideal + count / callers * per_round, "completing": ideal * 1.02}
    carrier = None

    def config(stack):
        offload = {} if mode == "blocking" else {"offload": {"enabled": True, "poll_s": POLL_S, "max_s": 300}}
        tenant = {"instances": [{"name": "carrier", "url": carrier.url}], **offload,
                  "timeouts": {"first_byte_s": 30, "total_s": 60, "sync_s": 90}}
        return config_of(stack, {"carrier": tenant}, worker={"concurrency": 1024})

    stack = make_stack(config, start=False)
    carrier = CarrierProcess(stack, mode, seconds)
    stack.processes["carrier"] = carrier
    stack.start()
    send_all(stack.port_base, [Request("POST", "/call/carrier/warm", b"{}")] * 2, 2)
    begun = time.monotonic()
    answers = send_all(stack.port_base, [Request("POST", f"/call/carrier/parcel/{n}", b"{}") for n in range(count)],
                       callers)
    took = time.monotonic() - begun
    stats = carrier.stats()
    carrier.kill()
    good = sum(a.status == 200 for a in answers)
    report = Report(f"D: {callers} callers, {count} calls of {seconds} s, {mode}")
    others = sorted({a.status for a in answers if a.status != 200})
    report.must(good == count, f"{count - good} of {count} calls were answered with {others}")
    report.must(stats["calls"] == count + 2, f"the carrier had {stats['calls'] - 2} calls for {count}")
    report.must(stats["peak"] <= callers, f"the carrier had {stats['peak']} calls at once, of {callers} callers")
    if mode == "completing":
        report.must(stats["refused"] == 0, f"{stats['refused']} completions were refused")
    report.figure("success", good / count * 100, "%", (">=", 100))
    report.figure("in all", took, "s", ("<=", round(wanted[mode], 2)))
    report.figure("ideal", ideal, "s")
    report.figure("rate", count / took, "calls/s")
    report.figure("slowest call", max(a.seconds for a in answers), "s")
    report.figure("p50 of a call", percentile([a.seconds for a in answers], 50), "s")
    report.figure("status polls", stats["polls"])
    return report


def run_blocking(make_stack, small=False):
    return run(make_stack, "blocking", small)


def run_polled(make_stack, small=False):
    return run(make_stack, "polled", small)


def run_completing(make_stack, small=False):
    return run(make_stack, "completing", small)
