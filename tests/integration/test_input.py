# SPDX-License-Identifier: Apache-2.0
"""Bad input gets its answer, and does no harm."""
import ctypes
import json
import re
import subprocess

import pytest

from harness.load import config_of, expect_problem, parse, raw, raw_until_closed

MAX_BODY = 100000


@pytest.fixture(scope="module")
def stack(make_module_stack):
    return make_module_stack(lambda stack: config_of(
        stack, {"erp": {}}, ingress={"max_body_bytes": MAX_BODY, "max_header_bytes": 16384}))


@pytest.fixture(autouse=True)
def nothing_ran(stack):
    """Whatever was sent, no tenant heard of it, and the ingress lives."""
    before, pid = len(stack.receipts()), stack.pid("ingress")
    yield
    assert stack.pid("ingress") == pid
    assert stack.call("GET", "/livez").status_code == 200
    assert len(stack.receipts()) == before


def is_strict_library():
    """Since 1.0 it reads heads strictly, and refuses by itself most of what our guard would."""
    library = ctypes.CDLL("libmicrohttpd.so.12")
    library.MHD_get_version.restype = ctypes.c_char_p
    return not library.MHD_get_version().startswith(b"0.")


IS_STRICT_LIBRARY = is_strict_library()
OF_THE_LIBRARY = [b"Request"] + (
    [b"Malformed request", b"Unsupported Transfer-Encoding", b"&quot;Host:&quot;"] if IS_STRICT_LIBRARY else [])
# Cut off without a word: a line that begins with a blank, and in 1.0 one with a blank too many.
WITHOUT_A_WORD = ["", "GE T"] if IS_STRICT_LIBRARY else [""]


def expect_refused(got, *statuses):
    """One answer of these, and nothing served behind it. libmicrohttpd answers by itself what its parser
    cannot read, with a page of its own that we cannot replace: that one is known by its words."""
    answer = parse(got)
    assert answer.status_code in statuses, got[:300]
    assert b"sluice-job-id" not in got.lower()
    if not any(b"<html><head><title>" + title in got for title in OF_THE_LIBRARY):
        expect_problem(answer, answer.status_code)
        assert got.count(b"HTTP/1.1 ") == 1
    elif IS_STRICT_LIBRARY:
        assert len(re.findall(rb"HTTP/1\.1 \d", got)) == 1 and answer.headers["Connection"] == "close"


def post(stack, body, content_type="application/json"):
    body = body if isinstance(body, bytes) else body.encode()
    return stack.call("POST", "/v1/jobs", data=body, headers={"Content-Type": content_type})


JOB = {"tenant": "erp", "request": {"path": "/x"}}


def job(**changes):
    request = {**JOB["request"], **changes.pop("request", {})}
    return json.dumps({**JOB, "request": request, **changes})


@pytest.mark.parametrize("body", [
    b"", b" ", b"{", b"}", b"[]", b"null", b'"text"', b"{'tenant': 'erp'}", job()[:-1], job() + "x",
    job() + job(), "\ufeff" + job(), job().replace("erp", "erp\x01"), '{"tenant":"erp",}',
    '{"tenant":"erp" "request":{}}', '{"tenant":NaN}', '{"tenant":01}', '{"tenant":"\\x41"}',
    '{"tenant":"\\ud800"}', '{"tenant":"erp\\u0000","request":{"path":"/x"}}'],
    ids=repr)
def test_malformed_json(stack, body):
    expect_problem(post(stack, body), 400)


@pytest.mark.parametrize("body", [
    job().encode().replace(b"/x", b"/\xff"), job().encode().replace(b"/x", b"/\xc0\xaf"),
    job().encode().replace(b"/x", b"/\xed\xa0\x80"), job().encode().replace(b"erp", b"e\0p"),
    job().encode() + b"\0", b"\xff\xfe" + job().encode("utf-16-le"),
    job(request={"body": "B"}).encode().replace(b"B", b"\xe2\x82")], ids=repr)
