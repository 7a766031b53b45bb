# SPDX-License-Identifier: Apache-2.0
"""Every rule of rules.yaml, taken out of the running product (SLUICE_BREAK): the test that is named there passes with the
rule, and without it fails on its own assertion, whose message contains what the entry says. Needs binaries of the preset
`faults`."""
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))
from harness.fixtures import shared_broker  # noqa: E402, F401

ENTRIES = yaml.safe_load((ROOT / "tests/mutants/rules.yaml").read_text())
FOLDERS = ("common", "ingress", "workers", "dispatcher")
BIN = Path(os.environ.get("SLUICE_BIN", ROOT / "build/faults/bin")).resolve()
PATIENCE_S = 300  # and a minute for each test of a session


def rules_in_code():
    """{rule: {file, …}}, of the lines that can be left out."""
    found = {}
    for folder in FOLDERS:
        for path in [*(ROOT / folder).rglob("*.c"), *(ROOT / folder).rglob("*.lua")]:
            pattern = r"\bRULE\((\w+)\)" if path.suffix == ".c" else r"-- BREAK:(\w+)$"
            for rule in re.findall(pattern, path.read_text(), re.M):
                found.setdefault(rule, set()).add(str(path.relative_to(ROOT)))
    return found


def case_of(node):
    """(module, test) of a node id, without its parameters: one entry may name all of a test's cases."""
    path, _, name = node.partition("::")
    return Path(path).stem, name


def run_tests(nodes, junit, broker, broken=""):
    """Runs these tests in a session of their own; {(module, test): [(kind, message), …]}, an empty list for one that passed."""
    environment = {**os.environ, "SLUICE_BIN": str(BIN), "SLUICE_BREAK": broken, "PYTHONDONTWRITEBYTECODE": "1",
                   "SLUICE_TEST_BROKER": f"{broker.port_base} {broker.parts.directory}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", str(junit), *nodes],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = process.communicate(timeout=PATIENCE_S + 60 * len(nodes))[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # it ends what it started
        said = process.communicate()[0]
    assert process.returncode in (0, 1), f"pytest ended with {process.returncode}\n{said[-3000:]}"
    found = {}
    for case in xml.parse(junit).iter("testcase"):
        name = case.get("name")
        module = case.get("classname").rpartition(".")[2]
        troubles = [(child.tag, child.get("message") or "") for child in case
                    if child.tag in ("failure", "error", "skipped")]
        for key in {(module, name), (module, name.partition("[")[0])}:
            found.setdefault(key, []).extend(troubles)
    return found


@pytest.fixture(scope="session")
def with_rules(request, tmp_path_factory, shared_broker):  # noqa: F811
    """What became of all tests that this session needs, nothing taken out; each folder's are run at once."""
    nodes = {item.callspec.params["entry"]["test"] for item in request.session.items
             if "entry" in getattr(getattr(item, "callspec", None), "params", {})}
    folders = {node.rpartition("/")[0] for node in nodes}
    found = {}
    for folder in sorted(folders):
        found |= run_tests(sorted(n for n in nodes if n.rpartition("/")[0] == folder),
                           tmp_path_factory.mktemp("with") / "junit.xml", shared_broker)
    return found


def name_of(entry):
    return f"{entry['rule']}-{case_of(entry['test'])[1]}"


def test_each_rule_in_the_code_is_listed():
    """And each that is listed is where it is said to be."""
    there = rules_in_code()
    listed = {}
    for entry in ENTRIES:
        assert set(entry) == {"rule", "invariant", "where", "test", "says"}, entry
        assert entry["where"] in there.get(entry["rule"], ()), f"{entry['rule']} is not in {entry['where']}"
        listed.setdefault(entry["rule"], set()).add(entry["where"])
    assert sorted(set(there) - set(listed)) == []


def test_the_models_rules_are_the_codes():
    """By name, so that what the model says of a rule is said of something that is there."""
    models = {rule for path in (ROOT / "tests/model").glob("*.pml") for rule in re.findall(r"\bBREAK_(\w+)", path.read_text())}
    assert models and sorted(models - set(rules_in_code())) == []


def test_the_binaries_can_break_rules():
    assert b"SLUICE_BREAK" in (BIN / "sluice-worker").read_bytes(), f"{BIN}: not of the preset `faults`"


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_a_rule_taken_out_is_noticed(entry, with_rules, shared_broker, tmp_path):  # noqa: F811
    case = case_of(entry["test"])
    assert with_rules.get(case) == [], f"{entry['test']} does not pass with the rule in place: {with_rules.get(case)}"
    without = run_tests([entry["test"]], tmp_path / "junit.xml", shared_broker, entry["rule"]).get(case)
    assert without, f"{entry['test']} passes without {entry['rule']}"
    # On its assertion: not in its setup, and not by running out of time. (What is left behind may fail its teardown, too.)
    failures = [message for kind, message in without if kind == "failure"]
    others = [message for kind, message in without if kind != "failure" and not message.startswith("failed on teardown")]
    assert failures and not others, without
    assert any(entry["says"] in message for message in failures), without
    assert not any("TestTimeout" in message for message in failures), without
