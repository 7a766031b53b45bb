# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the containers' suite: those of the integration suite's time bounds, and compositions. $DOCKER_HOST names the
engine; tests/run containers starts one where none answers."""
import sys
import tempfile
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "integration"), str(TESTS / "chaos"), str(TESTS / "containers")]

from compose import Compose  # noqa: E402
from harness import fixtures  # noqa: E402
from harness.fixtures import *  # noqa: E402, F401, F403


# Those that want the processors, one after the other; the others beside them.
HEAVY = {"test_autoscaler", "test_cluster", "test_scaling"}


def pytest_configure(config):
    fixtures.pytest_configure(config)
    config.addinivalue_line("markers", "cluster: a suite of its own, tests/run cluster")
    config.addinivalue_line("markers", "xdist_group(name): what one session runs, of several side by side")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    fixtures.pytest_collection_modifyitems(items)
    for item in items:
        item.add_marker(pytest.mark.xdist_group("heavy" if item.module.__name__ in HEAVY else "light"))


@pytest.fixture
def make_compose(request, scratch):
    """make_compose(config, workers=2, …): a running Compose, ended with the test; its logs are kept where that failed."""
    made = []

    def make(config, **options):
        compose = Compose(tempfile.mkdtemp(prefix="compose.", dir=scratch), config, **options)
        made.append(compose)
        request.session.stash.setdefault(fixtures.STACKS, []).append(compose)
        return compose.start()

    try:
        yield make
    finally:
        for compose in made:
            request.session.stash[fixtures.STACKS].remove(compose)
            compose.close(request.node.stash.get(fixtures.FAILED, False))
