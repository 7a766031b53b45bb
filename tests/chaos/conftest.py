# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the chaos suite: those of the integration suite, and the seams. $SLUICE_BIN names binaries of the preset
`faults` (default: build/faults/bin)."""
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("SLUICE_BIN", str(ROOT / "build/faults/bin"))
sys.path.insert(0, str(ROOT / "tests/integration"))
sys.path.insert(0, str(ROOT / "tests/chaos"))

from harness import fixtures  # noqa: E402
from harness.fixtures import *  # noqa: E402, F401, F403
from points import seam  # noqa: E402, F401


def pytest_configure(config):
    fixtures.pytest_configure(config)
    config.addinivalue_line("markers", "point(name): shows this row of points.yaml")


def pytest_collection_modifyitems(config, items):
    """Those marked long run only where -m or -k names some, and in the suite soak (-m long)."""
    if not config.option.markexpr and not config.option.keyword:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]
