# SPDX-License-Identifier: Apache-2.0
"""The library of the broker's protocol against a real broker: those cases of tests/unit/common/bus/live_test.c that need no broker
of their own."""
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIVE = Path(os.environ.get("SLUICE_BIN", ROOT / "build/dev/bin")) / "unit/bus_live_test"


def run(broker, case):
    environment = {**os.environ, "SLUICE_AMQP_URL": broker.url()}
    done = subprocess.run([LIVE, case], env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and "1 test(s)" in done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize("case", ["test_returned", "test_nacked", "test_refusals_hold_up_nobody", "test_missing_exchange",
                                  "test_declares_in_order", "test_declares_in_waves", "test_declares_time_out"])
def test_publishing(shared_broker, case):
    run(shared_broker, case)


@pytest.mark.parametrize("case", ["test_shares_acked", "test_shares_first_returned", "test_shares_last_returned",
                                  "test_shares_forgotten"])
def test_shares(shared_broker, case):
    run(shared_broker, case)
