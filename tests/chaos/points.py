# SPDX-License-Identifier: Apache-2.0
"""The crash points (points.yaml): read, tied to their tests, and armed in a running process.

A test of a row is marked @point("its name") and takes the fixture `seam`, which knows what the row arms."""
import os
from pathlib import Path

import pytest
import yaml

from harness.fixtures import FAILED
from harness.waiting import wait_until

HERE = Path(__file__).resolve().parent
ROWS = yaml.safe_load((HERE / "points.yaml").read_text())
BY_NAME = {row["name"]: row for row in ROWS}


def point(name):
    """Marks the test that shows this row."""
    return pytest.mark.point(name)


def seams_of(row):
    """[(point, action)] of a row."""
    entries = [entry.split(":") for entry in row.get("seam", "").split(",") if entry]
    return [(entry[0], entry[1]) for entry in entries]


class Seam:
    """Arms a row's seam in a process of the stack, and knows whether it was hit."""

    def __init__(self, row, directory):
        self.row = row
        self.log = Path(directory) / "faults.log"
        self.wanted = seams_of(row)

    def env(self, nth=None):
        """nth: at the n-th time that the (only) point is passed; "1+": from the first on."""
        text = self.row["seam"] if nth is None else f"{self.row['seam']}:{nth}"
        return {"SLUICE_FAULT": text, "SLUICE_FAULT_LOG": str(self.log)}

    def arm(self, stack, name, nth=None, wait=True):
        """Starts the process anew with the seam armed."""
        process = stack[name]
        process.env.update(self.env(nth))
        process.restart(wait=wait)
        return process

    def disarm(self, stack, name):
        """From its next start on."""
        stack[name].env.pop("SLUICE_FAULT", None)

    def hits(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [tuple(line.split()) for line in lines]

    def wait_hit(self, entry=None, timeout=30):
        """Until the seam (or one "point action" of it) was hit."""
        wanted = [entry] if entry else self.wanted
        wait_until(lambda: all(one in self.hits() for one in wanted), timeout, f"{wanted} hit")

    def wait_killed(self, stack, name, timeout=30):
        """Until the process was killed at its seam; the seam is disarmed."""
        self.wait_hit(timeout=timeout)
        stack[name].popen.wait(timeout)
        stack[name].was_killed = True
        self.disarm(stack, name)

    def check(self):
        """A fault test that never met its fault has shown nothing."""
        missed = [entry for entry in self.wanted if entry not in self.hits()]
        assert not missed, f"{self.row['name']}: never hit: {missed}"


@pytest.fixture
def seam(request, tmp_path):
    name = request.node.get_closest_marker("point").args[0]
    armed = Seam(BY_NAME[name], tmp_path)
    yield armed
    if not request.node.stash.get(FAILED, False):
        armed.check()


def has_faults():
    """Whether the binaries carry seams."""
    return b"SLUICE_FAULT_LOG" in (Path(os.environ["SLUICE_BIN"]) / "sluice-worker").read_bytes()
