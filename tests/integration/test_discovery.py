# SPDX-License-Identifier: Apache-2.0
"""A discovery server's configuration, and what such a server shows: defaults, polls by `health` and `ping`, for a
service and for single servers, their history up to packet_limit, and the figures of /stats and /dump. The whole of it
in one run is scenario C."""
import json
import subprocess

import pytest
import yaml

from harness import wait_until

OFTEN = {"frequency": 0.2, "retries": 1, "retry_delay": 0.2}
META = {"discovery_server_name": "Finder", "request_processor_name": "Forwarder",
        "discovery_server_port": 9101, "request_processor_port": 9102}
FILE = {"meta-info": META,
        "stock": {"servers": {"10.0.0.1:1": {"method": "ping", "priority": "high"},
                              "10.0.0.2:2": {"method": "health", "endpoint": "/up", "frequency": 7, "retries": 2,
                                             "retry_delay": 3, "packet_limit": 11, "priority": "low"}},
                  "apis": ["/stock"]},
        "Price List": {"servers": ["10.0.0.3:3", "https://prices.example/base"],
                       "polling": {"method": "health", "endpoint": "/health", "priority": "med"}, "apis": ["/prices"]}}


def effective(bin_dir, path):
    done = subprocess.run([bin_dir / "sluice-dispatcher", "--config", path, "--print-config"], capture_output=True, text=True,
                          check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


@pytest.fixture
def written(tmp_path):
    def write(document, kind="json"):
        path = tmp_path / f"discovery.{kind}"
        path.write_text(json.dumps(document, indent=2) if kind == "json" else yaml.safe_dump(document, sort_keys=False))
        return path

    return write


def test_json_and_yaml_say_the_same(bin_dir, written):
    assert effective(bin_dir, written(FILE)) == effective(bin_dir, written(FILE, "yaml"))


def test_the_ports_are_those_of_dispatcher_and_ingress(bin_dir, written):
    found = effective(bin_dir, written(FILE))
    assert found["dispatcher"]["listen"] == "127.0.0.1:9101" and found["ingress"]["listen"] == "127.0.0.1:9102"


def test_a_server_has_its_own_polling_and_priority(bin_dir, written):
    stock = effective(bin_dir, written(FILE))["tenants"]["stock"]
    first, second = stock["instances"]
    assert (first["url"], first["priority"], first["polling"]["method"]) == ("http://10.0.0.1:1", "high", "ping")
    assert (first["polling"]["frequency"], first["polling"]["packet_limit"]) == (60, 5000)
    assert second["polling"] == {"method": "health", "endpoint": "/up", "frequency": 7, "retries": 2, "retry_delay": 3,
                                 "packet_limit": 11}
    assert second["priority"] == "low" and stock["balance"] == "priority" and stock["apis"] == ["/stock"]


def test_a_service_polls_all_its_servers_alike(bin_dir, written):
    prices = effective(bin_dir, written(FILE))["tenants"]["price-list"]
    assert [i["url"] for i in prices["instances"]] == ["http://10.0.0.3:3", "https://prices.example/base"]
    assert [i["priority"] for i in prices["instances"]] == ["med", "med"]
    assert (prices["polling"]["method"], prices["polling"]["frequency"], prices["polling"]["packet_limit"]) == \
        ("health", 60, 5000)


def test_retries_without_a_delay_are_refused_where_they_stand(bin_dir, written):
    path = written({"a": {"servers": ["h:1"], "polling": {"method": "ping", "retries": 2}, "apis": ["/a"]}})
    done = subprocess.run([bin_dir / "sluice-dispatcher", "--config", path, "--check"], capture_output=True, text=True,
                          check=False, timeout=20)
    assert done.returncode == 1 and "retry_delay" in done.stdout + done.stderr


# --- polls and what is shown of them ---


@pytest.fixture(scope="module")
def stack(make_module_stack):
    def config(stack):
        servers = {f"127.0.0.1:{stack['pinged'].port}": {"method": "ping", "packet_limit": 4, **OFTEN},
                   f"127.0.0.1:{stack['asked'].port}": {"method": "health", "endpoint": "/health", "packet_limit": 6, **OFTEN}}
        return {"both": {"servers": servers, "apis": ["/both"]},
                "still": {"servers": [f"127.0.0.1:{stack['sample-1'].port}"], "apis": ["/still"]}}

    stack = make_module_stack(config, start=False)
    for name in ("pinged", "asked"):
        stack.add_tenant(name, limit=1)
    return stack.start()


def services(stack, view="/stats"):
    return stack.ask(view).json()["services"]


def shown(stack, name, view="/stats"):
    return services(stack, view)["both"]["instances"][f"127.0.0.1:{stack[name].port}"]


def test_a_ping_is_a_connection_and_no_request(stack):
    wait_until(lambda: shown(stack, "pinged")["polls"] >= 3, 20)
    found = shown(stack, "pinged", "/dump")
    assert found["failures"] == 0 and found["healthy"]
    assert {(p["outcome"], p["status"]) for p in found["history"]} == {("good", None)}
    stats = stack["pinged"].stats()
    assert (stats["received"], stats["polls"], stats["busy_us"]) == (0, 0, 0)


def test_a_ping_finds_a_closed_port(stack):
    stack["pinged"].control(refuse=1)
    try:
        wait_until(lambda: not shown(stack, "pinged")["healthy"], 20)
        wait_until(lambda: shown(stack, "pinged", "/dump")["history"][-1]["outcome"] == "refused", 20)
    finally:
        stack["pinged"].control(refuse=0)
    wait_until(lambda: shown(stack, "pinged")["healthy"], 20)


def test_health_shows_the_status_that_came(stack):
    stack["asked"].control(health=503)
    try:
        wait_until(lambda: not shown(stack, "asked")["healthy"], 20)
        history = shown(stack, "asked", "/dump")["history"]
        assert (history[-1]["outcome"], history[-1]["status"]) == ("bad", 503)
    finally:
        stack["asked"].control(health=200)
    wait_until(lambda: shown(stack, "asked")["healthy"], 20)
    failures = shown(stack, "asked")["failures"]
    wait_until(lambda: shown(stack, "asked", "/dump")["history"][-1]["outcome"] == "good", 20)
    assert failures >= 2 and shown(stack, "asked")["polls"] > failures


def test_the_history_ends_at_packet_limit_and_holds_the_newest(stack):
    wait_until(lambda: min(shown(stack, n)["polls"] for n in ("pinged", "asked")) > 12, 30)
    for name, limit in (("pinged", 4), ("asked", 6)):
        found = shown(stack, name, "/dump")
        times = [p["at"] for p in found["history"]]
        assert len(times) == limit and times == sorted(times) and times[-1] == found["last_poll_at"]
        assert "history" not in shown(stack, name)
        newer = wait_until(lambda name=name, last=times[-1]:
                           [p["at"] for p in shown(stack, name, "/dump")["history"] if p["at"] > last], 20)
        assert newer


def test_latency_is_measured(stack):
    wait_until(lambda: shown(stack, "asked")["mean_latency_s"] is not None, 20)
    found = shown(stack, "asked")
    assert 0 <= found["mean_latency_s"] < 5 and 0 <= found["last_latency_s"] < 5


def test_a_service_without_polling_has_no_polls(stack):
    (found,) = services(stack)["still"]["instances"].values()
    assert (found["polls"], found["failures"], found["last_poll_at"], found["mean_latency_s"], found["healthy"]) == \
        (0, 0, None, None, True)


def test_requests_are_counted_by_instance(stack):
    for n in range(5):
        assert stack.call("GET", f"/both/{n}").status_code == 200
    for n in range(3):
        assert stack.call("GET", f"/still/{n}").status_code == 200
    wait_until(lambda: (services(stack)["both"]["requests"], services(stack)["still"]["requests"]) == (5, 3), 10)
    for name in ("pinged", "asked"):
        assert shown(stack, name)["requests"] == stack[name].stats()["received"]


def test_dump_holds_the_configuration_without_its_secrets(stack):
    found = stack.ask("/dump").json()["configuration"]
    both = found["tenants"]["both"]
    assert [i["polling"]["packet_limit"] for i in both["instances"]] == [4, 6] and both["apis"] == ["/both"]
    assert found["worker"]["concurrency"] == 256
    assert "guest:guest" not in json.dumps(found) and found["broker"]["url"]
