# SPDX-License-Identifier: Apache-2.0
"""Callers as documentation tells them to be: each gives its job a key, and repeats with it until it has an answer that is
one. Raw HTTP/1.1 on asyncio at a steady rate, whatever the other side does; every answer is kept with its time."""
import asyncio
import json
import random
import threading
import time

# A caller gives up an answer after so long, and repeats.
ANSWER_S = 30
# Longer than the test lasts: on a busy machine a crowd of repeats drains only when no new callers come.
GIVE_UP_S = 300


class Said:
    """One answer. status 0: the connection ended without one; -1: none came in time."""

    __slots__ = ("at", "begun", "status", "type", "problem", "retry_after", "job", "text")

    def __init__(self, begun, status, headers=None, body=b""):
        headers = headers or {}
        self.begun, self.at, self.status = begun, time.monotonic(), status
        self.type = headers.get("content-type", "")
        self.retry_after = headers.get("retry-after")
        self.job = headers.get("sluice-job-id")
        self.problem, self.text = None, body[:300].decode("utf-8", "replace")
        if self.type.startswith("application/problem+json"):
            self.problem = json.loads(body).get("type")


class Caller:
    """What became of one request: `said` has every answer; `done` is the one that counts, or None."""

    __slots__ = ("path", "is_sync", "said", "done")

    def __init__(self, path, is_sync):
        self.path, self.is_sync, self.said, self.done = path, is_sync, [], None

    def bytes(self, key):
        if self.is_sync:
            target, body = f"/call/sample{self.path}", b"{}"
        else:
            target = "/v1/jobs"
            body = json.dumps({"tenant": "sample", "request": {"method": "POST", "path": self.path, "body": {}}}).encode()
        return (f"POST {target} HTTP/1.1\r\nHost: cluster\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: {self.path}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body

    def is_answered(self, said):
        """202 of a job, or the tenant's own answer."""
        return said.status == (200 if self.is_sync else 202)


class Load:
    """In a thread of its own: start(), later stop(), which returns all callers when the last of them has its answer."""

    def __init__(self, host, key, jobs_per_s, calls_per_s, prefix):
        self.host, self.key, self.prefix = host, key, prefix
        self.rates = (("jobs", jobs_per_s, False), ("calls", calls_per_s, True))
        self.callers, self.idle = [], []
        self.is_over = False
        self.failure = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.is_over = True
        self.thread.join(GIVE_UP_S + 30)
        assert not self.thread.is_alive(), "the callers do not end"
        if self.failure:
            raise self.failure
        return self.callers

    def _run(self):
        try:
            asyncio.run(self._all())
        except Exception as error:  # the test's thread raises it
            self.failure = error

    async def _all(self):
        await asyncio.gather(*(self._steadily(*rate) for rate in self.rates if rate[1] > 0))
        for _, writer in self.idle:
            writer.close()

    async def _steadily(self, name, per_s, is_sync):
        start, number, tasks = time.monotonic(), 0, set()
        while not self.is_over:
            await asyncio.sleep(max(0, start + number / per_s - time.monotonic()))
            caller = Caller(f"/{self.prefix}/{name}/{number}", is_sync)
            self.callers.append(caller)
            task = asyncio.ensure_future(self._patiently(caller))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        await asyncio.gather(*tasks)

    async def _patiently(self, caller):
        end = time.monotonic() + GIVE_UP_S
        while time.monotonic() < end:
            said = await self._ask(caller.bytes(self.key))
            caller.said.append(said)
            if caller.is_answered(said):
                caller.done = said
                return
            # As Retry-After says, or longer each time, and not all at once.
            wait_s = min(4.0, max(float(said.retry_after or 0), 0.25 * 2 ** len(caller.said)))
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))

    def _kept(self):
        """A connection that is still open, or None. The balancer closes those that rest."""
        while self.idle:
            streams = self.idle.pop()
            if not streams[0].at_eof():
                return streams
            streams[1].close()
        return None

    async def _ask(self, request):
        begun = time.monotonic()
        streams = self._kept()
        # One that closes just then is no answer of anybody: as every client does, again on a fresh one.
        said = streams and await self._try(begun, streams, request)
        return said if said and said.status != 0 else await self._try(begun, None, request)

    async def _try(self, begun, streams, request):
        try:
            streams = streams or await asyncio.open_connection(self.host, 8080)
            status, headers, body = await asyncio.wait_for(self._exchange(streams, request), ANSWER_S)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            if streams:
                streams[1].close()
            return Said(begun, -1 if isinstance(error, asyncio.TimeoutError) else 0)
        if headers.get("connection", "").lower() == "close":
            streams[1].close()
        else:
            self.idle.append(streams)
        return Said(begun, status, headers, body)

    async def _exchange(self, streams, request):
        reader, writer = streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int((await reader.readline()).partition(b";")[0], 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split(" ")[1]), headers, body


def longest_gap(times, since, until):
    """The longest time within [since, until] in which nothing of `times` is, in seconds."""
    inside = [since, *sorted(t for t in times if since <= t <= until), until]
    return max(b - a for a, b in zip(inside, inside[1:]))


async def _states(host, key, ids):
    load = Load(host, key, 0, 0, "")
    found, left = {}, iter(ids)

    async def one():
        for job in left:
            streams = load.idle.pop() if load.idle else await asyncio.open_connection(host, 8080)
            status, headers, body = await asyncio.wait_for(load._exchange(streams, (
                f"GET /v1/jobs/{job} HTTP/1.1\r\nHost: cluster\r\nAuthorization: Bearer {key}\r\n\r\n").encode()), 30)
            load.idle.append(streams)
            found[job] = json.loads(body)["state"] if status == 200 else f"{status}"

    await asyncio.gather(*(one() for _ in range(8)))
    return found


def states(host, key, ids):
    """{job: its state, or the status that the question got}"""
    return asyncio.run(_states(host, key, ids))
