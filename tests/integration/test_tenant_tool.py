# SPDX-License-Identifier: Apache-2.0
"""The sample tenant and the delay proxy: what the other tests rest on."""
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from harness import Proxy, Tenant, new_session, wait_until


@pytest.fixture
def tools(tmp_path, bin_dir):
    """Makes tenants and proxies; ends them, and reports what a sanitizer found."""
    made = []

    def make(kind, name, *arguments, **options):
        tool = kind(name, bin_dir, tmp_path, *arguments, **options)
        made.append(tool)
        return tool.start()

    yield make
    for tool in made:
        code = tool.stop(10) if tool.is_running else 0
        assert not tool.sanitizer_reports() and code == 0, tool.sanitizer_reports() or tool.tail()


@pytest.fixture
def tenant(tools):
    return tools(Tenant, "t1")


@pytest.fixture
def http():
    return new_session()


def test_a_body_comes_back_with_its_type(tenant, http):
    answer = http.post(tenant.url + "/any/path", data=b"\x00\xff<a/>",
                       headers={"Content-Type": "application/x-own"})
    assert (answer.status_code, answer.content) == (200, b"\x00\xff<a/>")
    assert answer.headers["Content-Type"] == "application/x-own"
    assert answer.headers["X-Instance"] == "t1"


def test_a_chunked_body_comes_back_whole(tenant, http):
    answer = http.post(tenant.url + "/x", data=iter([b"one", b"two", b"x" * 100000]))
    assert answer.content == b"onetwo" + b"x" * 100000


def test_without_a_body_the_request_is_described(tenant, http):
    assert http.get(tenant.url + "/a/b?c=d", headers={"Sluice-Attempt": "3"}).json() == {
        "instance": "t1", "method": "GET", "path": "/a/b", "query": "c=d", "job": "", "attempt": "3"}


def test_headers_show_order_and_repetition(tenant):
    with socket.create_connection(("127.0.0.1", tenant.port)) as s:
        s.sendall(b"GET /headers HTTP/1.1\r\nHost: h\r\nB: 1\r\na: 2\r\nB: 3\r\nConnection: close\r\n\r\n")
        text = s.makefile("rb").read()
    assert b'[["Host", "h"], ["B", "1"], ["a", "2"], ["B", "3"], ["Connection", "close"]]' in text


@pytest.mark.parametrize("path, status", [
    ("/status/418", 418), ("/status/503?retry_after=7", 503), ("/x?status=404", 404),
    ("/status/999", 999), ("/status/12", 200)])
def test_status_as_asked(tenant, http, path, status):
    answer = http.get(tenant.url + path)
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("7" if "retry_after" in path else None)


def test_fail_counts_each_key_by_itself(tenant, http):
    def statuses(key):
        return [http.post(f"{tenant.url}/fail?times=2&status=500&key={key}").status_code for _ in "1234"]

    assert statuses("a") == [500, 500, 200, 200]
    assert statuses("b") == [500, 500, 200, 200]
    keyed = [http.get(tenant.url + "/fail", headers={"Idempotency-Key": k}).status_code for k in "ccd"]
    assert keyed == [503, 200, 503]


@pytest.mark.parametrize("path", ["/drop", "/x?drop=1", "/x?sleep_ms=30&drop=1"])
def test_drop_is_a_receipt_without_an_answer(tenant, http, path):
    with pytest.raises(requests.ConnectionError):
        http.post(tenant.url + path, data=b"effect", headers={"Idempotency-Key": "k1"})
    (receipt,) = tenant.receipts(key="k1")
    assert receipt["phase"] == "receipt" and not receipt["dropped"] and receipt["body_bytes"] == 6


def test_a_cut_answer_is_shorter_than_promised(tenant, http):
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        http.get(tenant.url + "/close-mid-body")


def test_big_and_drip_have_the_size_asked_for(tenant, http):
    assert len(http.get(tenant.url + "/big?bytes=3000000").content) == 3000000
    begun = time.monotonic()
    assert len(http.get(tenant.url + "/drip?bytes=6&chunk=2&every_ms=100").content) == 6
    assert time.monotonic() - begun >= 0.2


def test_a_sleeping_call_keeps_nobody_else_waiting(tenant, http):
    begun = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        slow = [pool.submit(requests.get, tenant.url + "/sleep?ms=600") for _ in range(20)]
        wait_until(lambda: tenant.stats()["running"] == 20)
        assert http.get(tenant.url + "/now").status_code == 200
        assert not any(call.done() for call in slow)
        assert all(call.result().status_code == 200 for call in slow)
    assert 0.6 <= time.monotonic() - begun < 6
    assert tenant.stats()["peak"] >= 20


