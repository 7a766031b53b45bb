# SPDX-License-Identifier: Apache-2.0
"""Cluster: RabbitMQ nodes that found each other, on loopback, each a process of its own: to kill, to freeze, to start again.

One epmd and one cookie, both the cluster's own. As a broker of a Stack it is given with `broker=`; `urls()` goes into the
configuration as broker.urls.
"""
import subprocess
from pathlib import Path

from .ports import free_port
from .process import Process, ProcessFailed
from .stack import Broker
from .waiting import wait_until

_BIN = Path("/usr/lib/rabbitmq/bin")

# A quorum queue's messages survive one node of three (`pause_minority` would stop both of two). A node that does not answer
# the others is given up after 5 s (net_ticktime counts four ticks; the default is a minute).
_CONFIG = """vm_memory_high_watermark.absolute = 400MB
disk_free_limit.absolute = 200MB
raft.wal_max_size_bytes = 32000000
log.console.level = warning
cluster_partition_handling = {partitions}
queue_leader_locator = balanced
cluster_formation.peer_discovery_backend = classic_config
"""
_ADVANCED = """[{kernel, [{net_ticktime, 5}]},
 {rabbit, [{dead_letter_worker_consumer_prefetch, 512},
           {dead_letter_worker_publisher_confirm_timeout, 5000}]}].
"""


class Cluster(Broker):
    """nodes: 3, or 2 (then the death of one stops the quorum queues until it is back)."""

    def __init__(self, directory, nodes=3):
        super().__init__(directory, port_base=0, parts=self)
        self.directory = Path(directory)
        self.epmd_port = free_port()
        self.ports = [free_port() for _ in range(nodes)]
        self.port = self.ports[0]
        self.epmd = Process("epmd", ["epmd", "-address", "127.0.0.1", "-port", self.epmd_port], self.directory,
                            self._own_home())
        self.nodes = [self._node(i) for i in range(nodes)]

    # --- making ---

    def _own_home(self):
        return {"HOME": str(self.directory), "ERL_EPMD_PORT": str(self.epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1"}

    def _environment(self, i):
        home = self.directory / f"r{i}"
        return {
            **self._own_home(),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": f"r{i}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.ports[i]),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_CRASH_DUMP": str(home / "erl_crash.dump"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CTL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RUNNING_UNDER_SYSTEMD": "true",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        }

    def _node(self, i):
        home = self.directory / f"r{i}"
        (home / "log").mkdir(parents=True)
        partitions = "pause_minority" if len(self.ports) > 2 else "ignore"
        peers = "".join(f"cluster_formation.classic_config.nodes.{k + 1} = r{k}@localhost\n" for k in range(len(self.ports)))
        (home / "rabbitmq.conf").write_text(_CONFIG.format(partitions=partitions) + peers)
        (home / "advanced.config").write_text(_ADVANCED)
        (home / "enabled_plugins").write_text("[].\n")
        return Process(f"r{i}", [_BIN / "rabbitmq-server"], self.directory, self._environment(i),
                       lambda: self.ctl("await_startup", "--timeout", "5", node=i) is not None)

    # --- living ---

    def start(self):
        self.epmd.start()
        cookie = self.directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text("sluice-cluster")
            cookie.chmod(0o400)
        for node in self.nodes:
            node.start(wait=False)
        self.wait_whole()
        return self

    def wait_whole(self, timeout=120):
        wait_until(self._is_whole, timeout, "the cluster is whole")

    def _is_whole(self):
        """All nodes run, and each knows of all."""
        asked = next(i for i, node in enumerate(self.nodes) if node.is_running)
        try:
            running = self.ctl("eval", "length(rabbit_mnesia:cluster_nodes(running)).", node=asked)
        except ProcessFailed:
            if not self.nodes[asked].is_running:
                raise
            return False
        return int(running) == len(self.nodes)

    def stop(self):
        for node in self.nodes:
            node.kill()
        self.epmd.kill()

    def kill(self, i):
        self.nodes[i].kill()

    def freeze(self, i, number):
        """number: SIGSTOP or SIGCONT."""
        self.nodes[i].signal(number)

    def restart(self, i):
        self.nodes[i].start(wait=False)
        wait_until(self._is_whole, 120, f"r{i} is back")

    # --- asking ---

    def ctl(self, *arguments, node=None):
        """rabbitmqctl, at the first node that runs unless one is named."""
        node = node if node is not None else next(i for i, p in enumerate(self.nodes) if p.is_running)
        done = subprocess.run([_BIN / "rabbitmqctl", "-q", "-n", f"r{node}@localhost", *arguments],
                              env={**self.nodes[node]._environment()}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        if done.returncode != 0:
            raise ProcessFailed(f"rabbitmqctl {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def urls(self, vhost="/"):
        return [f"amqp://guest:guest@127.0.0.1:{port}/{vhost.replace('/', '%2f')}" for port in self.ports]

    def leaders(self, vhost="/"):
        """{queue: the number of the node that leads it}"""
        lines = self.ctl("list_queues", "-p", vhost, "--no-table-headers", "name", "leader").splitlines()
        rows = [line.split("\t") for line in lines if line]
        return {row[0]: int(row[1][1:].partition("@")[0]) for row in rows if row[1].startswith("r")}

    def tails(self):
        return "\n".join(node.tail() for node in self.nodes)
