#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The callers of a chaos run, in one process: an open loop, lean enough for two cores.

usage: load.py SEED SECONDS RATE LOG PATIENCE_S PORT PORT

Each request and each answer is a line of LOG before and after: {"ev": "send"|"answer", "id", …}. A caller
with a key repeats until it knows; PATIENCE_S after the load's end it gives up. Ends when all callers did.
"""
import asyncio
import dataclasses
import gc
import hashlib
import json
import sys
import time

import plan

TIMEOUT_S = 45  # no answer may take longer: the longest wait of a tenant is 12 s, a paused process 8 s
IDLE_S = 3
PROBLEM = "urn:sluice:problem:"


class Cut(Exception):
    """Broken off after the request was (perhaps) sent."""


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with at most one request under way."""

    def __init__(self):
        self.transport = None
        self.answer = None  # a future of (status, headers, body)
        self.got = b""
        self.idle_since = 0.0
        self.is_closed = False

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        self.is_closed = True
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(Cut(repr(exc)))

    def ask(self, data):
        self.got = b""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return self.answer

    def data_received(self, data):
        self.got += data
        end = self.got.find(b"\r\n\r\n")
        if end < 0 or self.answer is None or self.answer.done():
            return
        lines = self.got[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        if len(self.got) >= end + 4 + length:
            status = int(lines[0].split(" ")[1])
            if headers.get("connection", "").lower() == "close":
                self.transport.close()
                self.is_closed = True
            self.answer.set_result((status, headers, self.got[end + 4:end + 4 + length]))


class Caller:
    """ports: two, of whom a request names which is tried first. headers: lines that each request carries."""

    host = "127.0.0.1"

    def __init__(self, seed, log, ports, give_up, headers=()):
        self.seed = seed
        self.headers = list(headers)
        self.log = log
        self.ports = ports
        self.give_up = give_up
        self.idle = {port: [] for port in ports}
        self.count = 0

    def note(self, **fields):
        self.log.write(json.dumps(fields, separators=(",", ":")) + "\n")

    async def _connect(self, port):
        idle = self.idle[port]
        while idle:
            connection = idle.pop()
            if not connection.is_closed and time.monotonic() - connection.idle_since < IDLE_S:
                return connection
            if not connection.is_closed:
                connection.transport.close()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.host, port)
        return connection

    def _bytes(self, request, interface, port):
        headers = []
        if interface == "jobs":
            asked = {"method": request.method, "path": request.path}
            if request.body:
                asked["body_text"] = request.body
            document = {"tenant": request.tenant, "request": asked}
            if request.key:
                document["idempotency_key"] = request.key
            if request.delay_s:
                document["delay_s"] = request.delay_s
            if request.ordering_key:
                document["ordering_key"] = request.ordering_key
            if request.ttl_s:
                document["ttl_s"] = request.ttl_s
            if request.priority:
                document["priority"] = request.priority
            if request.customer:
                asked["headers"] = {"X-Customer": request.customer}
            body, method, path = json.dumps(document).encode(), "POST", "/v1/jobs"
            headers.append("Content-Type: application/json")
        else:
            body, method, path = request.body.encode(), request.method, f"/call/{request.tenant}{request.path}"
            if request.key:
                headers.append(f"Idempotency-Key: {request.key}")
            if request.customer:
                headers.append(f"X-Customer: {request.customer}")
            if request.wait_s:
                headers.append(f"Prefer: wait={request.wait_s}")
            elif request.kind == "call-async":
                headers.append("Prefer: respond-async")
        return self._head(method, path, port, headers, body)

    def _head(self, method, path, port, headers, body):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{port}", f"Content-Length: {len(body)}", *self.headers,
                 *headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def _judge(self, status, headers, body):
        """What the log keeps of an answer."""
        found = {"status": status, "job": headers.get("sluice-job-id"), "replayed": "idempotent-replayed" in headers}
        if headers.get("content-type", "").startswith("application/problem+json"):
            document = json.loads(body)
            found["problem"] = document["type"].removeprefix(PROBLEM)
            found["job"] = found["job"] or document.get("job")
            found["detail"] = document.get("detail", "")
        elif status == 202:
            document = json.loads(body)
            found["id_said"], found["state_said"] = document["id"], document["state"]
        else:
            found["sha"] = hashlib.sha1(body).hexdigest()
            found["text"] = body.decode("utf-8", "replace")[:400]
        return found

    async def send(self, request, interface, port, hang_up_s=None, data=None, what="submit"):
        """One request; gives what the log keeps of its answer."""
        self.count += 1
        number = self.count
        self.note(ev="send", id=number, what=what, interface=interface, port=port, at=round(time.time() * 1000),
                  n=request.number, kind=request.kind, tenant=request.tenant, key=request.key, path=request.path,
                  body=request.body, ttl=request.ttl_s, customer=request.customer)
        found = {"status": 0}
        connection = None
        try:
            connection = await asyncio.wait_for(self._connect(port), TIMEOUT_S)
            while connection.is_closed:  # lost in the turn between
                connection = await asyncio.wait_for(self._connect(port), TIMEOUT_S)
            asked = connection.ask(data or self._bytes(request, interface, port))
            found = self._judge(*await asyncio.wait_for(asked, hang_up_s or TIMEOUT_S))
            connection.idle_since = time.monotonic()
            if not connection.is_closed:
                self.idle[port].append(connection)
        except Cut as error:
            found = {"status": 0, "why": f"cut {error}"}
        except asyncio.TimeoutError:
            found = {"status": 0, "why": "hung up" if hang_up_s else "timeout"}
            if connection is not None:
                connection.transport.abort()
        except ConnectionRefusedError:
            found = {"status": 0, "why": "refused"}
        except OSError as error:
            found = {"status": 0, "why": f"cut {error!r}"}
        self.note(ev="answer", id=number, at=round(time.time() * 1000), **found)
        return found

    @staticmethod
    def is_known(found):
        return not (found["status"] in (0, 503) or found.get("problem") == "key_in_progress")

    async def submit(self, request, interface):
        """With a key: again until it is known what became of it. Without: again only if nothing was sent."""
        turn = request.first
        while True:
            hang_up_s = 0.05 if request.kind == "hangup" else None
            found = await self.send(request, interface, self.ports[turn % 2], hang_up_s)
            turn += 1
            is_again = found.get("why") == "refused" or (request.key and not self.is_known(found))
            if not is_again or time.monotonic() > self.give_up:
                return found
            await asyncio.sleep(1)

    async def _cancel(self, request, found):
        """A delayed job, before it is due."""
        if found["status"] != 202:
            return
        await asyncio.sleep(1)
        port = self.ports[request.first]
        data = self._head("DELETE", f"/v1/jobs/{found['job']}", port, [], b"")
        await self.send(request, "jobs", port, data=data, what=f"cancel {found['job']}")

    def request_of(self, number):
        return plan.request_of(self.seed, number)

    async def run(self, number):
        request = self.request_of(number)
        request = dataclasses.replace(request, path=request.path.replace("PORT", str(self.ports[request.first])))

        async def copy(interface, after_s):
            await asyncio.sleep(after_s)
            return await self.submit(request, interface)

        answers = await asyncio.gather(*(copy(*c) for c in request.copies))
        if request.kind == "cancel":
            await self._cancel(request, answers[0])


async def drive(caller, seconds, rate):
    """`rate` requests a second; ends when all have their answers."""
    begun = time.monotonic()
    tasks = set()
    for number in range(int(seconds * rate)):
        due = begun + number / rate
        if due > time.monotonic():
            await asyncio.sleep(due - time.monotonic())
        task = asyncio.create_task(caller.run(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    late = time.monotonic() - begun - seconds
    print(json.dumps({"asked": int(seconds * rate), "late_s": round(late, 2)}), flush=True)
    if tasks:
        await asyncio.wait(tasks)


async def main(seed, seconds, rate, path, patience_s, ports):
    with open(path, "w", buffering=1 << 16) as log:
        caller = Caller(seed, log, ports, time.monotonic() + seconds + patience_s)
        await drive(caller, seconds, rate)
    print(json.dumps({"sent": caller.count, "cpu_s": round(time.process_time(), 1)}), flush=True)


if __name__ == "__main__":
    gc.freeze()
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4], float(sys.argv[5]),
                     [int(p) for p in sys.argv[6:]]))
