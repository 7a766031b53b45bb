# SPDX-License-Identifier: Apache-2.0
"""The test tools in C: the sample tenant and the delay proxy."""
import json

from .contract import forget
from .http import new_session
from .ports import free_port
from .process import Process


class Tenant(Process):
    """The sample tenant. Its ledger may be shared with other instances."""

    def __init__(self, name, binaries, directory, limit=0, ledger=None, port=None):
        self.port = port or free_port()
        self.control_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        forget(self.url)
        forget(f"http://127.0.0.1:{self.control_port}")
        self.ledger = ledger or directory / f"{name}.ledger"
        self._http = new_session(4)
        command = [binaries / "sluice-sample-tenant", "--listen", f"127.0.0.1:{self.port}",
                   "--control", f"127.0.0.1:{self.control_port}", "--ledger", self.ledger,
                   "--name", name, "--limit", limit]
        super().__init__(name, command, directory, is_ready=self.stats)

    def _ask(self, path, **params):
        url = f"http://127.0.0.1:{self.control_port}{path}"
        answer = self._http.get(url, params=params, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def stats(self):
        """running, peak, received, served, dropped, polls, asked, limit, health, paused; busy_us, the time in which
        anything ran, and clock_us, both by its own clock"""
        return self._ask("/stats")

    def control(self, **orders):
        """health=503, pause=1, limit=3, refuse=1, refuse_ms=500, reset=1"""
        return self._ask("/control", **orders)

    def receipts(self, **wanted):
        """The ledger's lines, as dicts, whose fields are as wanted; drops are in it, marked."""
        if not self.ledger.exists():
            return []
        lines = self.ledger.read_bytes().split(b"\n")[:-1]
        found = (json.loads(line) for line in lines)
        return [r for r in found if all(r.get(k) == v for k, v in wanted.items())]


class Proxy(Process):
    """The delay proxy before `target_port`. direction: answers, requests or both."""

    def __init__(self, name, binaries, directory, target_port, delay_ms=0, direction="answers"):
        self.port = free_port()
        self.control_port = free_port()
        self._http = new_session(4)
        command = [binaries / "sluice-delay-proxy", "--listen", f"127.0.0.1:{self.port}",
                   "--target", f"127.0.0.1:{target_port}",
                   "--control", f"127.0.0.1:{self.control_port}",
                   "--delay-ms", delay_ms, "--direction", direction, "--log"]
        super().__init__(name, command, directory, is_ready=self.stats)

    def order(self, path, **params):
        """/set (delay_ms, ramp_ms_per_s, max_ms), /stop-reading, /blackhole, /resume, /cut,
        /refuse, /accept, /stats"""
        url = f"http://127.0.0.1:{self.control_port}{path}"
        answer = self._http.get(url, params=params, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def stats(self):
        return self.order("/stats")
