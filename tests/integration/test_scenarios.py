# SPDX-License-Identifier: Apache-2.0
"""The situations A to E on a smaller scale: tests/scenarios/run measures them, here their counts, limits and orders are
judged."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scenarios"))

import scenarios  # noqa: E402

ALL = [(name, function) for name in "abcde" for function in scenarios.BY_NAME[name]]

pytestmark = [pytest.mark.slow, pytest.mark.timeout_s(300)]


@pytest.mark.parametrize("function", [f for _, f in ALL], ids=[f"{n}-{f.__module__}-{f.__name__}" for n, f in ALL])
def test_no_condition_of_the_scenario_is_broken(make_stack, function):
    report = function(make_stack, small=True)
    assert report.figures and report.broken == []
