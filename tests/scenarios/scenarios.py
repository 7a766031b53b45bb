# SPDX-License-Identifier: Apache-2.0
"""The scenarios by their names. Each is a function of (make_stack, small) that gives a Report."""
import bridges

BY_NAME = {
    "a": (bridges.run_bridges, bridges.run_limit),
    "a1": (bridges.run_bridges,),
    "a2": (bridges.run_limit,),
}
