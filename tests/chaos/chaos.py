# SPDX-License-Identifier: Apache-2.0
"""One chaos run: a world, its faults, its callers; then the checker's verdict, with its figures."""
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import checker
import plan
import reading
import world as w
from harness import ProcessFailed
from harness.contract import CONTRACT

HERE = Path(__file__).resolve().parent
SETTLE_S = 90  # the accept lease of 30 s, and what waits behind it
PATIENCE_S = 45  # how long callers with a key repeat after the load's end


def _load(world, seed, seconds, rate):
    ports = [str(world[name].port) for name in plan.INGRESSES]
    command = [sys.executable, HERE / "load.py", str(seed), str(seconds), str(rate), world.directory / "callers.jsonl",
               str(PATIENCE_S), *ports]
    return subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True)


def _collect(world, faults, cursors):
    """The history, see checker.py. Ends the daemons on the way."""
    history = {"answers": reading.read_answers(world.directory / "callers.jsonl"), "kills": faults.kills,
               "policies": w.POLICIES, "workers": len(plan.WORKERS), "rests": faults.rests,
               "limits": w.limits(),
               "schedules": {n: {"tenant": t, "step_ms": w.STEP_MS, "cursor_ms": cursors[n]}
                             for n, t in w.SCHEDULES.items()},
               "leases": world.redis.hgetall("{sluice}:w"),
               "queues": {n: row[:2] for n, row in world.queues().items()}}
    for name in (*plan.INGRESSES, *plan.WORKERS, *plan.DISPATCHERS):
        world.stop(name)
    history["receipts"] = world.ledger_lines()
    history["records"], history["results"] = reading.read_records(world)
    history["state"] = reading.read_state(world)
    history["shelf_copies"] = reading.read_shelf_queues(world)
    return history


def _figures(history, faults, load, settled_s):
    answers = history["answers"]

    def words(a):
        return a.get("problem") or a.get("why", "").split()[:1] and a["why"].split()[0] or str(a.get("status"))

    lines = ["faults:   " + text(Counter(f"{f.kind} {f.target}" for f in faults)),
             "requests: " + text(Counter(a["kind"] for a in answers)),
             "answers:  " + text(Counter(words(a) for a in answers)),
             "records:  " + text(Counter(r["st"] for r in history["records"].values())),
             f"receipts: {len(history['receipts'])}, of attempts after the first: "
             f"{sum((r['attempt'] or 1) > 1 for r in history['receipts'])}",
             f"load: {load}; settled in {settled_s:.1f} s"]
    return "\n".join(lines)


def text(counted):
    return ", ".join(f"{name} {n}" for name, n in sorted(counted.items(), key=lambda i: -i[1]))


def _report(world, found):
    """violations.json, and each job's lines of the daemons' logs beside it."""
    jobs = []
    for v in found[:200]:
        named = [v.get("job"), (v.get("answer") or {}).get("job"), *(j["job"] for j in v.get("jobs", []))]
        v["named"] = [j.partition(".")[2] for j in named if j]
        jobs += v["named"]
    lines = w.read_log_lines(world, set(jobs)) if jobs else {}
    for v in found[:200]:
        v["log"] = [line for name in v["named"] for line in lines[name]]
    (world.directory / "violations.json").write_text(json.dumps(found, indent=1))


def run(seed, seconds, rate, keep=False, say=print):
    """Gives the violations; the directory is kept when there are any."""
    directory = Path(tempfile.mkdtemp(prefix=f"sluice-chaos.{seed}."))
    world = w.World(directory)
    found = load = None
    try:
        world.start()
        world.warm_up()
        faults = w.Faults(world, plan.faults_of(seed, seconds))
        load = _load(world, seed, seconds, rate)
        faults.start()
        faults.wait()
        _bring_back(world)
        said, _ = load.communicate(timeout=seconds + PATIENCE_S + 120)
        assert load.returncode == 0, "the load client failed"
        cursors = w.end_schedules(world)
        settled_s, left = reading.settle(world, SETTLE_S)
        (directory / "faults.log").write_text("\n".join(sorted(faults.lines)) + "\n")
        history = _collect(world, faults, cursors)
        (directory / "history.json").write_text(json.dumps(history))
        found = checker.check(history)
        if left:
            found.insert(0, checker.violation("it_settles", f"not within {SETTLE_S} s: {left}"))
        found += [checker.violation("faults_are_done", e) for e in faults.errors]
        found += [checker.violation("the_contract", str(v)) for v in CONTRACT.take_violations()]
        say(_figures(history, faults.faults, " ".join(said.split("\n")), settled_s), flush=True)
        say(f"seed {seed}: {len(found)} violations", flush=True)
        if found:
            _report(world, found)
            for name, count in Counter((v["rule"], v["what"]) for v in found).most_common(30):
                say(f"  {count:5d}  {name[0]}: {name[1]}")
            say(f"  evidence: {directory}", flush=True)
    finally:
        if load is not None and load.poll() is None:
            load.kill()
        _close(world, found != [] or keep, say)
    return found


def _bring_back(world):
    """Everything runs again."""
    world.start("rabbitmq")
    for name in (*plan.INGRESSES, *plan.WORKERS, *plan.DISPATCHERS, *plan.INSTANCES):
        world[name].start(wait=False)
    end = time.monotonic() + 60
    for name in (*plan.INGRESSES, *plan.WORKERS, *plan.DISPATCHERS):
        world[name].wait_ready(max(1, end - time.monotonic()))


def _close(world, is_failed, say):
    try:
        world.close(is_failed)
    except ProcessFailed as error:
        say(f"at the end: {error}", flush=True)
