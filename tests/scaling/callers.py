#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Asynchronous jobs at a rate that rises, stays and falls, from a process of its own.

usage: callers.py URL TENANT REQUEST RISE_S STAY_S FALL_S RATE LOG      $SLUICE_KEY: an API key, or nothing

REQUEST is a path with a query, like /job?sleep_ms=1000; NUMBER is put before the query. Each job has a key and is sent again until
it is accepted. LOG: a line of JSON each: number, at (wall clock, ms, of the answer), job, again (how often it was refused)."""
import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "chaos"), str(Path(__file__).resolve().parents[1] / "integration")]

from load import Connection, Cut  # noqa: E402

CONNECTIONS = 32


def moments(rise_s, stay_s, fall_s, rate):
    """When each job is due, in seconds: the rate rises from 0, stays, and falls to 0."""
    found, done = [], 0.0
    step = 0.005
    for tick in range(int((rise_s + stay_s + fall_s) / step)):
        at = tick * step
        now = rate * min(1.0, at / rise_s if rise_s else 1.0, (rise_s + stay_s + fall_s - at) / fall_s if fall_s else 1.0)
        done += now * step
        while len(found) < int(done):
            found.append(at)
    return found


class Sender:
    def __init__(self, url, tenant, request, log):
        self.host, self.port = urlsplit(url).hostname, urlsplit(url).port
        self.path, _, self.query = request.partition("?")
        self.tenant = tenant
        self.log = log
        self.key = os.environ.get("SLUICE_KEY", "")

    def _bytes(self, number):
        request = {"method": "POST", "path": f"{self.path}/{number}?{self.query}"}
        body = json.dumps({"tenant": self.tenant, "request": request, "idempotency_key": f"ramp-{number}"}).encode()
        head = ["POST /v1/jobs HTTP/1.1", f"Host: {self.host}:{self.port}", "Content-Type: application/json",
                f"Content-Length: {len(body)}"] + ([f"Authorization: Bearer {self.key}"] if self.key else [])
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body

    async def run(self, queue):
        """One connection's caller."""
        connection = None
        while (number := await queue.get()) is not None:
            data, again = self._bytes(number), 0
            while True:
                try:
                    if connection is None or connection.is_closed:
                        _, connection = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
                    status, headers, body = await asyncio.wait_for(connection.ask(data), 30)
                    if status in (200, 202):
                        break
                    if status < 500 and status != 409:
                        raise SystemExit(f"{status}: {body[:300]!r}")
                except (Cut, OSError, asyncio.TimeoutError):
                    connection = None
                again += 1
                await asyncio.sleep(0.5)
            self.log.write(json.dumps({"number": number, "at": round(time.time() * 1000), "job": headers["sluice-job-id"],
                                       "again": again}) + "\n")


async def main(url, tenant, request, rise_s, stay_s, fall_s, rate, path):
    due = moments(float(rise_s), float(stay_s), float(fall_s), float(rate))
    with open(path, "w", buffering=1 << 16) as log:
        sender, queue = Sender(url, tenant, request, log), asyncio.Queue()
        callers = [asyncio.create_task(sender.run(queue)) for _ in range(CONNECTIONS)]
        begun = time.monotonic()
        for number, at in enumerate(due):
            wait = begun + at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            queue.put_nowait(number)
        late = time.monotonic() - begun - due[-1]
        for _ in callers:
            queue.put_nowait(None)
        await asyncio.gather(*callers)
    print(json.dumps({"jobs": len(due), "late_s": round(late, 2), "cpu_s": round(time.process_time(), 1)}), flush=True)


if __name__ == "__main__":
    gc.freeze()
    asyncio.run(main(*sys.argv[1:]))
