# SPDX-License-Identifier: Apache-2.0
"""Fixtures and hooks of the suites that run a whole stack. $SLUICE_BIN names the binaries (default: build/dev/bin)."""
import os
import signal
import tempfile
from pathlib import Path

import pytest

from . import Broker, Stack
from .stack import binaries

DEFAULT_TIMEOUT_S = 120


def pytest_configure(config):
    config.addinivalue_line("markers", "timeout_s(n): this test may take n seconds (default 120)")
    config.addinivalue_line("markers", "slow: left out of the sanitizer suites")
    config.addinivalue_line("markers", "long: minutes; left out of the suite chaos, in the suite soak")
    config.addinivalue_line("markers", "in_redis: the store's scripts alone, in a Redis; a sanitizer has nothing to look at")


def pytest_collection_modifyitems(items):
    for item in items:
        if {"scripts", "store"} & set(item.fixturenames) and not {"stack", "make_stack", "make_module_stack"} & set(item.fixturenames):
            item.add_marker("in_redis")


class TestTimeout(BaseException):
    """Not an Exception, so that no handler of a test swallows it."""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    marker = item.get_closest_marker("timeout_s")
    seconds = marker.args[0] if marker else DEFAULT_TIMEOUT_S

    def expired(_number, _frame):
        raise TestTimeout(f"{item.nodeid} took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Puts the ends of all logs beside a failure, and tells the fixtures of it."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.session.stash.setdefault(FAILED, set()).add(item.module.__name__)
        item.stash[FAILED] = True
        for stack in item.session.stash.get(STACKS, []):
            report.sections.append((f"logs of {stack.directory}", stack.tails()))


FAILED = pytest.StashKey()
STACKS = pytest.StashKey()


@pytest.fixture(scope="session")
def scratch():
    """Where everything of this run lies; kept only where something failed."""
    directory = Path(tempfile.mkdtemp(prefix="sluice-tests."))
    yield directory
    for path in directory.iterdir():
        if any(path.iterdir()):
            return
        path.rmdir()
    directory.rmdir()


@pytest.fixture(scope="session")
def shared_broker():
    """One RabbitMQ for all tests that do not hurt it. $SLUICE_TEST_BROKER: that of another session, "port_base directory"."""
    lent = os.environ.get("SLUICE_TEST_BROKER")
    if lent:
        port_base, _, path = lent.partition(" ")
        yield Broker(path, int(port_base))
        return
    with tempfile.TemporaryDirectory(prefix="sluice-broker.", ignore_cleanup_errors=True) as path:
        broker = Broker(path)
        try:
            yield broker.start()
        finally:
            broker.stop()


class StackMaker:
    def __init__(self, request, scratch):
        self.request = request
        self.scratch = scratch
        self.made = []

    def __call__(self, config=None, private=False, start=True, **options):
        """private: a RabbitMQ of its own, to be killed. broker: one of the module's. The other options are Stack's."""
        broker = options.pop("broker", None)
        if broker is None and not private:
            broker = self.request.getfixturevalue("shared_broker")
        directory = Path(tempfile.mkdtemp(prefix="stack.", dir=self.scratch))
        stack = Stack(directory, broker, config, **options)
        self.made.append(stack)
        self.request.session.stash.setdefault(STACKS, []).append(stack)
        return stack.start() if start else stack

    def close(self, is_failed):
        errors = []
        for stack in self.made:
            self.request.session.stash[STACKS].remove(stack)
            try:
                stack.close(is_failed)
            except BaseException as error:  # the others must be ended, too
                errors.append(error)
        if errors:
            raise errors[0]


@pytest.fixture
def make_stack(request, scratch):
    """make_stack(config=None, private=False, workers=1, …): a running Stack, ended with the test."""
    maker = StackMaker(request, scratch)
    try:
        yield maker
    finally:
        maker.close(request.node.stash.get(FAILED, False))


@pytest.fixture(scope="module")
def make_module_stack(request, scratch):
    """The same for all tests of a module."""
    maker = StackMaker(request, scratch)
    try:
        yield maker
    finally:
        maker.close(request.module.__name__ in request.session.stash.get(FAILED, set()))


@pytest.fixture(scope="module")
def stack(make_module_stack):
    """The sample configuration, for tests that leave it as it was."""
    return make_module_stack()


@pytest.fixture(scope="session")
def bin_dir():
    return binaries()
