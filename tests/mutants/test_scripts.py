# SPDX-License-Identifier: Apache-2.0
"""Rules taken out of the job scripts, one at a time: the random walk must notice. A suite of its own (tests/run mutants): how many
steps it takes is a matter of chance."""
import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))
from test_walk import LUA, store, walk  # noqa: E402, F401


@pytest.mark.parametrize("file, rule, without", [
    ("_common.lua", r".*BREAK:sent_keeps_its_key\n", ""),
    ("complete.lua", r".*BREAK:complete_once\n", ""),
    ("resolve.lua", r"if r\.sh ~= '1' and redis", "if redis"),
    ("drop.lua", r".*BREAK:in_doubt_is_not_dropped\n", ""),
    ("dead.lua", r"local done = run_again\(name, read\(name\), now, ARGV\[13\]\)", "local done = {'queued'}"),
    ("sweep.lua", r".*BREAK:lost_is_in_doubt\n", ""),
])
def test_a_walk_sees_a_rule_taken_out(store, tmp_path, file, rule, without):
    broken = tmp_path / "lua"
    shutil.copytree(LUA, broken)
    text = (broken / file).read_text()
    mutant, n = re.subn(rule, without, text)
    assert n == 1
    (broken / file).write_text(mutant)
    for seed in [str(n) for n in range(2, 22)]:
        done = walk(store, broken, seed)
        if done.returncode == 1 and "VIOLATION" in done.stdout:
            return
    pytest.fail("no seed found it: " + done.stdout[-500:])
