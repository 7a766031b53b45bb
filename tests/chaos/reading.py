# SPDX-License-Identifier: Apache-2.0
"""What is read of a Sluice when all is over, as checker.py wants it. `world` has tenants (names), redis (decoding) and
raw_redis, queues() and amqp(): a chaos run's processes, or a composition of containers."""
import hashlib
import json
import time

import redis
from harness import ProcessFailed


def unsettled(world):
    """What still moves, as a text; "" when all is at rest."""
    r = world.redis
    for tenant in world.tenants:
        tag = f"{{{tenant}}}:"
        counted = {"unended": r.zcard(tag + "u") - int(r.hget(tag + "t", "ind") or 0), "slots": r.hlen(tag + "s"),
                   "outbox": r.zcard(tag + "o"), "running": int(r.hget(tag + "t", "run") or 0)}
        if any(counted.values()):
            return f"{tenant}: {counted}"
    queues = {n: row[:2] for n, row in world.queues().items() if any(row[:2]) and not n.endswith(".shelf")}
    return f"queues: {queues}" if queues else ""


def settle(world, bound_s):
    """Waits until all is at rest. Gives the seconds that it took, and what was left at the bound."""
    begun = time.monotonic()
    left = "?"
    while left and time.monotonic() - begun < bound_s:
        try:
            left = unsettled(world)
        except (redis.RedisError, ProcessFailed) as error:
            left = repr(error)
        if left:
            time.sleep(0.5)
    return time.monotonic() - begun, left


def read_answers(path):
    """The callers' log: one dict a request."""
    found = {}
    with open(path) as log:
        for line in log:
            row = json.loads(line)
            if row.pop("ev") == "send":
                found[row["id"]] = row
            else:
                row["answered"] = row.pop("at")
                found[row.pop("id")].update(row)
    return list(found.values())


def _pages(keys, n=2000):
    return [keys[i:i + n] for i in range(0, len(keys), n)]


def read_records(world):
    raw = world.raw_redis
    records, results = {}, {}
    for tenant in world.tenants:
        keys = list(raw.scan_iter(f"{{{tenant}}}:j:*", count=5000))
        for page in _pages(keys):
            pipe = raw.pipeline(transaction=False)
            for key in page:
                pipe.hgetall(key)
                pipe.pttl(key)
                pipe.get(key.replace(b"}:j:", b"}:r:"))
            rows = pipe.execute()
            for i, key in enumerate(page):
                job = f"{tenant}.{key.rpartition(b':')[2].decode()}"
                records[job] = {k.decode(): v.decode("utf-8", "replace") for k, v in rows[3 * i].items()}
                records[job]["ttl_ms"] = rows[3 * i + 1]
                if rows[3 * i + 2] is not None:
                    results[job] = _result(rows[3 * i + 2])
    return records, results


def _result(packed):
    """See common/job/answer.h."""
    status, _, rest = packed.partition(b"\n")
    body = rest[2:] if rest.startswith(b"\r\n") else rest.partition(b"\r\n\r\n")[2]
    return {"status": int(status), "sha": hashlib.sha1(body).hexdigest(), "text": body.decode("utf-8", "replace")[:400]}


def read_state(world):
    r = world.redis
    state = {}
    for tenant in world.tenants:
        tag = f"{{{tenant}}}:"
        bodies = {k.rpartition(":")[2]: int(r.hget(k, "q")) for k in r.scan_iter(tag + "b:*", count=1000)}
        keys = list(r.scan_iter(tag + "k:*", count=5000))
        pipe = r.pipeline(transaction=False)
        for key in keys:
            pipe.get(key)
            pipe.pttl(key)
        rows = pipe.execute()
        state[tenant] = {"t": r.hgetall(tag + "t"), "s": r.hgetall(tag + "s"), "b": bodies,
                         **{z: r.zrange(tag + z, 0, -1) for z in ("u", "w", "h", "o")},
                         "k": {k.rpartition(":")[2]: [rows[2 * i], rows[2 * i + 1]] for i, k in enumerate(keys)}}
    return state


def read_shelf_queues(world):
    """{tenant: the jobs whose copies lie in its shelf queue}; to be asked when no daemon runs."""
    found = {}
    connection = world.amqp()
    channel = connection.channel()
    for tenant in world.tenants:
        found[tenant] = []
        while True:
            method, properties, _ = channel.basic_get(f"sluice.{tenant}.shelf", auto_ack=False)
            if method is None:
                break
            found[tenant].append(properties.message_id)
    connection.close()
    return found
