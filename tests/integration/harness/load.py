# SPDX-License-Identifier: Apache-2.0
"""Many callers at once, single raw connections, and what is judged of answers."""
import http.client
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from .waiting import wait_until

PROBLEM = "urn:sluice:problem:"


def together(n_threads, function, items):
    """function(item) of every item, n_threads at a time; the results in the items' order."""
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, items))


def start(function, *arguments, **options):
    """Runs it in a thread of its own; .result(timeout) gives what it returned, or raises."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function, *arguments, **options)
    pool.shutdown(wait=False)
    return future


def config_of(stack, tenants, schedules=None, **more):
    """A configuration of these tenants, each on the sample backend unless it names its instances."""
    backend = [{"name": "sample-1", "url": stack.tenant.url, "concurrency": 256}]
    full = {name: {"instances": backend, **keys} for name, keys in tenants.items()}
    document = {"tenants": full, "schedules": schedules or {}, **more}
    # Nothing in it is shared: PyYAML would write it as an alias, which Sluice refuses.
    return json.loads(json.dumps(document))


def expect_problem(answer, status, word=None):
    """The answer is a well-formed problem document of this status and, if given, type."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"].partition(";")[0] == "application/problem+json"
    document = answer.json()
    assert document["type"].startswith(PROBLEM) and document["title"], document
    assert document["status"] == status, document
    if word is not None:
        assert document["type"] == PROBLEM + word, document
    if status == 503:
        assert int(answer.headers["retry-after"]) >= 0
    return document


def by_path(receipts):
    """{path: [receipt, …]}"""
    found = {}
    for receipt in receipts:
        found.setdefault(receipt["path"], []).append(receipt)
    return found


def is_ready(stack, *names):
    return all(stack.http.get(stack[name].url + "/readyz", timeout=5).status_code == 200
               for name in names)


def quiet(stack, timeout=30):
    """Nothing is left in the broker: no message unacknowledged, none ready, none on the ladder."""
    def is_empty():
        rows = stack.queues()
        return {name: row[:2] for name, row in rows.items() if row[0] or row[1]} == {}

    wait_until(is_empty, timeout, "an empty broker")


class RawAnswer:
    """An answer as it stood on the wire, with requests' names for its parts."""

    def __init__(self, parsed):
        self.status_code = parsed.status
        self.headers = requests.structures.CaseInsensitiveDict(parsed.getheaders())
        self.fields = parsed.getheaders()
        self.content = parsed.read()

    @property
    def text(self):
        return self.content.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.content)


class _Bytes:
    def __init__(self, data):
        self.data = data

    def makefile(self, *_args, **_kwargs):
        return io.BytesIO(self.data)


def parse(source, method="GET"):
    """The first answer in these bytes, or on this socket."""
    parsed = http.client.HTTPResponse(_Bytes(source) if isinstance(source, bytes) else source,
                                      method=method)
    parsed.begin()
    return RawAnswer(parsed)


def raw(port, data, method="GET", timeout=40):
    """Sends these bytes, and gives the first answer. (Not half-closed: that is a caller's leaving.)"""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer is there
        return parse(s, method)


