# SPDX-License-Identifier: Apache-2.0
"""harness: real brokers, real stores, real daemons, each in a directory of its own.

    def test_it(make_stack):
        stack = make_stack()                      # the sample tenant, one process of each kind
        answer = stack.call("GET", "/call/sample/hello")

See stack.py. What is waited for is waited for with wait_until(), never with sleep.
"""
from .cluster import Cluster
from .http import AFTER_RESPONSE, new_session
from .ports import free_port, free_port_base
from .process import Process, ProcessFailed
from .stack import Broker, Stack
from .tools import Proxy, Tenant
from .waiting import wait_until

__all__ = [
    "AFTER_RESPONSE", "Broker", "Cluster", "Process", "ProcessFailed", "Proxy", "Stack", "Tenant",
    "free_port", "free_port_base", "new_session", "wait_until",
]
