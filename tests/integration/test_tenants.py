# SPDX-License-Identifier: Apache-2.0
"""The registry over HTTP, end to end: tenants and instances are put, drained, removed, paused while traffic runs; two dispatchers;
what is kept of it, and put back by a person's word."""
import hashlib
import threading
import time
from signal import SIGHUP

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem, raw, start

FIRST_CALL_S = 5  # the promise is two seconds; a loaded machine of two cores gets more


class Registry:
    """Requests to a dispatcher of the stack."""

    def __init__(self, stack, dispatcher="dispatcher", key=None):
        self.stack = stack
        self.name = dispatcher
        self.headers = {"Sluice-Key": key} if key else {}

    def ask(self, method, path, status=None, **options):
        answer = self.stack.http.request(method, self.stack[self.name].url + path, headers=self.headers, timeout=20, **options)
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def put(self, tenant, document, status=200):
        return self.ask("PUT", f"/v1/tenants/{tenant}", status, json=document).json()

    def get(self, tenant):
        return self.ask("GET", f"/v1/tenants/{tenant}", 200).json()

    def add(self, tenant, instance, status=201, **document):
        return self.ask("PUT", f"/v1/tenants/{tenant}/instances/{instance}", status, json=document).json()

    def drain(self, tenant, instance):
        return self.ask("POST", f"/v1/tenants/{tenant}/instances/{instance}/drain", 200).json()

    def remove(self, tenant, instance):
        self.ask("DELETE", f"/v1/tenants/{tenant}/instances/{instance}", 204)

    def pause(self, tenant, note=None):
        return self.ask("POST", f"/v1/tenants/{tenant}/pause", 200, json={"note": note}).json()

    def resume(self, tenant):
        return self.ask("POST", f"/v1/tenants/{tenant}/resume", 200).json()


def submit(stack, tenant, n, path="/x?sleep_ms=20", **job):
    ids = []
    for _ in range(n):
        answer = stack.submit(path, tenant=tenant, **job)
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["id"])
    return ids


def all_succeed(stack, ids, timeout=60):
    for job in ids:
        assert stack.wait_job(job, timeout=timeout)["state"] == "succeeded"


def calls_of(stack, instance):
    return [r for r in stack.receipts() if r["instance"] == instance]


@pytest.fixture(scope="module")
def stack(make_module_stack):
    stack = make_module_stack(lambda stack: config_of(stack, {"filed": {}, "busy": {}}), start=False, dispatchers=2)
    for name in ("sample-2", "sample-3"):
        stack.add_tenant(name)
    return stack.start()


@pytest.fixture(scope="module")
def registry(stack):
    return Registry(stack)


@pytest.fixture(scope="module")
def second(stack):
    return Registry(stack, "dispatcher-2")


def instance(stack, name="sample-1", **more):
    return {"name": name, "url": stack[name].url, **more}


# --- tenants ---


def test_a_tenant_comes_changes_and_goes(stack, registry):
    expect_problem(registry.ask("GET", "/v1/tenants/come"), 404, "unknown_tenant")
    put = registry.put("come", {"instances": [instance(stack)], "concurrency": 3}, status=201)
    assert put["source"] == "http" and put["settings"]["concurrency"] == 3 and put["capacity"] == 3
    assert stack.call("POST", "/call/come/x", data=b"x").status_code == 200
    put = registry.put("come", {"instances": [instance(stack)], "concurrency": 4})
    assert put["settings"]["concurrency"] == 4 and registry.get("come")["settings"] == put["settings"]
    assert registry.ask("GET", "/v1/tenants").json()["tenants"]["come"]["capacity"] == 4
    registry.ask("DELETE", "/v1/tenants/come", 204)
    expect_problem(registry.ask("GET", "/v1/tenants/come"), 404, "unknown_tenant")
    expect_problem(registry.ask("DELETE", "/v1/tenants/come"), 404, "unknown_tenant")
    wait_until(lambda: stack.call("POST", "/call/come/x", data=b"x").status_code == 404, 5)