def raw_until_closed(port, data, timeout=40):
    """Sends these bytes, and gives all that comes until the server closes the connection."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        try:
            s.sendall(data)
            while piece := s.recv(65536):
                got += piece
        except (BrokenPipeError, ConnectionResetError):
            pass
    return got


class HangingCall:
    """A request whose caller can hang up, or be looked at later."""

    def __init__(self, port, method, path, body=b"", headers=()):
        lines = [f"{method} {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}",
                 *(f"{k}: {v}" for k, v in headers)]
        self.method = method
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def hang_up(self):
        self.socket.close()

    def answer(self):
        parsed = http.client.HTTPResponse(self.socket, method=self.method)
        parsed.begin()
        found = RawAnswer(parsed)
        self.socket.close()
        return found


class Sent:
    """One call of a Load, and how it was answered (status None: not yet; 0: cut off)."""

    def __init__(self, kind, path):
        self.kind = kind
        self.path = path
        self.begun = time.monotonic()
        self.ended = None
        self.status = None
        self.job = None
        self.problem = None
        self.answer = None

    @property
    def seconds(self):
        return self.ended - self.begun


class Load:
    """Callers that never stop: half of them synchronous, half asynchronous, each with paths of its own.

        with Load(stack) as load:
            load.wait_for(200)       # answers
            …
        load.sent
    """

    def __init__(self, stack, callers=64, tenant="sample", least_ms=50, most_ms=200, patience_s=60):
        self.stack = stack
        self.tenant = tenant
        self.times = range(least_ms, most_ms + 1)
        self.patience_s = patience_s
        self.sent = []
        self.errors = []
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                         for i in range(callers)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, _value, _trace):
        self._is_over.set()
        for thread in self._threads:
            thread.join(self.patience_s + 10)
        if kind is None:
            assert not any(t.is_alive() for t in self._threads), "a caller was never answered"
            assert self.errors == [], self.errors[:5]

    def _run(self, number):
        kind = "sync" if number % 2 else "async"
        count = 0
        while not self._is_over.is_set():
            count += 1
            ms = self.times[(number * 7919 + count * 104729) % len(self.times)]
            sent = Sent(kind, f"/load/{number}/{count}")
            self.sent.append(sent)
            try:
                self._send(sent, f"{sent.path}?sleep_ms={ms}")
            except Exception as error:  # judged by whoever reads self.errors
                sent.ended, sent.status = time.monotonic(), 0
                self.errors.append(f"{sent.path}: {error!r}")
            if sent.status not in (200, 202):
                # What a caller does with Retry-After, though a whole second would only be slow.
                self._is_over.wait(0.2)

    def _send(self, sent, target):
        if sent.kind == "sync":
            answer = self.stack.call("POST", f"/call/{self.tenant}{target}", data=b"x",
                                     timeout=self.patience_s)
        else:
            answer = self.stack.submit(target, self.tenant, body={"n": 1})
        sent.ended, sent.status = time.monotonic(), answer.status_code
        sent.job = answer.headers.get("Sluice-Job-Id")
        sent.answer = answer
        if answer.headers.get("content-type", "").startswith("application/problem+json"):
            sent.problem = answer.json()["type"].removeprefix(PROBLEM)
            sent.job = sent.job or answer.json().get("job")

    def wait_for(self, count, status=None, since=0.0, timeout=60):
        """Until so many calls that began after `since` were answered (with this status)."""
        def is_there():
            return len([s for s in list(self.sent) if s.begun >= since and s.ended is not None
                        and status in (None, s.status)]) >= count

        wait_until(is_there, timeout, f"{count} answers {status or ''}")

    def in_flight(self, at):
        return [s for s in self.sent if s.begun < at and (s.ended is None or s.ended > at)]

    def refused(self):
        return [s for s in self.sent if s.status == 503]

    def check_answers(self, others=()):
        """Each was answered with 200, 202 or a clear 503 (or one of `others`)."""
        for sent in self.sent:
            assert sent.status in (200, 202, 503, *others), \
                f"{sent.kind} {sent.path}: {sent.status} {sent.answer.text[:300]}"
            if sent.status == 503:
                expect_problem(sent.answer, 503)
                assert sent.answer.headers["Retry-After"].isdigit()
                assert sent.seconds < 6, f"{sent.path}: refused after {sent.seconds:.1f} s"

    def check_ends(self, timeout=60):
        """Each that was answered 202 ends well, with one receipt; so has each 200; what was refused
        for good has none."""
        for sent in [s for s in self.sent if s.status == 202]:
            job = self.stack.wait_job(sent.job, timeout=timeout)
            assert job["state"] == "succeeded", job
        found = by_path(self.stack.receipts())
        for sent in self.sent:
            count = len(found.get(sent.path, []))
            if sent.status in (200, 202):
                assert count == 1, f"{sent.kind} {sent.path}: {count} receipts of {sent.job}"
            elif sent.status == 503 and sent.problem not in ("outcome_unknown", "draining"):
                assert count == 0, f"{sent.path} was refused ({sent.problem}), and ran"
            else:
                assert count <= 1, f"{sent.path}: {count} receipts of {sent.job}"
