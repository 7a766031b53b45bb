# SPDX-License-Identifier: Apache-2.0
"""A load client that costs little, so that two cores measure Sluice and not the client: raw HTTP/1.1 on asyncio,
a fixed number of connections that are kept, and every answer with its times."""
import asyncio
import json
import time


class Answer:
    """status 0: the connection ended without an answer."""

    __slots__ = ("status", "headers", "body", "begun", "ended")

    def __init__(self, status, headers, body, begun):
        self.status, self.headers, self.body = status, headers, body
        self.begun, self.ended = begun, time.monotonic()

    @property
    def seconds(self):
        return self.ended - self.begun

    def json(self):
        return json.loads(self.body)


class Request:
    """`label` is the caller's own, to find its answer again."""

    __slots__ = ("method", "target", "headers", "body", "label")

    def __init__(self, method, target, body=b"", label=None, **headers):
        self.method, self.target, self.label = method, target, label
        self.body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, (dict, list)):
            self.headers.setdefault("Content-Type", "application/json")

    def bytes(self):
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: scenario", f"Content-Length: {len(self.body)}",
                 *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


async def _read_body(reader, headers):
    if headers.get("transfer-encoding") == "chunked":
        pieces = []
        while size := int((await reader.readline()).partition(b";")[0], 16):
            pieces.append(await reader.readexactly(size))
            await reader.readline()
        await reader.readline()
        return b"".join(pieces)
    return await reader.readexactly(int(headers.get("content-length", 0)))


class Connection:
    """One caller: one request at a time, on a connection that is opened again when the server closed it."""

    def __init__(self, port):
        self.port = port
        self.streams = None

    async def send(self, request):
        begun = time.monotonic()
        try:
            if self.streams is None:
                self.streams = await asyncio.open_connection("127.0.0.1", self.port)
            reader, writer = self.streams
            writer.write(request.bytes())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            body = await _read_body(reader, headers)
            if headers.get("connection", "").lower() == "close":
                self.close()
            return Answer(int(head[0].split(" ")[1]), headers, body, begun)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return Answer(0, {}, b"", begun)

    def close(self):
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def _all(port, requests, connections):
    answers = [None] * len(requests)
    left = iter(enumerate(requests))

    async def caller():
        connection = Connection(port)
        for number, request in left:
            answers[number] = await connection.send(request)
        connection.close()

    await asyncio.gather(*(caller() for _ in range(connections)))
    return answers


def send_all(port, requests, connections):
    """Every request once, so many at a time; the answers in the requests' order."""
    return asyncio.run(_all(port, requests, connections))


async def _chains(port, chains):
    async def caller(chain):
        connection = Connection(port)
        answers = [await connection.send(request) for request in chain]
        connection.close()
        return answers

    return await asyncio.gather(*(caller(chain) for chain in chains))


def send_chains(port, chains):
    """Of each chain one request after the other, the chains beside each other; [[answer, …], …]."""
    return asyncio.run(_chains(port, chains))


async def _steadily(port, make, per_s, until):
    answers = []
    idle = []

    async def one(request):
        connection = idle.pop() if idle else Connection(port)
        answers.append((request, await connection.send(request)))
        idle.append(connection)

    number, start, tasks = 0, time.monotonic(), set()
    while not until():
        await asyncio.sleep(max(0, start + number / per_s - time.monotonic()))
        task = asyncio.ensure_future(one(make(number)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        number += 1
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return answers


def send_steadily(port, make, per_s, until):
    """make(number) begins every 1/per_s s, whether or not the ones before were answered, until until() says so;
    [(request, answer), …] once all are answered."""
    return asyncio.run(_steadily(port, make, per_s, until))


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")
