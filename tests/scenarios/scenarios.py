# SPDX-License-Identifier: Apache-2.0
"""The scenarios by their names. Each is a function of (make_stack, small) that gives a Report."""
import bridges
import discovery
import friday
import slow
import waiting

BY_NAME = {
    "a": (bridges.run_bridges, bridges.run_limit),
    "a1": (bridges.run_bridges,),
    "a2": (bridges.run_limit,),
    "b": (friday.run,),
    "c": (discovery.run_json, discovery.run_yaml),
    "d": (waiting.run_blocking, waiting.run_polled, waiting.run_completing),
    "d1": (waiting.run_blocking,),
    "d2": (waiting.run_polled,),
    "d3": (waiting.run_completing,),
    "e": (slow.run,),
}
