# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM

from .waiting import wait_until

# What a sanitizer's exit looks like; the report itself is in sanitizer.NAME.PID.
_SANITIZER_EXIT = 99


class ProcessFailed(AssertionError):
    pass


class Process:
    """One process that the tests started themselves: restartable, its log in a file."""

    def __init__(self, name, command, directory, env=None, is_ready=None):
        self.name = name
        self.command = [str(word) for word in command]
        self.directory = Path(directory)
        self.env = env or {}
        self.is_ready = is_ready
        self.log = self.directory / "log" / f"{name}.log"
        self.reports = self.directory / "log" / f"sanitizer.{name}"
        self.popen = None
        self.exit_codes = []
        self.was_killed = False

    @property
    def pid(self):
        if not self.is_running:
            raise ProcessFailed(f"{self.name} does not run")
        return self.popen.pid

    @property
    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    def _environment(self):
        sanitizer = f"log_path={self.reports}:exitcode={_SANITIZER_EXIT}:abort_on_error=0"
        return {
            **os.environ,
            "ASAN_OPTIONS": f"{sanitizer}:detect_leaks=1",
            "LSAN_OPTIONS": f"exitcode={_SANITIZER_EXIT}",
            "UBSAN_OPTIONS": f"{sanitizer}:print_stacktrace=1",
            "TSAN_OPTIONS": sanitizer,
            **self.env,
        }

    def start(self, wait=True):
        if self.is_running:
            return self
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.was_killed = False
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment(), start_new_session=True)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=60):
        def ready():
            if not self.is_running:
                raise ProcessFailed(f"{self.name} ended with {self.popen.returncode}\n{self.tail()}")
            return self.is_ready is None or self.is_ready()

        try:
            wait_until(ready, timeout, f"{self.name} ready")
        except ProcessFailed:
            raise
        except AssertionError as error:
            raise ProcessFailed(f"{error}\n{self.tail()}") from None
        return self

    def signal(self, number):
        """E.g. SIGSTOP, SIGCONT, SIGHUP; nothing is waited for."""
        os.kill(self.pid, number)

    def _continue(self):
        """A stopped process hears no SIGTERM. (Not sent to others: SIGCONT during its final check
        hangs LeakSanitizer.)"""
        stat = Path(f"/proc/{self.popen.pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == "T":
            self.popen.send_signal(SIGCONT)

    def kill(self, number=SIGKILL):
        """Kills it and waits for its end."""
        if self.is_running:
            self.was_killed = True
            self.popen.send_signal(number)
            self._continue()
            self.popen.wait(30)
        return self

    def stop(self, timeout=60):
        """SIGTERM; returns the exit code. AssertionError if it does not end in time."""
        if self.is_running:
            self.popen.send_signal(SIGTERM)
            self._continue()
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                tail = self.tail()
                self.kill()
                raise ProcessFailed(f"{self.name} did not end within {timeout} s\n{tail}") from None
        if self.popen is None:
            return None
        self.exit_codes.append(self.popen.returncode)
        return self.popen.returncode

    def restart(self, number=SIGTERM, wait=True):
        if number == SIGTERM:
            self.stop()
        else:
            self.kill(number)
        return self.start(wait)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=40):
        return "\n".join([f"--- {self.log}", *self.text().splitlines()[-lines:]])

    def sanitizer_reports(self):
        found = sorted(self.reports.parent.glob(self.reports.name + ".*"))
        return "\n".join(path.read_text(errors="replace") for path in found)

    def rss_kib(self):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise ProcessFailed(f"{self.name} has no VmRSS")

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