def test_over_the_limit_calls_are_dropped_and_recorded(tools):
    tenant = tools(Tenant, "single", limit=1)

    def status(_):
        try:
            return requests.get(tenant.url + "/sleep?ms=500", timeout=10).status_code
        except requests.ConnectionError:
            return "dropped"

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(status, range(5)), key=str) == [200] + ["dropped"] * 4
    assert len(tenant.receipts(dropped=True)) == 4 and len(tenant.receipts(dropped=False)) == 1
    stats = tenant.stats()
    assert (stats["peak"], stats["served"], stats["dropped"]) == (1, 1, 4)


def test_the_receipt_is_in_the_ledger_before_the_answer(tenant, http):
    http.post(tenant.url + "/orders?client=1", data=b"{}", headers={
        "Idempotency-Key": 'k"\\1', "Sluice-Job-Id": "sample.abc", "Sluice-Attempt": "2",
        "Sluice-Schedule": "tick", "Sluice-Scheduled-Time": "2026-01-01T00:00:00Z"})
    (receipt,) = tenant.receipts()
    assert abs(receipt.pop("time") - time.time() * 1000) < 60000
    assert receipt == {
        "phase": "receipt", "key": 'k"\\1', "job": "sample.abc", "attempt": 2, "instance": "t1",
        "method": "POST", "path": "/orders", "query": "client=1", "schedule": "tick",
        "scheduled_time": "2026-01-01T00:00:00Z", "body_bytes": 2, "dropped": False}


def test_several_instances_share_a_ledger(tools, tmp_path):
    ledger = tmp_path / "ledger"
    both = [tools(Tenant, name, ledger=ledger) for name in ("a", "b")]

    def burst(tenant):
        session = new_session()
        for _ in range(300):
            session.get(tenant.url + "/x")

    threads = [threading.Thread(target=burst, args=(t,)) for t in both for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(both[0].receipts(instance=name)) for name in ("a", "b")] == [600, 600]


def test_health_is_switched_and_is_no_receipt(tenant, http):
    assert http.get(tenant.url + "/health").status_code == 200
    tenant.control(health=503)
    assert http.get(tenant.url + "/health").status_code == 503
    assert tenant.stats()["polls"] == 2 and tenant.receipts() == []


def said_of(tenant, http, job):
    return http.get(f"{tenant.url}/jobs/{job}").status_code


def test_the_status_path_tells_what_became_of_a_job(tenant, http):
    def call(query, job):
        return http.post(f"{tenant.url}/x?{query}", headers={"Sluice-Job-Id": job}, timeout=10)

    assert said_of(tenant, http, "t.a") == 404
    with pytest.raises(requests.ConnectionError):
        call("drop=1&asked=", "t.a")
    assert said_of(tenant, http, "t.a") == 200
    assert call("n=1", "t.b").status_code == 200 and said_of(tenant, http, "t.b") == 404
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(call, "sleep_ms=300&asked", "t.c")
        wait_until(lambda: said_of(tenant, http, "t.c") == 202)
        assert slow.result().status_code == 200
    assert said_of(tenant, http, "t.c") == 200
    call("asked=404,202,500", "t.d")
    assert [said_of(tenant, http, "t.d") for _ in "1234"] == [404, 202, 500, 500]
    assert len(tenant.receipts()) == 4 and tenant.stats()["asked"] >= 9


def test_paused_it_takes_calls_and_answers_none(tenant, http):
    tenant.control(pause=1)
    with pytest.raises(requests.ReadTimeout):
        http.get(tenant.url + "/health", timeout=0.3)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(requests.get, tenant.url + "/held")
        wait_until(lambda: tenant.receipts(path="/held"))
        assert not held.done()
        tenant.control(pause=0)
        assert held.result(10).status_code == 200


def test_refusing_it_has_no_open_port(tenant, http):
    assert http.get(tenant.url + "/x").status_code == 200
    tenant.control(refuse=1)
    with pytest.raises(requests.ConnectionError):
        http.get(tenant.url + "/x")
    assert len(tenant.receipts()) == 1
    tenant.control(refuse=0)
    assert http.get(tenant.url + "/x").status_code == 200
    tenant.control(refuse_ms=200)
    wait_until(lambda: http.get(tenant.url + "/x").status_code == 200)


