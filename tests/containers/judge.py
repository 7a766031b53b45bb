# SPDX-License-Identifier: Apache-2.0
"""A load on a composition, and what became of it: the chaos suite's checker, and who was in doubt and why."""
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import checker
import mix
import reading

HERE = Path(__file__).resolve().parent
PATIENCE_S = 45  # how long callers with a key repeat after the load's end
SETTLE_S = 90


class Load:
    """rate requests a second for so many seconds, from another process."""

    def __init__(self, compose, seed, seconds, rate):
        self.compose = compose
        self.seconds = seconds
        self.log = compose.directory / "callers.jsonl"
        # Not by the published port: the engine's proxy has fewer connections than an ingress (docs/containers-compose.md).
        words = [sys.executable, HERE / "callers.py", seed, seconds, rate, self.log, PATIENCE_S,
                 compose.address(compose.one("ingress"), "front"), 8080]
        self._process = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, text=True,
                                         env={**compose.env, "SLUICE_KEY": compose.vars["SLUICE_KEY"]})

    def wait(self):
        """What it says of itself: how late it was, how much it sent."""
        said, _ = self._process.communicate(timeout=self.seconds + PATIENCE_S + 120)
        assert self._process.returncode == 0, "the load client failed"
        return {k: v for line in said.splitlines() for k, v in json.loads(line).items()}

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def history_of(compose, workers, kills=()):
    """When all is at rest, and all daemons still run. See checker.py. Stops them on the way."""
    settled_s, left = reading.settle(compose, SETTLE_S)
    history = {"answers": reading.read_answers(compose.directory / "callers.jsonl"), "kills": list(kills),
               "policies": mix.POLICIES, "workers": workers, "rests": [], "limits": {}, "schedules": {},
               "leases": compose.leases(), "queues": {n: row[:2] for n, row in compose.queues().items()},
               "settled_s": settled_s, "left": left}
    for service in ("ingress", "worker", "dispatcher"):
        compose.docker("stop", *compose.containers(service))
    history["receipts"] = compose.ledger_lines()
    history["records"], history["results"] = reading.read_records(compose)
    history["state"] = reading.read_state(compose)
    history["shelf_copies"] = reading.read_shelf_queues(compose)
    (compose.directory / "history.json").write_text(json.dumps(history))
    return history


def in_doubt(history):
    """[(job, the attempt's number, its row, the record)] of every attempt that was ever in doubt."""
    return [(job, number, row, record) for job, record in history["records"].items()
            for number, row in checker.rows_of(record).items()
            if row.status == "" and row.error not in ("", *checker.UNSENT)]


def figures(history, load):
    def words(a):
        return a.get("problem") or (a["why"].split() or ["?"])[0] if a.get("problem") or a.get("why") else str(a.get("status"))

    rows = in_doubt(history)
    return "\n".join([
        f"load      {load}",
        f"answers   {text(Counter(words(a) for a in history['answers']))}",
        f"records   {text(Counter(r['st'] for r in history['records'].values()))}",
        f"receipts  {len(history['receipts'])}, of attempts after the first {sum((r['attempt'] or 1) > 1 for r in history['receipts'])}",
        f"in doubt  {text(Counter(f'{job.partition(chr(46))[0]}/{row.error}' for job, _, row, _ in rows)) or 'none'}",
        f"settled   {history['settled_s']:.1f} s after the load"])


def text(counted):
    return ", ".join(f"{name} {n}" for name, n in sorted(counted.items(), key=lambda i: -i[1]))


def violations(compose, history):
    """Of the checker's rules; the evidence is in violations.json."""
    found = checker.check(history)
    if history["left"]:
        found.insert(0, checker.violation("it_settles", f"not within {SETTLE_S} s: {history['left']}"))
    if found:
        (compose.directory / "violations.json").write_text(json.dumps(found[:300], indent=1))
    return Counter(f"{v['rule']}: {v['what']}" for v in found)