def test_what_is_put_replaces_the_files_until_it_is_deleted(stack, registry):
    assert registry.get("filed")["source"] == "file"
    expect_problem(registry.ask("DELETE", "/v1/tenants/filed"), 409, "owned_by_file")
    put = registry.put("filed", {"instances": [instance(stack)], "idempotency": {"required": True}})
    assert put["source"] == "http"
    stack["dispatcher"].signal(SIGHUP)
    stack["dispatcher-2"].signal(SIGHUP)
    wait_until(lambda: stack.call("POST", "/call/filed/x", data=b"x").status_code == 400, 5)
    back = registry.ask("DELETE", "/v1/tenants/filed", 200).json()
    assert back["source"] == "file"
    wait_until(lambda: stack.call("POST", "/call/filed/x", data=b"x").status_code == 200, 5)


def test_every_mistake_of_a_document_is_said_and_nothing_changes(stack, registry):
    document = {"instances": [{"url": "ftp://x"}], "concurrency": 0, "retry": {"factr": 2}, "apis": ["/taken"]}
    said = expect_problem(registry.ask("PUT", "/v1/tenants/wrong", json=document), 400, "invalid")["detail"]
    for path in ("instances[0].url", "concurrency", "retry.factr"):
        assert path in said, said
    expect_problem(registry.ask("PUT", "/v1/tenants/wrong", data=b"{"), 400, "invalid")
    expect_problem(registry.ask("PUT", "/v1/tenants/wrong", data=b""), 400, "invalid")
    expect_problem(registry.ask("PUT", "/v1/tenants/Wrong", json={}), 400, "invalid")
    expect_problem(registry.ask("GET", "/v1/tenants/wrong"), 404, "unknown_tenant")
    said = expect_problem(registry.ask("PUT", "/v1/tenants/busy/instances/b", json={"ttl_s": 0, "weight": -1}), 400, "invalid")
    assert all(word in said["detail"] for word in ("ttl_s", "url", "weight")), said
    expect_problem(registry.ask("PUT", "/v1/tenants/nobody/instances/b", json={"url": "http://127.0.0.1:1"}), 404,
                   "unknown_tenant")
    expect_problem(registry.ask("POST", "/v1/tenants/busy/pause", data=b'{"not": 1}'), 400, "invalid")
    expect_problem(registry.ask("POST", "/v1/tenants/busy/instances/none/drain"), 404, "not_found")
    expect_problem(registry.ask("PATCH", "/v1/tenants/busy"), 405)
    expect_problem(registry.ask("GET", "/v1/tenants/busy/pause"), 405)


def test_an_api_belongs_to_one_tenant(stack, registry):
    registry.put("one", {"instances": [instance(stack)], "apis": ["/mine/"]}, status=201)
    said = expect_problem(registry.ask("PUT", "/v1/tenants/two", json={"apis": ["/mine"]}), 400, "invalid")
    assert "apis[0]" in said["detail"] and "one" in said["detail"]
    registry.ask("DELETE", "/v1/tenants/one", 204)


def test_a_tenant_with_unended_jobs_stays(stack, registry):
    registry.put("unended", {"instances": [instance(stack)]}, status=201)
    job = submit(stack, "unended", 1, delay_s=3600)[0]
    expect_problem(registry.ask("DELETE", "/v1/tenants/unended"), 409, "tenant_busy")
    assert registry.get("unended")["source"] == "http"
    assert stack.call("DELETE", f"/v1/jobs/{job}").status_code == 200
    registry.ask("DELETE", "/v1/tenants/unended", 204)


def test_a_limit_set_later_says_when_it_is_exact(stack, registry):
    unlimited = {"instances": [instance(stack)], "timeouts": {"total_s": 7}, "slot_linger_s": 2}
    assert "exact_after_s" not in registry.put("later", unlimited, status=201)
    assert registry.put("later", {**unlimited, "concurrency": 3})["exact_after_s"] == 9
    assert "exact_after_s" not in registry.put("later", {**unlimited, "concurrency": 2})
    registry.put("later", unlimited)
    assert registry.add("later", "sample-1", status=200, url=stack.tenant.url, concurrency=1)["exact_after_s"] == 9
    registry.ask("DELETE", "/v1/tenants/later", 204)