@pytest.mark.parametrize("bytes_sent", [
    b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET / HTTP/3.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"])
def test_what_is_not_http_is_refused(tenant, bytes_sent):
    with socket.create_connection(("127.0.0.1", tenant.port), timeout=5) as s:
        s.sendall(bytes_sent)
        assert s.makefile("rb").readline() == b"HTTP/1.1 400 Refused\r\n"
    assert tenant.receipts() == []


def test_pipelined_requests_are_answered_in_order(tenant):
    requests_sent = b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % n for n in range(50))
    with socket.create_connection(("127.0.0.1", tenant.port), timeout=5) as s:
        s.sendall(requests_sent + b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        text = s.makefile("rb").read()
    places = [text.index(b'"path": "/%d"' % n) for n in range(50)]
    assert places == sorted(places) and text.count(b"HTTP/1.1 200") == 51


def test_a_caller_that_leaves_does_not_end_its_call(tenant):
    s = socket.create_connection(("127.0.0.1", tenant.port))
    s.sendall(b"GET /sleep?ms=300 HTTP/1.1\r\nHost: h\r\n\r\n")
    wait_until(lambda: tenant.stats()["running"] == 1)
    s.close()
    assert tenant.stats()["running"] == 1
    wait_until(lambda: tenant.stats()["served"] == 1)


def test_sigterm_ends_it_while_calls_run(tools):
    tenant = tools(Tenant, "ending")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(requests.get, tenant.url + "/sleep?ms=60000")
        wait_until(lambda: tenant.stats()["running"] == 1)
        assert tenant.stop(5) == 0
        assert isinstance(call.exception(5), requests.ConnectionError)


# --- the proxy ---


@pytest.fixture
def proxy(tools, tenant):
    return tools(Proxy, "proxy", tenant.port)


def url(proxy, path="/x"):
    return f"http://127.0.0.1:{proxy.port}{path}"


def took(http, proxy):
    begun = time.monotonic()
    assert http.get(url(proxy)).status_code == 200
    return time.monotonic() - begun


def test_proxy_passes_everything_on(proxy, http):
    body = bytes(range(256)) * 20000
    assert http.post(url(proxy), data=body).content == body
    stats = proxy.stats()
    assert stats["request_bytes"] > len(body) and stats["answer_bytes"] > len(body)
    assert "client->target" in proxy.text() and "target->client" in proxy.text()


def test_proxy_delays_answers(proxy, http, tenant):
    proxy.order("/set", delay_ms=300)
    assert took(http, proxy) >= 0.3
    with ThreadPoolExecutor(1) as pool:
        proxy.order("/set", delay_ms=2000)
        call = pool.submit(requests.get, url(proxy, "/seen"))
        wait_until(lambda: tenant.receipts(path="/seen"), 1)
        assert not call.done()
    proxy.order("/set", delay_ms=0)
    assert took(http, proxy) < 2


def test_proxy_ramp_grows_to_its_maximum_and_shrinks(proxy):
    proxy.order("/set", delay_ms=0, max_ms=600, ramp_ms_per_s=1000)
    seen = []
    wait_until(lambda: seen.append(proxy.stats()["delay_ms"]) or (len(seen) > 3 and seen[-1] == 0), 10)
    top = seen.index(max(seen))
    assert 300 < max(seen) <= 600
    assert seen[:top] == sorted(seen[:top]) and seen[top:] == sorted(seen[top:], reverse=True)


def test_proxy_cut_resets_every_connection(proxy, http):
    assert http.get(url(proxy)).status_code == 200
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(requests.get, url(proxy, "/sleep?ms=30000")) for _ in range(3)]
        wait_until(lambda: proxy.stats()["open"] == 4)
        proxy.order("/cut")
        assert all(isinstance(call.exception(5), requests.ConnectionError) for call in calls)
    assert proxy.stats()["open"] == 0
    assert http.get(url(proxy)).status_code == 200


def test_proxy_blackhole_is_silent_and_keeps_connections(proxy, http):
    assert http.get(url(proxy)).status_code == 200
    proxy.order("/blackhole")
    with pytest.raises(requests.ReadTimeout):
        http.get(url(proxy), timeout=0.4)
    proxy.order("/resume")
    assert http.get(url(proxy)).status_code == 200


def test_proxy_that_stops_reading_lets_the_sender_pile_up(proxy, http):
    assert http.get(url(proxy)).status_code == 200
    proxy.order("/stop-reading")
    before = proxy.stats()["request_bytes"]
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(http.post, url(proxy), data=b"x" * 100000)
        with pytest.raises(Exception):
            call.result(0.4)
        assert proxy.stats()["request_bytes"] == before
        proxy.order("/resume")
        assert len(call.result(10).content) == 100000


def test_proxy_refuses_and_accepts(proxy, http):
    proxy.order("/refuse")
    with pytest.raises(requests.ConnectionError):
        requests.get(url(proxy))
    proxy.order("/accept")
    assert http.get(url(proxy)).status_code == 200


def test_proxy_resets_when_its_target_is_away(proxy, tenant):
    tenant.kill(signal.SIGKILL)
    with pytest.raises(requests.ConnectionError):
        requests.get(url(proxy), timeout=5)
    assert proxy.stats()["open"] == 0