def test_invalid_utf8_and_nul(stack, body):
    expect_problem(post(stack, body), 400)


@pytest.mark.parametrize("depth", [65, 1000, 40000])
@pytest.mark.parametrize("opens, closes", [("[", "]"), ('{"a":', "}")])
def test_deep_nesting(stack, depth, opens, closes):
    text = '{"tenant":"erp","request":{"path":"/x","body":%s1%s}}' % (opens * depth, closes * depth)
    answer = post(stack, text)
    expect_problem(answer, 413 if len(text) > MAX_BODY else 400)


def test_duplicate_keys(stack):
    expect_problem(post(stack, '{"tenant":"erp","tenant":"erp","request":{"path":"/x"}}'), 400)
    expect_problem(post(stack, '{"tenant":"erp","request":{"path":"/x","path":"/y"}}'), 400)


@pytest.mark.parametrize("changes", [
    {"tenant": 1}, {"tenant": None}, {"tenant": ["erp"]}, {"request": {"path": 1}},
    {"request": {"path": None}}, {"request": {"method": 5}}, {"request": {"headers": []}},
    {"request": {"headers": {"a": 1}}}, {"request": {"body_text": {}}}, {"request": {"body_base64": 1}},
    {"request": {"body_base64": "%%%"}}, {"idempotency_key": 7}, {"delay_s": "5"}, {"delay_s": -1},
    {"delay_s": 1e300}, {"ttl_s": True}, {"ttl_s": 0}, {"timeout_s": -1}, {"timeout_s": "1"},
    {"retry": 5}, {"retry": {"max_attempts": "8"}}, {"retry": {"max_attempts": 0}},
    {"retry": {"nonsense": 1}}, {"labels": ["a"]}, {"labels": {"a": 1}}, {"priority": 3},
    {"priority": "urgent"}, {"not_before": "soon"}, {"not_before": 5}, {"expires_at": "2026-13-01T00:00:00Z"}],
    ids=json.dumps)
def test_wrong_types_and_values(stack, changes):
    assert expect_problem(post(stack, job(**changes)), 400)["detail"]


@pytest.mark.parametrize("changes", [
    {"nonsense": 1}, {"request": {"nonsense": 1}}, {"Tenant": "erp"}, {"state": "succeeded"}, {"id": "x"}],
    ids=json.dumps)
def test_unknown_fields(stack, changes):
    detail = expect_problem(post(stack, job(**changes)), 400)["detail"]
    assert list(changes.get("request", changes))[0] in detail


@pytest.mark.parametrize("changes", [
    {"request": {"body": 1, "body_text": "x"}}, {"request": {"body_text": "x", "body_base64": "eA=="}},
    {"delay_s": 1, "not_before": "2030-01-01T00:00:00Z"},
    {"ttl_s": 1, "expires_at": "2030-01-01T00:00:00Z"}], ids=json.dumps)
def test_contradictions(stack, changes):
    expect_problem(post(stack, job(**changes)), 400)


def test_missing_members(stack):
    for text in ("{}", '{"tenant":"erp"}', '{"request":{"path":"/x"}}', '{"tenant":"erp","request":{}}'):
        expect_problem(post(stack, text), 400)


@pytest.mark.parametrize("where", ["/v1/jobs", "/call/erp/x"])
def test_a_body_that_is_too_large_by_its_length(stack, where):
    answer = stack.call("POST", where, data=b"x" * (MAX_BODY + 1))
    expect_problem(answer, 413, "body_too_large")
    # Refused by its word alone, without waiting for what will not come.
    head = f"POST {where} HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n"
    expect_refused(raw_until_closed(stack["ingress"].port, head.encode()), 413)


