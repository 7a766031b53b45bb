# SPDX-License-Identifier: Apache-2.0
"""The protocol, checked by spin: no invariant can be broken, within the bounds given here; and with one rule taken out the
very invariant that needs it is broken. docs/protocol.md, "The model", says what is modelled and what is not."""
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
# Megabytes that a search may take; one that runs out is not a proof.
MEMORY = 2000
AT_A_TIME = 2

# Model, and the bounds of a run that must be complete and find nothing.
WHOLE = [
    ("protocol", {"HOLDS": 1, "FAULTS": 2, "OPERATOR": 1}),
    ("protocol", {"HOLDS": 0, "FAULTS": 2, "OPERATOR": 1}),
    ("protocol", {"HOLDS": 1, "FAULTS": 3, "OPERATOR": 0}),
    ("protocol", {"HOLDS": 0, "FAULTS": 3, "OPERATOR": 0}),
    ("keys", {"FAULTS": 3}),
    ("deadlines", {"FAULTS": 3}),
    ("slots", {"FAULTS": 3}),
    ("schedule", {"FAULTS": 2}),
    ("outbox", {"FAULTS": 3}),
    ("memory", {"FAULTS": 3}),
]

HOLD = {"HOLDS": 1, "FAULTS": 2, "OPERATOR": 1}
RETRY = {"HOLDS": 0, "FAULTS": 2, "OPERATOR": 1}

# Rule taken out, model, bounds, the invariant that must be reported broken.
BROKEN = [
    ("record_before_publish", "keys", {}, "every_message_has_a_record"),
    ("confirm_before_202", "keys", {}, "accepted_is_durable"),
    ("mark_before_202", "keys", {}, "accepted_stands"),
    ("undo_by_compare", "keys", {}, "accepted_stands"),
    ("sweep_undoes_accepts", "keys", {}, "nothing_abandoned"),
    ("key_until_end", "keys", {}, "one_job_per_key"),
    ("takeover_by_lease", "keys", {}, "accept_lease_is_kept"),
    ("takeover_undoes_first", "keys", {}, "one_job_per_key"),
    ("claim_same_token", "protocol", HOLD, "holder_runs_it"),
    ("fence", "protocol", RETRY, "no_stale_write"),
    ("complete_once", "protocol", HOLD, "recorded_once"),
    ("outcome_before_ack", "protocol", HOLD, "truth_is_kept"),
    ("no_silent_repeat", "protocol", HOLD, "no_silent_effect"),
    ("late_answer_settles", "protocol", HOLD, "truth_is_kept"),
    ("dead_cannot_claim", "protocol", HOLD, "given_to_the_living"),
    ("death_is_a_mark", "protocol", RETRY, "one_attempt_at_a_time"),
    ("lease_before_send", "protocol", RETRY, "one_attempt_at_a_time"),
    ("waiting_before_publish", "protocol", HOLD, "truth_is_kept"),
    ("shelf_copy_first", "protocol", HOLD, "shelved_is_durable"),
    ("shelve_by_compare", "protocol", HOLD, "final_is_final"),
    ("shelve_looks_at_holder", "protocol", {"HOLDS": 1, "FAULTS": 3, "OPERATOR": 0}, "one_attempt_at_a_time"),
    ("dead_has_its_copy", "protocol", HOLD, "shelved_is_durable"),
    ("park_confirm_before_ack", "protocol", HOLD, "somebody_will_wake_it"),
    ("outbox_until_confirmed", "protocol", HOLD, "somebody_will_wake_it"),
    ("outbox_until_confirmed", "outbox", {}, "somebody_will_wake_it"),
    ("outbox_until_confirmed", "schedule", {}, "somebody_will_wake_it"),
    ("outbox_done_by_compare", "outbox", {}, "somebody_will_wake_it"),
    ("shelf_keeps_copy", "outbox", {}, "entry_has_its_request"),
    ("cursor_with_job", "schedule", {}, "no_instant_missed"),
    ("cursor_by_compare", "schedule", {}, "an_instant_once"),
    ("expire_unclaimed_only", "deadlines", {}, "started_goes_on"),
    ("given_202_lifts_deadline", "deadlines", {}, "promised_stands"),
    ("no_202_of_what_ended", "deadlines", {}, "promised_stands"),
    ("slot_outlives_lease", "slots", {}, "limit_holds"),
    ("slot_freed_once", "slots", {}, "count_is_exact"),
    ("requeue_marks_attempted", "memory", {}, "no_silent_effect"),
]


def name_of(case):
    return "-".join([case[0], *(f"{k}{v}" for k, v in case[1].items())])


def search(where, model, bounds, *extra):
    """Builds and runs the verifier; its report."""
    flags = [f"-D{name}={value}" for name, value in bounds.items()] + list(extra)
    subprocess.run(["spin", "-a", *flags, HERE / f"{model}.pml"], cwd=where, check=True, capture_output=True, text=True)
    subprocess.run(["gcc", "-O1", "-w", "-DSAFETY", f"-DMEMLIM={MEMORY}", "-o", "pan", "pan.c"], cwd=where, check=True)
    done = subprocess.run(["./pan", "-m100000", "-w23"], cwd=where, capture_output=True, text=True, timeout=900)
    return done.stdout


def is_complete(report):
    return "Search not completed" not in report and "max search depth" not in report and "error:" not in report


def found(report):
    errors = re.search(r"errors: (\d+)", report)
    assert errors, report
    return int(errors[1])


@pytest.fixture(scope="session")
def reports(request, tmp_path_factory):
    """The searches of all the tests that were chosen, begun at once, some at a time; by the test's name."""
    pool = ThreadPoolExecutor(AT_A_TIME)
    begun = {}
    for item in request.session.items:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        if "bounds" in given:
            extra = [f"-DBREAK_{given['rule']}"] if "rule" in given else []
            begun[item.nodeid] = pool.submit(search, tmp_path_factory.mktemp("search"), given["model"], given["bounds"], *extra)
    yield begun
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("model, bounds", WHOLE, ids=map(name_of, WHOLE))
def test_no_invariant_can_be_broken(request, reports, model, bounds):
    report = reports[request.node.nodeid].result()
    print(model, bounds, *re.findall(r"\S+ states, stored|depth reached \d+|elapsed time \S+ seconds|\S+\s+total actual", report))
    assert found(report) == 0, report
    assert is_complete(report), report


@pytest.mark.parametrize("rule, model, bounds, invariant", BROKEN, ids=[f"{c[0]}-{c[1]}" for c in BROKEN])
def test_without_the_rule_its_invariant_breaks(request, reports, rule, model, bounds, invariant):
    assert f"BREAK_{rule}\n" in (HERE / f"{model}.pml").read_text(), "the model knows no such rule"
    report = reports[request.node.nodeid].result()
    assert found(report) == 1, report
    assert f"assertion violated {invariant} " in report, report


def test_every_rule_of_the_models_is_taken_out():
    known = {(rule, model) for rule, model, _, _ in BROKEN}
    for path in sorted(HERE.glob("*.pml")):
        for rule in re.findall(r"BREAK_(\w+)", path.read_text()):
            assert (rule, path.stem) in known, f"{path.name}: nobody takes out {rule}"
