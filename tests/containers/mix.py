# SPDX-License-Identifier: Apache-2.0
"""What the callers of the containers' tests ask for. Pure: the same seed gives the same requests."""
import json
import random

from plan import Request, nonce_of

# kind, weight
MIX = (("async", 40), ("async-key", 20), ("sync", 20), ("sync-key", 10), ("wait", 5), ("delayed", 5))
KEYED = ("async-key", "sync-key")
# tenant, weight: by what becomes of an attempt in doubt; "lined" has ordering keys.
SHARES = (("plain", 45), ("held", 40), ("lined", 15))
POLICIES = {"plain": "retry", "held": "hold", "lined": "retry"}
LINES = 25
TIMEOUTS = {"connect_s": 1, "first_byte_s": 4, "total_s": 5, "sync_s": 12}
LEASE_S = 4
LEADER_LEASE_S = 2


def config(instance):
    """Of all tenants, on one instance; no limits."""
    retry = {"max_attempts": 12, "initial_s": 0.1, "max_s": 1}
    tenants = {name: {"instances": [instance], "in_doubt": {"policy": policy}, "retry": retry, "timeouts": TIMEOUTS,
                      "result_ttl_s": 86400, "sync_result_ttl_s": 86400} for name, policy in POLICIES.items()}
    document = {"tenants": tenants, "worker": {"lease_s": LEASE_S}, "ingress": {"drain_s": 5},
                "dispatcher": {"leader_lease_s": LEADER_LEASE_S}}
    return json.loads(json.dumps(document))  # nothing in it is shared: Sluice refuses aliases


def request_of(seed, number):
    rng = random.Random(f"containers {seed} {number}")
    tenant = rng.choices([s[0] for s in SHARES], [s[1] for s in SHARES])[0]
    kind = rng.choices([m[0] for m in MIX], [m[1] for m in MIX])[0]
    if tenant == "lined":
        kind = "async"
    interface = "call" if kind in ("sync", "sync-key", "wait") else "jobs"
    copies = [(interface, 0.0)]
    if kind in KEYED and rng.random() < 0.3:
        copies.append((interface, rng.choice((0.0, 0.05, 1.0))))
    sleep_ms = rng.randrange(5, 30) if tenant == "lined" else rng.randrange(50, 350) if rng.random() < 0.5 else 0
    return Request(number=number, kind=kind, tenant=tenant, method="POST",
                   path=f"/w/{nonce_of(seed, number)}" + (f"?sleep_ms={sleep_ms}" if sleep_ms else ""), body="",
                   key=f"k-{nonce_of(seed, number)}" if kind in KEYED else "",
                   delay_s=round(rng.uniform(1, 5), 1) if kind == "delayed" else 0.0, ttl_s=0.0,
                   wait_s=rng.randrange(1, 4) if kind == "wait" else 0, copies=tuple(copies), first=rng.randrange(2),
                   ordering_key=f"line {number % LINES}" if tenant == "lined" else "")
