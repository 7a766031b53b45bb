# SPDX-License-Identifier: Apache-2.0
"""Which node a daemon goes to, and by which address: broker.urls, and names that come and change."""
import re

import pytest

from harness import Process, free_port, wait_until
from harness.load import config_of

DAEMONS = ("ingress", "worker-1", "dispatcher")
NAME = "broker.sluice.test"


def nodes_of(stack, daemon):
    """The node of each connection that was opened, as the log says."""
    return re.findall(r"id=broker_open .*? node=(\S+)", stack[daemon].text())


def readyz(stack, daemon):
    return stack.http.get(stack[daemon].url + "/readyz", timeout=5).text


def test_a_node_that_refuses_is_passed_over(make_stack):
    dead = free_port()

    def config(stack):
        alive = stack.broker.url(stack.vhost)
        return config_of(stack, {"sample": {}}, broker={
            "urls": [alive.replace(f":{stack.broker.port}/", f":{dead}/"), alive]})

    stack = make_stack(config, env={"SLUICE_CFG_BROKER_URL": None})
    assert stack.call("GET", "/call/sample/hello").status_code == 200
    assert stack.wait_job(stack.submit().json()["id"])["state"] == "succeeded"
    for daemon in DAEMONS:
        assert set(nodes_of(stack, daemon)) == {f"127.0.0.1:{stack.broker.port}"}


def test_no_node_answers(make_stack):
    """The daemons live, and say which node they tried last, and what came of it; callers get 503."""
    ports = [free_port(), free_port()]
    urls = [f"amqp://guest:guest@127.0.0.1:{port}/" for port in ports]
    stack = make_stack(lambda s: config_of(s, {"sample": {}}, broker={"urls": urls}), start=False,
                       env={"SLUICE_CFG_BROKER_URL": None})
    stack._start_all(wait=False)
    for daemon in DAEMONS:
        # The first of a round is followed by the other almost at once: mostly the second is seen.
        wait_until(lambda: any(f"the broker is not open: 127.0.0.1:{port}: connect: Connection refused"
                               in readyz(stack, daemon) for port in ports), 30)
        wait_until(lambda: "id=broker_away" in stack[daemon].text(), 30)
    answer = stack.submit()
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"].isdigit()


class Hosts:
    """/etc/hosts of the daemons alone, by libnss-wrapper."""

    def __init__(self, path):
        self.path = path
        self.set()

    def set(self, address=None):
        """The name's address; None: there is no such name."""
        new = self.path.with_suffix(".new")
        new.write_text(f"{address} {NAME}\n" if address else "127.0.0.1 somebody-else\n")
        new.rename(self.path)

    @property
    def environment(self):
        return {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_HOSTS": str(self.path), "SLUICE_CFG_BROKER_URL": None}


@pytest.mark.slow  # a sanitizer wants to be the first library
def test_a_name_comes_late_and_moves(make_stack, tmp_path):
    """A broker in a container: its name is known when it starts, and means another address when it starts anew."""
    hosts = Hosts(tmp_path / "hosts")

    def config(stack):
        url = stack.broker.url(stack.vhost).replace("127.0.0.1", NAME)
        return config_of(stack, {"sample": {}}, broker={"url": url})

    stack = make_stack(config, start=False, env=hosts.environment)
    stack._start_all(wait=False)
    port = stack.broker.port
    for daemon in DAEMONS:
        wait_until(lambda: f"the broker is not open: {NAME}:{port}: " in readyz(stack, daemon), 30)

    # The same broker, by another address.
    proxy = Process("other-address", [stack.binaries / "sluice-delay-proxy", "--listen", f"127.0.0.2:{port}",
                                      "--target", f"127.0.0.1:{port}", "--control", f"127.0.0.1:{free_port()}"],
                    stack.directory)
    stack.processes[proxy.name] = proxy.start()
    hosts.set("127.0.0.2")
    stack.wait_ready()
    for daemon in DAEMONS:
        assert set(nodes_of(stack, daemon)) == {f"{NAME}:{port}"}
    assert stack.wait_job(stack.submit().json()["id"])["state"] == "succeeded"

    hosts.set("127.0.0.1")
    before = {daemon: len(nodes_of(stack, daemon)) for daemon in DAEMONS}
    proxy.kill()
    wait_until(lambda: all(len(nodes_of(stack, daemon)) >= 2 * before[daemon] for daemon in DAEMONS), 30)
    stack.wait_ready()
    assert stack.wait_job(stack.submit().json()["id"])["state"] == "succeeded"
    assert stack.call("GET", "/call/sample/hello").status_code == 200
