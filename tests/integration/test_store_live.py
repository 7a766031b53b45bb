# SPDX-License-Identifier: Apache-2.0
"""The library of the store against a real Redis: tests/unit/common/store/live_test.c, which starts its own."""
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIVE = Path(os.environ.get("SLUICE_BIN", ROOT / "build/dev/bin")) / "unit/store_live_test"


@pytest.mark.slow
@pytest.mark.timeout_s(300)
def test_the_store_against_a_real_redis():
    done = subprocess.run([LIVE], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
