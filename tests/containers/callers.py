#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The callers of the containers' tests, in a process of their own; see tests/chaos/load.py.

usage: callers.py SEED SECONDS RATE LOG PATIENCE_S HOST PORT…      $SLUICE_KEY: their API key
"""
import asyncio
import gc
import os
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "chaos"), str(TESTS / "integration")]

import load  # noqa: E402
import mix  # noqa: E402


class Caller(load.Caller):
    def request_of(self, number):
        return mix.request_of(self.seed, number)


async def main(seed, seconds, rate, path, patience_s, host, ports):
    with open(path, "w", buffering=1 << 16) as log:
        caller = Caller(seed, log, (ports * 2)[:2], time.monotonic() + seconds + patience_s,
                        [f"Authorization: Bearer {os.environ['SLUICE_KEY']}"])
        caller.host = host
        await load.drive(caller, seconds, rate)


if __name__ == "__main__":
    gc.freeze()
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4], float(sys.argv[5]),
                     sys.argv[6], [int(p) for p in sys.argv[7:]]))
