# SPDX-License-Identifier: Apache-2.0
"""Short random chaos runs, of fixed seeds; `tests/run soak` does the long ones. What a red one left behind
(logs, the history, each violation with its evidence) lies where its last line says; `tests/chaos/run
--seed N` does it again."""
import chaos
import pytest


@pytest.mark.slow
@pytest.mark.timeout_s(360)
@pytest.mark.parametrize("seed", [3, 11])
def test_nothing_is_lost_and_nothing_is_done_twice(seed):
    said = []
    found = chaos.run(seed, seconds=25, rate=100, say=lambda text, **_: said.append(text))
    assert found == [], "\n".join(said)