# --- instances ---


@pytest.fixture
def pool(stack, registry):
    """A tenant with one instance of one call at a time."""
    registry.put("pool", {"instances": [instance(stack, concurrency=1)], "timeouts": {"total_s": 5}}, status=201)
    yield "pool"
    if registry.get("pool")["paused"]:
        registry.resume("pool")
    registry.add("pool", "end", url=stack.tenant.url, concurrency=50)
    wait_until(lambda: stack.redis.zcard("{pool}:u") == 0, 60, "all ended")
    registry.ask("DELETE", "/v1/tenants/pool", 204)


def test_a_new_instance_gets_its_first_call_soon_under_backlog(stack, registry, pool):
    ids = submit(stack, pool, 40, "/x?sleep_ms=300")
    before = len(calls_of(stack, "sample-2"))
    began = time.monotonic()
    added = registry.add(pool, "two", url=stack["sample-2"].url, concurrency=1)
    assert added["state"] == "active" and added["source"] == "http" and added["healthy"]
    wait_until(lambda: len(calls_of(stack, "sample-2")) > before, FIRST_CALL_S, "a first call")
    assert time.monotonic() - began < FIRST_CALL_S
    all_succeed(stack, ids)


def test_a_drained_instance_gets_no_more_and_loses_nothing(stack, registry, second, pool):
    registry.add(pool, "two", url=stack["sample-2"].url, concurrency=3)
    ids = submit(stack, pool, 60, "/drain?sleep_ms=200")
    wait_until(lambda: len(calls_of(stack, "sample-2")) > 3, 20, "calls on two")
    drained = second.drain(pool, "two")
    # What was claimed before the answer may still arrive; nothing is claimed after it.
    claimed = set(stack.redis.hvals("{pool}:s"))
    n_claimed = sum(row.endswith("\ttwo") for row in claimed)
    seen = len(calls_of(stack, "sample-2"))
    assert drained["state"] == "draining" and drained["running"] >= 0 and n_claimed <= 3
    all_succeed(stack, ids)
    assert len(calls_of(stack, "sample-2")) <= seen + n_claimed
    assert registry.get(pool)["instances"]["two"]["state"] == "draining"
    wait_until(lambda: registry.get(pool)["instances"]["two"]["running"] == 0, 10)
    before = len(calls_of(stack, "sample-2"))
    assert registry.add(pool, "two", status=200, url=stack["sample-2"].url, concurrency=3)["state"] == "active"
    all_succeed(stack, submit(stack, pool, 12, "/drain?sleep_ms=200"))
    assert len(calls_of(stack, "sample-2")) > before


def test_a_removed_instance_finishes_what_it_has(stack, registry, pool):
    registry.add(pool, "two", url=stack["sample-2"].url, concurrency=2)
    ids = submit(stack, pool, 8, "/removed?sleep_ms=600")
    wait_until(lambda: any(r["path"].startswith("/removed") for r in calls_of(stack, "sample-2")), 20, "calls on two")
    registry.remove(pool, "two")
    assert "two" not in registry.get(pool)["instances"]
    all_succeed(stack, ids)
    expect_problem(registry.ask("DELETE", "/v1/tenants/pool/instances/two"), 404, "not_found")


def test_an_instance_of_the_document_is_taken_out_and_put_back(stack, registry, second, pool):
    registry.add(pool, "two", url=stack["sample-2"].url, concurrency=2)
    second.remove(pool, "sample-1")
    assert set(second.get(pool)["instances"]) == {"two"}
    wait_until(lambda: set(registry.get(pool)["instances"]) == {"two"}, 5, "the other dispatcher follows")
    before = len(calls_of(stack, "sample-1"))
    all_succeed(stack, submit(stack, pool, 5))
    assert len(calls_of(stack, "sample-1")) == before
    registry.put(pool, {"instances": [instance(stack, concurrency=1)], "timeouts": {"total_s": 5}})
    assert set(registry.get(pool)["instances"]) == {"sample-1", "two"}