@pytest.mark.parametrize("where", ["/v1/jobs", "/call/erp/x"])
def test_a_body_that_is_too_large_in_chunks(stack, where):
    def chunks():
        for _ in range(MAX_BODY // 1000 + 1):
            yield b"x" * 1000

    head = f"POST {where} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = b"".join(b"3e8\r\n" + chunk + b"\r\n" for chunk in chunks()) + b"0\r\n\r\n"
    expect_problem(raw(stack["ingress"].port, head + body), 413, "body_too_large")


@pytest.mark.parametrize("fields", [
    b"X-Big: " + b"x" * 20000 + b"\r\n", b"".join(b"X-%d: y\r\n" % n for n in range(3000)),
    b"X" * 20000 + b": y\r\n"], ids=["value", "many", "name"])
def test_a_header_section_that_is_too_large(stack, fields):
    head = b"GET /call/erp/x HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n"
    expect_refused(raw_until_closed(stack["ingress"].port, head), 431)


def test_a_target_that_is_too_large(stack):
    answer = raw(stack["ingress"].port,
                 b"GET /call/erp/" + b"x" * 20000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.status_code in (400, 414, 431)
    expect_problem(answer, answer.status_code)


@pytest.mark.parametrize("path", ["/call/nobody/x", "/call/nobody", "/call/ERP/x", "/call/erp%20/x",
                                  "/call/er%70/x"])
def test_an_unknown_tenant(stack, path):
    # As it stands here: requests would decode what it can.
    head = f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
    expect_problem(raw(stack["ingress"].port, head), 404, "unknown_tenant")


def test_an_unknown_tenant_of_a_job(stack):
    expect_problem(post(stack, job(tenant="nobody")), 404, "unknown_tenant")
    for name in ("", "ERP", "e" * 65, "a/b", "{erp}", "erp:t", "érp"):
        answer = post(stack, job(tenant=name))
        assert answer.status_code in (400, 404), name
        expect_problem(answer, answer.status_code)


def test_unknown_paths(stack):
    for path in ("/", "/nonsense", "/v1", "/v1/nonsense", "/v1/jobsx", "/call", "/callx/erp"):
        assert expect_problem(stack.call("GET", path), 404)["type"].endswith("not_found") or path == "/call"


@pytest.mark.parametrize("method, path, allow", [
    ("GET", "/v1/jobs", "POST"), ("PUT", "/v1/jobs", "POST"),
    ("POST", "/v1/jobs/erp.aaaaaaaaaaaaaaaaaaaaaaaaaa", "GET"),
    ("DELETE", "/v1/jobs/erp.aaaaaaaaaaaaaaaaaaaaaaaaaa/result", "GET"),
    ("GET", "/v1/jobs/erp.aaaaaaaaaaaaaaaaaaaaaaaaaa/retry", "POST"),
    ("PUT", "/v1/jobs/erp.aaaaaaaaaaaaaaaaaaaaaaaaaa/resolve", "POST"),
    ("TRACE", "/call/erp/x", None)])
def test_a_bad_method(stack, method, path, allow):
    answer = stack.call(method, path)
    expect_problem(answer, 405, "method_not_allowed")
    if allow:
        assert allow in answer.headers["Allow"]


@pytest.mark.parametrize("method", ["GE(T", "GE T", "", "G\x01T", "GET\t"])
def test_a_malformed_method(stack, method):
    head = f"{method} /call/erp/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
    got = raw_until_closed(stack["ingress"].port, head)
    assert got or method in WITHOUT_A_WORD
    if got:
        expect_refused(got, 400)


TRAVERSALS = ["/call/erp/../x", "/call/erp/a/../../x", "/call/erp/..", "/call/erp/.", "/call/erp/./x",
              "/call/erp/%2e%2e/x", "/call/erp/%2E%2e/x", "/call/erp/.%2e/x", "/call/erp/%2e./x",
              "/call/erp/..%2fx", "/call/erp/x%2f..%2fy", "/call/erp/..%5cx", "/call/erp/..\\x",
              "/call/erp/x\\..\\y", "/call/erp/%2e", "/call/erp/..;/x", "/call/erp/x/..?q", "/../call/erp/x",
              "/call/../call/erp/x", "/v1/jobs/../jobs", "/call/%2e%2e/v1/jobs", "/call/erp/%zz",
              "/call/erp/%0", "/call/erp/%00", "/call/erp/a%00b"]


@pytest.mark.parametrize("target", TRAVERSALS)
def test_path_traversal(stack, target):
    head = f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
    expect_problem(raw(stack["ingress"].port, head), 400, "malformed")


@pytest.mark.parametrize("path", [
    "x", "", "//h/../x", "/../x", "/a/%2e%2e/x", "/..%2fx", "/..%5cx", "/a\\..\\x", "/a b", "/a\r\nX: y",
    "/a\nb", "/a#b", "/\u00fc", "http://elsewhere/x", "/%00", "*"], ids=repr)
def test_path_traversal_in_a_document(stack, path):
    expect_problem(post(stack, job(request={"path": path})), 400)


@pytest.mark.parametrize("request_", [
    {"headers": {"X-A": "a\r\nX-B: b"}}, {"headers": {"X-A": "a\nb"}}, {"headers": {"X-A": "a\u0000"}},
    {"headers": {"X-A\r\nX-B": "a"}}, {"headers": {"X A": "a"}}, {"headers": {"": "a"}},
    {"headers": {"X-A:": "a"}}, {"method": "GET\r\nX: y"}, {"method": "GE T"}, {"method": ""}],
    ids=json.dumps)
def test_crlf_and_control_characters_in_values(stack, request_):
    expect_problem(post(stack, job(request=request_)), 400)


def test_crlf_in_a_key(stack):
    for key in ("a\r\nX: y", "a\nb", "a\u0000b", "\u007f"):
        expect_problem(post(stack, job(idempotency_key=key)), 400)


SMUGGLED = b"POST /call/erp/smuggled HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
SHAPES = {
    "length twice": b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "lengths differ": b"Content-Length: 3\r\nContent-Length: 0\r\n\r\nabc",
    "length and chunked": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "list of lengths": b"Content-Length: 3, 3\r\n\r\nabc",
    "signed length": b"Content-Length: +3\r\n\r\nabc",
    "negative length": b"Content-Length: -3\r\n\r\nabc",
    "hex length": b"Content-Length: 0x3\r\n\r\nabc",
    "length with a blank": b"Content-Length: 1 1\r\n\r\nabc",
    "no length": b"Content-Length: \r\n\r\n",
    "blank before the colon": b"Content-Length : 3\r\n\r\nabc",
    "tab in a name": b"Content\tLength: 3\r\n\r\nabc",
    "encoding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "encoding twice over": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "identity": b"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
    "odd encoding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "host twice": b"Host: other\r\n\r\n",
    "obsolete folding": b"X-A: a\r\n b\r\n\r\n",
    "nul in a value": b"X-A: a\0b\r\n\r\n",
    "control in a value": b"X-A: a\x01b\r\n\r\n",
    "bare carriage return": b"X-A: a\rX-B: b\r\n\r\n",
    "no name": b": x\r\n\r\n",
    "no colon": b"nonsense\r\n\r\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_smuggling_shapes(stack, shape):
    """400, and the connection closes: what stands behind is nobody's request."""
    head = b"POST /call/erp/shape HTTP/1.1\r\nHost: h\r\n" + SHAPES[shape]
    expect_refused(raw_until_closed(stack["ingress"].port, head + SMUGGLED), 400)


@pytest.mark.parametrize("line", [
    b"GET /call/erp/x HTTP/1.1\r\n", b"GET http://elsewhere/call/erp/x HTTP/1.1\r\nHost: h\r\n",
    b"GET call/erp/x HTTP/1.1\r\nHost: h\r\n", b"GET /call/erp/x HTTP/2.0\r\nHost: h\r\n",
    b"GET  /call/erp/x HTTP/1.1\r\nHost: h\r\n", b"GET /call/erp/x  HTTP/1.1\r\nHost: h\r\n",
    b"GET /call/erp/x\tHTTP/1.1\r\nHost: h\r\n", b"GET /call/erp/\xc3\xbc HTTP/1.1\r\nHost: h\r\n",
    b"GET /call/erp/x HTTP/1.1\r\nHost: a b\r\n", b"GET /call/erp/x#y HTTP/1.1\r\nHost: h\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n", b"CONNECT erp:80 HTTP/1.1\r\nHost: h\r\n"], ids=repr)
def test_malformed_request_lines(stack, line):
    got = raw_until_closed(stack["ingress"].port, line + b"Connection: close\r\n\r\n")
    expect_refused(got, 400, 405, 505)


@pytest.mark.parametrize("body", [
    b"zz\r\nabc\r\n0\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n", b"ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n"], ids=repr)
def test_malformed_chunks(stack, body):
    head = b"POST /call/erp/chunks HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    expect_refused(raw_until_closed(stack["ingress"].port, head + body + SMUGGLED), 400, 413)


def test_preferences_that_make_no_sense_are_ignored(stack):
    for value in ("wait=x", "wait=-1", "wait", "nonsense", ";;;,,,=", "respond-sync"):
        expect_problem(stack.call("GET", "/call/nobody/x", headers={"Prefer": value}), 404)


def test_bad_resolutions(stack):
    job_id = "erp.aaaaaaaaaaaaaaaaaaaaaaaaaa"
    for body in (b"", b"x", b"{}", b'{"state":"done"}', b'{"state":"failed","x":1}', b'{"state":1}',
                 b'{"state":"failed","state":"failed"}', b'{"state":"failed","note":1}', b"[]",
                 b'{"state":"failed\xff"}', b'{"state":"failed"}\0'):
        expect_problem(stack.call("POST", f"/v1/jobs/{job_id}/resolve", data=body), 400)
    answer = stack.call("POST", f"/v1/jobs/{job_id}/resolve", data=b'{"state":"failed"}')
    expect_problem(answer, 404, "unknown_job")


TEN_MISTAKES = """\
ingress: {max_body_bytes: many}
worker: {concurrency: 0}
nonsense: 1
tenants:
  ERP:
    instances: []
  erp:
    instances: [{url: "ftp://127.0.0.1:1"}]
    balance: sometimes
    retry: {factor: 0.5, max_atempts: 3}
    in_doubt: {policy: forget}
schedules:
  tick:
    cron: "61 * * * *"
    job: {tenant: erp, request: {method: POST, path: /x}}
  tock:
    cron: "* * * * *"
    job: {tenant: nobody, request: {method: POST, path: /x}}
"""
WHERE = {1: "ingress.max_body_bytes", 2: "worker.concurrency", 3: "nonsense", 5: "tenants.ERP",
         8: "tenants.erp.instances", 9: "tenants.erp.balance", 10: "tenants.erp.retry.factor",
         11: "tenants.erp.in_doubt.policy", 14: "schedules.tick.cron", 18: "schedules.tock.job"}


def test_ten_mistakes_of_a_configuration_are_ten_lines(stack, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(TEN_MISTAKES)
    done = subprocess.run([stack.binaries / "sluice-dispatcher", "--check", "--config", path],
                          capture_output=True, text=True, timeout=20, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if str(path) in line]
    assert done.returncode == 1, done.stdout + done.stderr
    for number, key in WHERE.items():
        assert any(f"{path}:{number}: {key}" in line for line in lines), (number, key, lines)
    # Line 10 holds two.
    assert any(f"{path}:10: tenants.erp.retry.max_atempts" in line for line in lines), lines
    assert len(lines) == len(WHERE) + 1, lines
