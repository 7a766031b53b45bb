# SPDX-License-Identifier: Apache-2.0
"""What processes cost, as the kernel tells it: processor time and memory; and how much a Redis holds.

A process stands for all below it: nginx and gunicorn have workers, RabbitMQ has a few helpers.
"""

import os
import pathlib
import re
import socket

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def _processes():
    """{pid: (parent, ticks of it and of its children that have ended)}"""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it ended meanwhile
        found[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    return found


def _family(pids, known):
    family = set(pids) & set(known)
    while grown := {pid for pid, (parent, _) in known.items() if parent in family} - family:
        family |= grown
    return family


def cpu_s(pids):
    """Processor time of these and of all below them, in seconds."""
    known = _processes()
    return sum(known[pid][1] for pid in _family(pids, known)) / TICKS_PER_S


def pss_kib(pids):
    """Their proportional set: what is shared counts by its share."""
    total = 0
    for pid in _family(pids, _processes()):
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
    return total


def redis_say(port, *words):
    """One command; what came back first, as it stands on the wire."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return s.recv(65536)


def redis_used(port):
    """Its memory, in bytes."""
    return int(re.search(rb"used_memory:(\d+)", redis_say(port, b"INFO", b"memory")).group(1))