def test_an_instance_that_is_not_refreshed_leaves_and_a_refreshed_one_stays(stack, registry, second, pool):
    for name in ("stays", "leaves"):
        added = registry.add(pool, name, url=stack["sample-2"].url, concurrency=2, ttl_s=3)
        assert added["expires_at"] is not None
    began = time.monotonic()

    def refreshed_until_the_other_left():
        answer = second.add(pool, "stays", status=200, url=stack["sample-2"].url, concurrency=2, ttl_s=3)
        assert answer["state"] == "active"
        return "leaves" not in registry.get(pool)["instances"]

    wait_until(refreshed_until_the_other_left, 30)
    assert time.monotonic() - began >= 3
    assert set(registry.get(pool)["instances"]) == {"sample-1", "stays"}
    wait_until(lambda: "stays" not in registry.get(pool)["instances"], 30, "the other leaves, too")


def test_two_dispatchers_put_the_same_instance_and_one_word_stands(stack, registry, second, pool):
    def put(who, limit):
        for _ in range(10):
            who.ask("PUT", "/v1/tenants/pool/instances/both", json={"url": stack["sample-2"].url, "concurrency": limit})

    threads = [threading.Thread(target=put, args=pair) for pair in ((registry, 3), (second, 4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    registered = [row.split("\t") for row in stack.redis.hget("{pool}:t", "il").splitlines()]
    (limit,) = (int(row[2]) for row in registered if row[0] == "both")
    assert limit in (3, 4)
    # What each shows may be a second old; the leader's next round, ten seconds later, is not needed for it.
    wait_until(lambda: {who.get(pool)["instances"]["both"]["concurrency"] for who in (registry, second)} == {limit}, 5)


# --- pause ---


def test_a_paused_tenant_starts_nothing_and_goes_on_when_told(stack, registry, second, pool):
    registry.add(pool, "two", url=stack["sample-2"].url, concurrency=4)
    running = submit(stack, pool, 4, "/before?sleep_ms=500")
    wait_until(lambda: stack.redis.hget("{pool}:t", "run") not in (None, "0"), 10)
    paused = registry.pause(pool, "the tape is changed")
    assert paused["paused"]["note"] == "the tape is changed"
    assert second.get(pool)["paused"] or wait_until(lambda: second.get(pool)["paused"], 5)
    assert stack.redis.hget("{pool}:t", "paused") == "the tape is changed"
    late = submit(stack, pool, 1, "/while", ttl_s=5)[0]  # behind the others it could be told that it is too late
    waiting = submit(stack, pool, 10, "/while")
    assert stack.wait_job(late, timeout=20)["state"] == "expired"
    # What ran goes on; whatever was not claimed before the answer waits.
    wait_until(lambda: stack.redis.hget("{pool}:t", "run") == "0", 20, "what ran has ended")
    assert [r for r in stack.receipts() if r["path"].startswith("/while")] == []
    wait_until(lambda: stack.ask("/v1/scale").json()["tenants"]["pool"]["queued"] >= 10, 10, "its jobs wait")
    assert stack.ask("/v1/scale").json()["tenants"]["pool"]["runnable"] == 0  # no worker need be started for them
    second.resume(pool)
    all_succeed(stack, running + waiting)
    wait_until(lambda: registry.get(pool)["paused"] is None, 5, "the other dispatcher to have read it")


# --- what is kept ---


def kept(stack):
    """A stack whose dispatcher keeps a snapshot."""
    return config_of(stack, {"filed": {}}, dispatcher={"state_dir": str(stack.directory / "state")}, worker={"lease_s": 2})


def snapshot(stack):
    return stack.ask("/health").json()["snapshot"]


def said(stack, registry):
    registry.put("kept", {"instances": [instance(stack)], "concurrency": 2}, status=201)
    registry.add("kept", "two", url=stack.tenant.url, ttl_s=600)
    registry.add("filed", "three", url=stack.tenant.url)
    registry.drain("kept", "two")
    registry.pause("filed", "closed")


def forget(stack):
    """The store loses everything, and its processes have noticed."""
    stack.redis.flushall()
    wait_until(lambda: snapshot(stack)["state"] == "not restored", 20, "the loss is seen")


def test_what_the_store_lost_is_put_back_by_a_persons_word(make_stack):
    stack = make_stack(kept)
    registry = Registry(stack)
    assert snapshot(stack) == {"tenants": 0, "instances": 0, "schedules": 0, "state": "kept"}
    said(stack, registry)
    before = {name: registry.get(name)["settings"] for name in ("kept", "filed")}
    forget(stack)
    assert snapshot(stack) == {"tenants": 1, "instances": 2, "schedules": 0, "state": "not restored"}
    wait_until(lambda: registry.ask("GET", "/v1/tenants/kept").status_code == 404, 20, "nothing comes back by itself")
    stack.restart("dispatcher")
    assert snapshot(stack)["state"] == "not restored"
    wanted = {"tenants": ["kept"], "instances": ["filed/three", "kept/two"], "draining": ["kept/two"], "removed": [],
              "paused": ["filed"], "schedules": [], "paused_schedules": []}
    for query, done in (("?dry_run=1", "nothing"), ("", "restored")):
        answer = registry.ask("POST", "/v1/registry/restore" + query, 200).json()
        assert answer.pop("done") == done
        assert {k: sorted(v) for k, v in answer.items()} == wanted
    assert snapshot(stack) == {"tenants": 0, "instances": 0, "schedules": 0, "state": "kept"}
    wait_until(lambda: registry.ask("GET", "/v1/tenants/kept").status_code == 200, 10)
    wait_until(lambda: {name: registry.get(name)["settings"] for name in before} == before, 10)
    assert registry.get("filed")["paused"]["note"] == "closed"
    two = registry.get("kept")["instances"]["two"]
    assert two["state"] == "draining" and two["expires_at"] is not None
    wait_until(lambda: stack.call("POST", "/call/kept/x", data=b"x").status_code == 200, 20)


def test_what_was_put_since_the_loss_stands_and_the_rest_can_be_discarded(make_stack):
    stack = make_stack(kept)
    registry = Registry(stack)
    said(stack, registry)
    forget(stack)
    wait_until(lambda: registry.ask("PUT", "/v1/tenants/kept", json={"concurrency": 9}).status_code in (200, 201), 20)
    answer = registry.ask("POST", "/v1/registry/restore?dry_run=1", 200).json()
    assert answer["tenants"] == [] and sorted(answer["instances"]) == ["filed/three", "kept/two"]
    assert registry.ask("POST", "/v1/registry/restore?discard=1", 200).json()["done"] == "discarded"
    assert snapshot(stack)["state"] == "kept"
    assert registry.get("kept")["settings"] == {"concurrency": 9}
    assert set(registry.get("filed")["instances"]) == {"sample-1"}


def test_without_a_directory_there_is_nothing_to_put_back(stack, registry):
    assert snapshot(stack) is None
    expect_problem(registry.ask("POST", "/v1/registry/restore"), 404, "not_found")


# --- keys ---


def key(name, *scopes, tenants=()):
    token = hashlib.sha256(f"sluice_{name}".encode()).hexdigest()
    return {"name": name, "hash": "sha256:" + hashlib.sha256(token.encode()).hexdigest(), "scopes": list(scopes),
            "tenants": list(tenants)}, token


def test_only_an_admins_key_writes_and_only_its_tenants(make_stack):
    keys = {name: key(name, *scopes, tenants=tenants) for name, scopes, tenants in (
        ("root", ["admin", "submit", "read"], ()), ("reader", ["read", "submit"], ()), ("local", ["admin"], ["mine"]))}
    stack = make_stack(lambda stack: config_of(stack, {"filed": {}}, keys=[k for k, _ in keys.values()]))
    root, reader, local = (Registry(stack, key=token) for _, token in keys.values())
    expect_problem(Registry(stack).ask("PUT", "/v1/tenants/mine", json={}), 401)
    writes = [("PUT", "", {}), ("DELETE", "", None), ("POST", "/pause", None), ("POST", "/resume", None),
              ("PUT", "/instances/i", {"url": "http://127.0.0.1:1"}), ("DELETE", "/instances/i", None),
              ("POST", "/instances/i/drain", None)]
    for method, path, body in writes:
        expect_problem(reader.ask(method, "/v1/tenants/filed" + path, json=body), 403)
        expect_problem(local.ask(method, "/v1/tenants/filed" + path, json=body), 403)
    for who in (reader, local):
        expect_problem(who.ask("POST", "/v1/registry/restore"), 403)
    local.put("mine", {"concurrency": 1}, status=201)
    local.add("mine", "i", url=stack.tenant.url)
    local.ask("DELETE", "/v1/tenants/mine", 204)
    root.put("any", {}, status=201)


def test_a_tenant_that_has_seen_a_later_revision_is_caught_up_with(stack, registry):
    """As after a round of the leader that met the loss half way, or a store that forgot its last second."""
    stack.redis.hset("{filed}:t", "rv", 10 ** 6)
    stack.redis.hdel("{filed}:t", "il")
    wait_until(lambda: stack.redis.hget("{filed}:t", "il"), 30, "the leader has caught up")
    assert registry.add("filed", "more", url=stack.tenant.url)["state"] == "active"
    registry.remove("filed", "more")


# --- attacks ---


def test_what_is_said_while_its_tenant_leaves_haunts_nobody(stack, registry, second):
    """Told to one dispatcher while the other removes the tenant: it holds, or the tenant is not known. The next tenant of the
    name has nothing of it."""
    url = stack.tenant.url
    for _ in range(12):
        registry.ask("PUT", "/v1/tenants/haunted", json={"instances": [instance(stack)]})
        goes = start(registry.ask, "DELETE", "/v1/tenants/haunted")
        said = [start(second.ask, "PUT", "/v1/tenants/haunted/instances/ghost", json={"url": url}),
                start(second.ask, "POST", "/v1/tenants/haunted/pause", json={"note": "n"})]
        assert goes.result(20).status_code == 204
        assert {answer.result(20).status_code for answer in said} <= {200, 201, 404}
        assert [field for field in stack.redis.hkeys("{sluice}:put") if "haunted" in field] == []


def test_a_path_that_somebody_shortened_names_nothing_else(stack, registry):
    """curl and proxies take …/instances/.. for the tenant itself."""
    registry.put("dotted", {"instances": [instance(stack)]}, status=201)
    port = int(stack["dispatcher"].url.rpartition(":")[2])
    for name in (".", "..", "..."):  # the first two are no path at all
        expect_problem(raw(port, f"PUT /v1/tenants/dotted/instances/{name} HTTP/1.1\r\nHost: x\r\n"
                           'Content-Length: 18\r\n\r\n{"url":"http://a"}'.encode()), 400)
    for method, path in (("DELETE", "/v1/tenants/dotted/"), ("PUT", "/v1/tenants/dotted/"), ("DELETE", "/v1/tenants/dotted/instances/")):
        answer = raw(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        assert answer.status_code in (404, 405), (method, path, answer.status_code)
    assert registry.get("dotted")["source"] == "http"
    for name in ("x" * 129, "x" * 5000):
        expect_problem(registry.ask("PUT", f"/v1/tenants/dotted/instances/{name}", json={"url": "http://a"}), 400, "invalid")
        expect_problem(registry.ask("DELETE", f"/v1/tenants/dotted/instances/{name}"), 404, "not_found")
    expect_problem(registry.ask("PUT", "/v1/tenants/" + "x" * 3000, json={}), 400, "invalid")


def test_a_snapshot_that_could_not_be_written_is_said_and_written_later(make_stack):
    stack = make_stack(kept)
    registry = Registry(stack)
    file = stack.directory / "state" / "registry.json"
    wait_until(file.exists, 10)
    blocked = file.with_name("registry.json.new")
    blocked.mkdir()  # as good as a full disk, also for root
    registry.put("kept", {"instances": [instance(stack)]}, status=201)
    assert snapshot(stack)["state"] == "not written" and "kept" not in file.read_text()
    blocked.rmdir()
    wait_until(lambda: snapshot(stack)["state"] == "kept", 30, "the snapshot is written when there is room again")
    assert "t kept" in file.read_text()
