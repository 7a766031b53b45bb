# SPDX-License-Identifier: Apache-2.0
"""tests/scaling/keda.py, by hand: what KEDA and the HPA would do. Needs no stack."""
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scaling"))

from callers import moments  # noqa: E402
from keda import Autoscaler, Rules, Spec  # noqa: E402
from play import spec_of_manifest  # noqa: E402

FREE = Rules(0, (("Percent", 100000, 15),))
SPEC = Spec(target=1, polling_s=5, cooldown_s=20, most=10, sync_s=5, up=FREE, down=Rules(0, (("Percent", 100, 15),)))


def play(spec, metrics, replicas=0, every_s=5):
    """The number of replicas after each look."""
    autoscaler, found = Autoscaler(spec), []
    for k, metric in enumerate(metrics):
        replicas = autoscaler.step(k * every_s, metric, replicas)
        found.append(replicas)
    return found


def spec(**more):
    return replace(SPEC, **more)


@pytest.mark.parametrize("name, said, metrics, replicas, expected", [
    ("nothing to do", {}, [0, 0], 0, [0, 0]),
    ("KEDA wakes one, the HPA adds the rest", {}, [5, 5, 5], 0, [1, 5, 5]),
    ("not above the activation", {"activation": 2}, [2, 3], 0, [0, 1]),
    ("rounded up", {"target": 2}, [5], 1, [3]),
    ("at most", {}, [50], 4, [10]),
    ("the HPA leaves one, KEDA none, when the time is over", {"cooldown_s": 12}, [3, 0, 0, 0, 0], 3, [3, 1, 1, 0, 0]),
    ("activity begins the time anew", {"cooldown_s": 12}, [0, 1, 0, 0, 1, 0, 0, 0], 0, [0, 1, 1, 1, 1, 1, 1, 0]),
    ("within a tenth", {}, [21, 21.9, 23], 20, [20, 20, 23]),
    ("at least", {"least": 2}, [0, 0, 0, 0, 0, 0], 3, [2, 2, 2, 2, 2, 2]),
    ("by the manifest's target of one worker", {}, [2.0], 1, [2]),
    ("no figure, no fallback", {}, [None] * 6, 3, [3] * 6),
    ("no figure: as many as the fallback says", {"failures": 3, "fallback": 5}, [None] * 4, 3, [3, 3, 5, 5]),
    ("no figure: as many as there are", {"failures": 2, "fallback": 1, "fallback_behavior": "currentReplicas"},
     [None] * 6 + [0] * 5, 3, [3] * 6 + [1, 1, 1, 1, 0]),
    ("no figure: none that sleeps is woken", {"failures": 2, "fallback": 1, "fallback_behavior": "currentReplicas"},
     [None] * 4, 0, [0] * 4),
], ids=lambda v: v if isinstance(v, str) else "")
def test_replicas(name, said, metrics, replicas, expected):
    said = {"most": 100, **said} if name == "within a tenth" else said
    assert play(spec(**said), metrics, replicas) == expected


def test_going_down_the_highest_of_the_window_counts():
    calm = spec(down=Rules(15, (("Percent", 100, 15),)))
    assert play(calm, [8, 3, 8, 2, 2, 2, 2, 2], 8) == [8, 8, 8, 8, 8, 8, 2, 2]


def test_policies_bound_each_step():
    up = Rules.of({"policies": [{"type": "Pods", "value": 2, "periodSeconds": 10}]}, {"stabilizationWindowSeconds": 0})
    assert play(spec(up=up, most=9), [9] * 8, 1) == [3, 3, 3, 5, 5, 5, 7, 7]
    half = Rules.of({"policies": [{"type": "Percent", "value": 50, "periodSeconds": 10}, {"type": "Pods", "value": 1, "periodSeconds": 10}]},
                    {"stabilizationWindowSeconds": 0})
    assert play(spec(down=half), [1] * 8, 8) == [4, 4, 4, 2, 2, 2, 1, 1]
    least = Rules(0, half.policies, "Min")
    assert play(spec(down=least), [1] * 2, 8) == [7, 7]
    assert play(spec(down=Rules(0, half.policies, "Disabled")), [1] * 2, 8) == [8, 8]


def test_the_manifest_is_read():
    found = spec_of_manifest(faster=5, most=6)
    assert (found.target, found.activation, found.least, found.most) == (1, 0, 0, 6)
    assert (found.polling_s, found.cooldown_s, found.sync_s, found.down.window_s) == (1, 24, 3, 12)
    assert (found.failures, found.fallback_behavior) == (3, "currentReplicas")


def test_the_ramp():
    due = moments(10, 20, 10, 300)
    assert len(due) in range(8990, 9001)
    assert sum(1 for at in due if 15 <= at < 16) in range(299, 302)
    assert due == sorted(due) and due[0] > 0.1
