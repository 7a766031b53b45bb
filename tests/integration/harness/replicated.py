# SPDX-License-Identifier: Apache-2.0
"""Redis servers beside a stack's own, and sentinels that watch them: real ones, on free loopback ports."""
import subprocess
import time
from signal import SIGTERM

import redis

from .ports import free_port
from .process import Process
from .waiting import wait_until

MASTER = "sluice"
# Long enough that a loaded machine does not fail over by itself.
DOWN_AFTER_MS = 2000


def patient(function):
    """What fails because a server is not there, or not yet, fails as wait_until() knows it."""
    def called(*arguments, **options):
        try:
            return function(*arguments, **options)
        except redis.RedisError as error:
            raise ConnectionError(str(error)) from error

    return called


def connect(port, password=None):
    return redis.Redis("127.0.0.1", port, password=password, decode_responses=True, socket_timeout=5)


class RedisServer(Process):
    """Strict as Sluice wants it; `more`: further options of redis-server."""

    def __init__(self, stack, name, replica_of=None, **more):
        self.port = free_port()
        directory = stack.directory / name
        directory.mkdir(parents=True)
        options = {"port": self.port, "bind": "127.0.0.1", "dir": directory, "save": "", "appendonly": "yes",
                   "appendfsync": "always", "maxmemory-policy": "noeviction", "repl-diskless-sync-delay": 0, **more}
        if replica_of is not None:
            options["replicaof"] = f"127.0.0.1 {replica_of.port}"
        words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
        self.redis = connect(self.port)
        super().__init__(name, ["redis-server", *words], stack.directory, is_ready=patient(self.redis.ping))
        stack.processes[name] = self

    def stop(self, timeout=60):
        """Redis refuses a SIGTERM that comes while it writes the first append-only file after a copy of its primary ("Writing initial
        AOF, can't exit"), and forgets it: it is told again each second."""
        end = time.monotonic() + timeout - 1
        while self.is_running and time.monotonic() < end:
            self.popen.send_signal(SIGTERM)
            self._continue()
            try:
                self.popen.wait(1)
            except subprocess.TimeoutExpired:
                pass
        return super().stop(1)

    @patient
    def role(self):
        return self.redis.role()[0]

    @patient
    def is_in_sync_with(self, primary):
        mine, its = self.redis.info("replication"), primary.redis.info("replication")
        return mine.get("master_link_status") == "up" and mine["slave_repl_offset"] >= its["master_repl_offset"]

    @patient
    def clients(self):
        """Those of Sluice: neither sentinels and replication (which may be within a MULTI: 'Mx'), nor ourselves."""
        mine = self.redis.client_id()
        return [c for c in self.redis.client_list()
                if not c["name"].startswith("sentinel-") and not set(c["flags"]) & {"S", "M"} and int(c["id"]) != mine]


class Sentinel(Process):
    """`lines`: further ones of its configuration; password: its own."""

    def __init__(self, stack, name, primary, quorum=2, password=None, host="127.0.0.1", before=(), lines=()):
        self.port = free_port()
        self.url = f"127.0.0.1:{self.port}" if password is None else f":{password}@127.0.0.1:{self.port}"
        directory = stack.directory / name
        directory.mkdir(parents=True)
        file = directory / "sentinel.conf"
        secret = [] if password is None else [f"requirepass {password}", f"sentinel sentinel-pass {password}"]
        file.write_text("\n".join([
            f"port {self.port}", "bind 127.0.0.1", f"dir {directory}", *secret, *before,
            f"sentinel monitor {MASTER} {host} {primary.port} {quorum}",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 5000", *lines, ""]))
        self.redis = connect(self.port, password)
        super().__init__(name, ["redis-server", file, "--sentinel"], stack.directory,
                         is_ready=patient(self.redis.ping))
        stack.processes[name] = self

    @patient
    def master_port(self):
        return int(self.redis.sentinel_get_master_addr_by_name(MASTER)[1])

    @patient
    def knows(self, others, replicas):
        seen = self.redis.sentinel_master(MASTER)
        return (int(seen["num-other-sentinels"]), int(seen["num-slaves"])) == (others, replicas)

    @patient
    def connections(self):
        """How many were made to it, ever."""
        return self.redis.info("stats")["total_connections_received"]


class Replicated:
    """A primary, its replicas and three sentinels. Made before the stack starts, they start with it."""

    def __init__(self, stack, replicas=1, **sentinel):
        self.a = RedisServer(stack, "redis-a")
        self.b, *others = [RedisServer(stack, f"redis-{name}", replica_of=self.a) for name in "bcd"[:replicas]]
        self.servers = [self.a, self.b, *others]
        self.sentinels = [Sentinel(stack, f"sentinel-{i}", self.a, **sentinel) for i in (1, 2, 3)]

    def store(self, *first, **more):
        """The section `store` of a configuration; `first`: sentinels that come before."""
        return {"sentinels": [*first, *(s.url for s in self.sentinels)], "master": MASTER, **more}

    def master(self):
        """The running server that says so itself, and of which all sentinels say it; else None."""
        told = {s.master_port() for s in self.sentinels}
        return next((s for s in self.servers if s.is_running and told == {s.port} and s.role() == "master"), None)

    def wait_settled(self):
        """Until all know each other and the replicas have all. Gives the master."""
        master = wait_until(self.master, 60, "a master")
        followers = [s for s in self.servers if s is not master and s.is_running]
        wait_until(lambda: all(s.knows(others=2, replicas=len(self.servers) - 1) for s in self.sentinels), 60,
                   "the sentinels to find all")
        for follower in followers:
            wait_until(lambda f=follower: f.is_in_sync_with(master), 60, f"{follower.name} in sync")
        return master

    def wait_promoted(self, instead_of=None):
        """Until another is the master, in its own words and in all the sentinels'. Gives it."""
        gone = instead_of or self.a
        return wait_until(lambda: (found := self.master()) is not None and found is not gone and found, 60,
                          "a replica to be promoted")
