# SPDX-License-Identifier: Apache-2.0
"""The autoscaler's scenario: load from nothing to RATE and back, workers set by KEDA's own formula (keda.py) from /v1/scale, and what
came of it. Whoever plays it gives what is different between containers and processes: a Stage."""
import bisect
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from keda import Autoscaler, Spec

HERE = Path(__file__).resolve().parent
MANIFEST = HERE.parents[1] / "deploy" / "kubernetes" / "worker-scaledobject.yaml"


def spec_of_manifest(faster, most):
    """That of deploy/kubernetes, in less time."""
    [scaled] = [d for d in yaml.safe_load_all(MANIFEST.read_text()) if d["kind"] == "ScaledObject"]
    return Spec.of({**scaled["spec"], "maxReplicaCount": most}).faster(faster)


@dataclass
class Ramp:
    """Jobs a second: nothing for idle_s, then up, on and down."""

    rate: float = 300
    idle_s: float = 4
    rise_s: float = 10
    stay_s: float = 20
    fall_s: float = 10
    tenant: str = "sample"
    request: str = "/job?sleep_ms=1000"


@dataclass
class Row:
    at: float
    queued: int = None
    running: int = None
    desired: int = None
    workers: int = 0
    begun: list = field(default_factory=list)  # how long each that a tenant got in this interval had waited, in s


class Stage:
    """What is played on. To be given: url, scale(n), figure(), receipts()."""

    url = ""  # of the ingress
    key = ""

    def scale(self, n):
        """Sets the number of workers; may take its time."""
        raise NotImplementedError

    def figure(self):
        """/v1/scale as a dict; None when there is none."""
        raise NotImplementedError

    def receipts(self):
        """The tenant's ledger."""
        raise NotImplementedError


class Setter:
    """Sets workers in a thread: the autoscaler goes on looking meanwhile, and the newest number counts."""

    def __init__(self, stage):
        self.stage = stage
        self.wanted = self.set = 0
        self.error = None
        self._changed = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __call__(self, n):
        with self._changed:
            self.wanted = n
            self._changed.notify()

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_over or self.wanted != self.set)
                if self.wanted == self.set:
                    return
                n = self.wanted
            try:
                self.stage.scale(n)
            except Exception as error:  # judged by whoever reads it
                self.error = error
                return
            self.set = n

    def close(self):
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join(300)


class Play:
    def __init__(self, stage, spec, ramp, directory, patience_s=90, every_s=1.0):
        self.stage, self.spec, self.ramp = stage, spec, ramp
        self.log = Path(directory) / "ramp.jsonl"
        self.patience_s, self.every_s = patience_s, every_s
        self.rows = []
        self.sent = []  # of the log
        self.receipts = []
        self.callers_said = {}

    def run(self):
        """Plays it to the end: until all is done and no worker is left, at most patience_s after the load's end."""
        autoscaler, set_workers = Autoscaler(self.spec), Setter(self.stage)
        begun, wall_ms = time.monotonic(), time.time() * 1000
        callers, ends_at = None, None
        try:
            while True:
                now = time.monotonic() - begun
                if callers is None and now >= self.ramp.idle_s:
                    callers = self._start_callers()
                figure = self.stage.figure()
                workers = autoscaler.step(now, None if figure is None else figure["desired_workers"], set_workers.wanted)
                if workers != set_workers.wanted:
                    set_workers(workers)
                self._note(now, figure, workers)
                if callers is not None and callers.poll() is not None:
                    ends_at = ends_at or now
                    is_done = figure is not None and figure["queued"] + figure["running"] == 0
                    if (is_done and workers == 0 and set_workers.set == 0) or now > ends_at + self.patience_s:
                        break
                if set_workers.error is not None:
                    raise set_workers.error
                time.sleep(max(0.0, begun + math.floor(now / self.every_s + 1) * self.every_s - time.monotonic()))
        finally:
            set_workers.close()
            if callers is not None:
                self._end_callers(callers)
        self._read(wall_ms)
        return self

    def _start_callers(self):
        r = self.ramp
        words = [self.stage.url, r.tenant, r.request, r.rise_s, r.stay_s, r.fall_s, r.rate, self.log]
        return subprocess.Popen([sys.executable, HERE / "callers.py", *map(str, words)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True, env={**os.environ, "SLUICE_KEY": self.stage.key})

    def _end_callers(self, callers):
        if callers.poll() is None:
            callers.terminate()
        said = callers.communicate(timeout=30)[0]
        assert callers.returncode == 0, f"the callers ended with {callers.returncode}: {said}"
        self.callers_said = json.loads(said)

    def _note(self, now, figure, workers):
        row = Row(now, workers=workers)
        if figure is not None:
            row.queued, row.running, row.desired = figure["queued"], figure["running"], figure["desired_workers"]
        self.rows.append(row)

    def _read(self, wall_ms):
        """What was accepted, what the tenant got, and how long that had waited."""
        self.sent = [json.loads(line) for line in self.log.read_text().splitlines()]
        self.receipts = [r for r in self.stage.receipts() if r["path"].startswith(self.ramp.request.partition("?")[0] + "/")]
        accepted = {s["job"]: s["at"] for s in self.sent}
        starts = [row.at for row in self.rows]
        for r in self.receipts:
            if r["job"] not in accepted:
                continue
            k = bisect.bisect_right(starts, (r["time"] - wall_ms) / 1000) - 1
            self.rows[max(0, k)].begun.append(max(0.0, (r["time"] - accepted[r["job"]]) / 1000))

    # --- what came of it ---

    def delays(self):
        return sorted(d for row in self.rows for d in row.begun)

    def not_once(self):
        """{job: receipts} of all that the tenant did not get exactly once."""
        got = Counter(r["job"] for r in self.receipts)
        return {s["job"]: got[s["job"]] for s in self.sent if got[s["job"]] != 1}

    def flaps(self):
        """How often the number of workers changed its direction."""
        numbers = [row.workers for row in self.rows]
        turns = [b - a for a, b in zip(numbers, numbers[1:]) if b != a]
        return sum(1 for a, b in zip(turns, turns[1:]) if (a > 0) != (b > 0))

    def table(self, every=3):
        lines = [f"{'time':>6} {'queued':>7} {'running':>8} {'desired':>8} {'workers':>8} {'delay p50':>10} {'p99':>8}"]
        for k in range(0, len(self.rows), every):
            row = self.rows[k]
            begun = sorted(d for r in self.rows[k:k + every] for d in r.begun)
            said = [f"{v:>{w}}" if v is not None else " " * (w - 1) + "-" for v, w in
                    ((row.queued, 7), (row.running, 8), (row.desired, 8), (row.workers, 8))]
            waits = (f"{at(begun, 0.5):>8.2f} s {at(begun, 0.99):>6.2f} s") if begun else f"{'-':>10} {'-':>8}"
            lines.append(f"{row.at:>4.0f} s {' '.join(said)} {waits}")
        all_of = self.delays()
        lines.append(f"{len(self.sent)} jobs accepted, {len(self.receipts)} calls of the tenant, at most "
                     f"{max(r.workers for r in self.rows)} workers, {self.flaps()} turns; queueing delay: median "
                     f"{at(all_of, 0.5):.2f} s, 99 % {at(all_of, 0.99):.2f} s, most {at(all_of, 1):.2f} s; "
                     f"callers: {self.callers_said}")
        return "\n".join(lines)


def at(ordered, part):
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0
