# SPDX-License-Identifier: Apache-2.0
"""Situation C: a discovery server's configuration file, unchanged, as JSON and as YAML. Its services, with servers as an
object and as a list, get the requests to their `apis`; an instance goes down, is taken out, and comes back; /health,
/stats and /dump show it."""
import json
import time

from client import Request, percentile, send_all
from harness import wait_until
from report import Report

PACKETS = 20
# name → path that its service declares
SERVICES = {"stock": "/stock/free", "price-list": "/prices"}
INSTANCES = {"stock": ("stock-1", "stock-2"), "price-list": ("price-1", "price-2")}


def server_of(stack, name):
    return f"127.0.0.1:{stack[name].port}"


def document(stack):
    """As such a server's users write it: nothing in it is Sluice's own."""
    often = {"frequency": 0.5, "retries": 1, "retry_delay": 0.2, "packet_limit": PACKETS}
    return {
        "meta-info": {"discovery_server_name": "Finder", "request_processor_name": "Forwarder",
                      "discovery_server_port": stack.port_base + 1, "request_processor_port": stack.port_base},
        "stock": {
            "servers": {server_of(stack, "stock-1"): {"method": "health", "endpoint": "/health", "priority": "high", **often},
                        server_of(stack, "stock-2"): {"method": "ping", "priority": "low", **often}},
            "apis": ["/stock", "/stock/free"]},
        "Price List": {
            "servers": [server_of(stack, "price-1"), "http://" + server_of(stack, "price-2")],
            "polling": {"method": "health", "endpoint": "/health", **often},
            "apis": ["/prices"]}}


def write_json(stack):
    """From now on the stack's configuration file is written as JSON."""
    def configure(config):
        stack.config_file.write_text(json.dumps(config(stack) if callable(config) else config, indent=1))

    stack.configure = configure


def make(make_stack, is_json):
    stack = make_stack(document, start=False)
    for name in (n for pair in INSTANCES.values() for n in pair):
        stack.add_tenant(name)
    if is_json:
        write_json(stack)
    stack.start()
    # Their ports come from meta-info alone.
    for name in ("ingress", "dispatcher"):
        stack.stop(name)
        del stack[name].command[stack[name].command.index("--listen"):]
        stack.start(name)
    wait_until(lambda: stack.call("GET", "/prices/warm").status_code == 200, 30, "the services")
    return stack


def served(stack, path, count=12):
    """({instance: calls}, [answer, …]) of so many calls of a declared api."""
    answers = send_all(stack.port_base, [Request("GET", f"{path}/{n}") for n in range(count)], 4)
    found = {}
    for a in answers:
        by = a.headers.get("x-instance", f"status {a.status}")
        found[by] = found.get(by, 0) + 1
    return found, answers


def services(stack, view="/stats"):
    return stack.ask(view).json()["services"]


def judge_forwarding(stack, report):
    by_stock, quick = served(stack, "/stock/free")
    by_price, more = served(stack, "/prices")
    report.must(set(by_stock) == {"stock-1"}, f"the best instance of stock is stock-1, and {by_stock} served")
    report.must(set(by_price) == set(INSTANCES["price-list"]), f"/prices was served by {by_price}")
    status = stack.call("GET", "/unheard-of").status_code
    report.must(status == 404, f"a path of no service is answered with {status}")
    report.figure("a forwarded request, p50", percentile([a.seconds for a in quick + more], 50) * 1000, "ms")


def judge_outage(stack, report):
    """stock-1 fails its health checks, price-2 refuses connections; both come back."""
    begun = time.monotonic()
    stack["stock-1"].control(health=503)
    stack["price-2"].control(refuse=1)
    wait_until(lambda: set(served(stack, "/stock")[0]) == {"stock-2"}, 20, "stock-1 is out")
    wait_until(lambda: set(served(stack, "/prices")[0]) == {"price-1"}, 20, "price-2 is out")
    report.figure("taken out within", time.monotonic() - begun, "s")
    seen = services(stack)
    report.must(not seen["stock"]["instances"][server_of(stack, "stock-1")]["healthy"], "/stats shows stock-1 as healthy")
    begun = time.monotonic()
    stack["stock-1"].control(health=200)
    stack["price-2"].control(refuse=0)
    wait_until(lambda: "stock-1" in served(stack, "/stock")[0], 20, "stock-1 is back")
    wait_until(lambda: "price-2" in served(stack, "/prices")[0], 20, "price-2 is back")
    report.figure("back within", time.monotonic() - begun, "s")


def judge_views(stack, report):
    health = stack.ask("/health").json()
    report.must(health["status"] == "ok", f"/health says {health}")
    wait_until(lambda: all(i["polls"] > PACKETS for s in services(stack).values() for i in s["instances"].values()), 60,
               "more polls than are remembered")
    # A ping is a HEAD, and nobody else's. The figure is at most two seconds old, and has unsent attempts, too.
    received = {name: sum(len(stack.receipts(instance=i, method="GET")) for i in INSTANCES[name]) for name in SERVICES}
    wait_until(lambda: all(services(stack)[n]["requests"] >= received[n] for n in SERVICES), 10, "the requests in /stats")
    dump = stack.ask("/dump").json()
    for name, service in dump["services"].items():
        for server, i in service["instances"].items():
            report.must(len(i["history"]) == PACKETS, f"{name} {server}: {len(i['history'])} polls of {PACKETS} in /dump")
            report.must(i["mean_latency_s"] is not None and i["last_poll_at"], f"{name} {server} has no latency: {i}")
    failures = dump["services"]["stock"]["instances"][server_of(stack, "stock-1")]["failures"]
    report.must(failures >= 2, f"{failures} failures of stock-1 were counted")
    report.must(set(dump["configuration"]["tenants"]) == set(SERVICES), "/dump lacks the configuration as loaded")
    report.figure("polls of all instances", sum(i["polls"] for s in dump["services"].values()
                                                for i in s["instances"].values()))


def run(make_stack, is_json, small=False):
    report = Report(f"C: a discovery server's file as {'JSON' if is_json else 'YAML'}")
    stack = make(make_stack, is_json)
    judge_forwarding(stack, report)
    judge_outage(stack, report)
    judge_views(stack, report)
    return report


def run_json(make_stack, small=False):
    return run(make_stack, True, small)


def run_yaml(make_stack, small=False):
    return run(make_stack, False, small)
