# SPDX-License-Identifier: Apache-2.0
import redis

from .ports import free_port
from .process import Process
from .waiting import wait_until


class Replica(Process):
    """A replica of a stack's Redis, as durable as that one; it may take its place."""

    def __init__(self, name, directory, primary_port):
        self.port = free_port()
        self.data = directory / name
        self.data.mkdir(parents=True)
        command = ["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--dir", self.data, "--save", "",
                   "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
                   "--repl-diskless-sync-delay", 0, "--replicaof", "127.0.0.1", primary_port]
        super().__init__(name, command, directory, is_ready=self.is_up)
        self.redis = redis.Redis(port=self.port, decode_responses=True)

    def is_up(self):
        """It follows, or is itself the primary by now."""
        try:
            told = self.redis.info("replication")
        except redis.exceptions.ConnectionError:
            return False
        return told["role"] == "master" or told["master_link_status"] == "up"

    def detach(self):
        """From now on it hears of nothing that the primary writes."""
        self.redis.execute_command("REPLICAOF", "NO", "ONE")

    def _has_taken(self, port):
        """A process is dead before the last of its threads has let the port go."""
        try:
            return self.redis.config_set("port", port)
        except redis.ResponseError as error:
            assert "listen" in str(error), error
            return False

    def take_over(self, port):
        """The primary whose port this was is dead."""
        self.detach()
        wait_until(lambda: self._has_taken(port), 30, f"port {port} to be let go")
        self.redis.close()
        self.port = port
        self.redis = redis.Redis(port=port, decode_responses=True)
