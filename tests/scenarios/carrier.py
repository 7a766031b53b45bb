# SPDX-License-Identifier: Apache-2.0
"""A carrier that takes long for every call, as a program: holds any number of them at once, or offloads.

usage: carrier.py --port N --mode blocking|polled|completing --seconds S [--ingress URL]

  blocking     the answer comes after S seconds
  polled       202 and a Location at once, which says 202 until S seconds are over, then 200 with the answer
  completing   202 at once; after S seconds it posts the outcome to the ingress

GET /stats: running, peak, calls, polls, completed, refused (completions that were not taken).
"""
import argparse
import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent))

from client import Connection, Request  # noqa: E402


class Carrier:
    def __init__(self, args):
        self.args = args
        self.done_at = {}
        self.counts = {"running": 0, "peak": 0, "calls": 0, "polls": 0, "completed": 0, "refused": 0}
        self.tasks = set()

    def _begin(self):
        self.counts["calls"] += 1
        self.counts["running"] += 1
        self.counts["peak"] = max(self.counts["peak"], self.counts["running"])

    def _end(self):
        self.counts["running"] -= 1

    def _later(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def answer(self, method, path, headers):
        """(status, more headers, body)"""
        if path == "/stats":
            return 200, {}, self.counts
        if method == "GET" and path.startswith("/status/"):
            return self._poll(path.rpartition("/")[2])
        self._begin()
        if self.args.mode == "blocking":
            await asyncio.sleep(self.args.seconds)
            self._end()
            return 200, {}, {"carried": path}
        job = headers.get("sluice-job-id", "")
        if self.args.mode == "polled":
            self.done_at[job] = asyncio.get_running_loop().time() + self.args.seconds
            return 202, {"Location": f"/status/{job}"}, {}
        self._later(self._complete(job, headers.get("sluice-complete-token", ""), path))
        return 202, {}, {}

    def _poll(self, job):
        self.counts["polls"] += 1
        due = self.done_at.get(job)
        if due is None:
            return 404, {}, {}
        if asyncio.get_running_loop().time() < due:
            return 202, {"Location": f"/status/{job}"}, {}
        if due > 0:
            self.done_at[job] = 0
            self._end()
        return 200, {}, {"carried": job}

    async def _complete(self, job, token, path):
        await asyncio.sleep(self.args.seconds)
        self._end()
        outcome = {"token": token, "status": 200, "body": {"carried": path}}
        connection = Connection(urlsplit(self.args.ingress).port)
        for _ in range(5):
            answer = await connection.send(Request("POST", f"/v1/jobs/{job}/complete", outcome))
            if answer.status not in (0, 503):
                break
            await asyncio.sleep(0.2)
        connection.close()
        self.counts["completed" if answer.status in (200, 202, 204) else "refused"] += 1
        if answer.status not in (200, 202, 204):
            print(f"complete {job}: {answer.status} {answer.body[:300]}", file=sys.stderr, flush=True)

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, target, _ = lines[0].split(" ")
                headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:] if line)}
                await reader.readexactly(int(headers.get("content-length", 0)))
                status, more, body = await self.answer(method, target.partition("?")[0], headers)
                text = json.dumps(body).encode()
                fields = {"Content-Type": "application/json", "Content-Length": len(text), **more}
                writer.write(f"HTTP/1.1 {status} Said\r\n".encode()
                             + b"".join(f"{n}: {v}\r\n".encode() for n, v in fields.items()) + b"\r\n" + text)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mode", choices=("blocking", "polled", "completing"), required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--ingress")
    carrier = Carrier(parser.parse_args())
    server = await asyncio.start_server(carrier.serve, "127.0.0.1", carrier.args.port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
