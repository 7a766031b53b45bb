# SPDX-License-Identifier: Apache-2.0
import os
import random
import socket

# Below Linux's ephemeral ports (32768 …), so that no outgoing connection takes one. Sessions that run side by side (pytest-xdist)
# have a share each.
_SHARES = 4
_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _SHARES
_LEAST = 15000 + _SHARE * (17000 // _SHARES)
_MOST = _LEAST + 17000 // _SHARES - 100
# operations.md: the offsets that a stack uses, with a few processes of each kind.
_OFFSETS = [*range(0, 15), *range(20, 24), *range(40, 44), *range(60, 64)]
_given = set()


def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _take(offsets):
    for _ in range(1000):
        base = random.randrange(_LEAST, _MOST)
        ports = [base + offset for offset in offsets]
        if not _given.intersection(ports) and all(map(_is_free, ports)):
            _given.update(ports)
            return base
    if not _given:
        raise RuntimeError("no free ports")
    _given.clear()  # those of stacks that are long gone
    return _take(offsets)


def free_port():
    return _take([0])


def free_port_base():
    return _take(_OFFSETS)
