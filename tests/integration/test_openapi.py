# SPDX-License-Identifier: Apache-2.0
"""schemas/openapi.json: well formed, complete for the code, the same as what is served; and the
harness' contract, which holds every answer of the other tests to it, finds what it must find."""
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest
import requests

from harness.contract import (
    CONTRACT, METHODS, OPENAPI, SCHEMAS, URN, Contract, ContractBroken, Document, bundled, strict_json, watch)
from harness.stack import ROOT

KINDS = ("ingress", "dispatcher", "worker")
ID = "erp." + "a" * 26
LINKS = {"self": f"/v1/jobs/{ID}", "result": f"/v1/jobs/{ID}/result"}


@pytest.fixture(scope="module")
def document():
    return strict_json(OPENAPI.read_bytes())


@pytest.fixture
def contract(document):
    return Contract(Document(document))


def walk(node, at="#"):
    """(pointer, node) of everything in a document."""
    yield at, node
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield from walk(value, f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}")


def operations(document):
    """(path or component, method, path item, operation)"""
    items = {**document["paths"],
             **{f"component {n}": i for n, i in document["components"].get("pathItems", {}).items()}}
    for path, item in items.items():
        for method in METHODS:
            if method in item:
                yield path, method, item, item[method]


# --- the document by itself: OpenAPI 3.1's structure, as far as it is used here ---


def _object(required, optional):
    """Just these members, and x-…; values are schemas."""
    members = {**required, **optional}
    return {"type": "object", "required": list(required), "properties": members,
            "patternProperties": {"^x-": True}, "additionalProperties": False}


def _map(value):
    return {"type": "object", "additionalProperties": value}


def _named(kind):
    """components: names of a fixed shape."""
    return {"type": "object", "propertyNames": {"pattern": "^[A-Za-z0-9._-]+$"},
            "additionalProperties": {"$ref": f"#/$defs/{kind}"}}


def _or_ref(kind):
    return {"if": {"required": ["$ref"]},
            "then": _object({"$ref": {"type": "string", "pattern": "^#/"}}, {}),
            "else": {"$ref": f"#/$defs/{kind}"}}


_TEXT = {"type": "string", "minLength": 1}
_SCHEMA = {"type": ["object", "boolean"]}
_OPERATION = {"$ref": "#/$defs/operation"}
_CONTENT = _map(_object({}, {"schema": _SCHEMA, "example": True}))
STRUCTURE = {
    **_object(
        {"openapi": {"const": "3.1.0"},
         "info": _object({"title": _TEXT, "version": _TEXT}, {
             "description": _TEXT, "license": _object({"name": _TEXT}, {"identifier": _TEXT})}),
         "paths": {"type": "object", "propertyNames": {"pattern": "^/"},
                   "additionalProperties": {"$ref": "#/$defs/pathItem"}},
         "components": _object({}, {
             "schemas": {"type": "object", "propertyNames": {"pattern": "^[A-Za-z0-9._-]+$"},
                         "additionalProperties": _SCHEMA},
             "responses": _named("response"), "parameters": _named("parameter"),
             "headers": _named("header"), "securitySchemes": _named("securityScheme"),
             "pathItems": _named("pathItem")})},
        {"servers": {"$ref": "#/$defs/servers"},
         "tags": {"type": "array", "items": _object({"name": _TEXT}, {"description": _TEXT})}}),
    "$defs": {
        "servers": {"type": "array", "minItems": 1, "items": _object({"url": _TEXT}, {"description": _TEXT})},
        "pathItem": _object({}, {
            "$ref": {"type": "string", "pattern": "^#/components/pathItems/"}, "summary": _TEXT,
            "servers": {"$ref": "#/$defs/servers"},
            "parameters": {"type": "array", "items": _or_ref("parameter")},
            **{method: _OPERATION for method in METHODS}}),
        "operation": _object(
            {"responses": {"$ref": "#/$defs/responses"}, "summary": _TEXT, "tags": {"type": "array"}},
            {"operationId": {"type": "string", "pattern": "^[a-z][A-Za-z0-9]*$"}, "description": _TEXT,
             "parameters": {"type": "array", "items": _or_ref("parameter")},
             "requestBody": _object({"content": _CONTENT}, {"required": {"type": "boolean"},
                                                            "description": _TEXT}),
             "security": {"type": "array", "items": _map({"type": "array", "maxItems": 0})}}),
        "responses": {"type": "object", "minProperties": 1,
                      "propertyNames": {"pattern": "^([1-5][0-9]{2}|default)$"},
                      "additionalProperties": _or_ref("response")},
        "response": _object({"description": _TEXT}, {"headers": _map(_or_ref("header")), "content": _CONTENT}),
        "header": _object({"schema": _SCHEMA}, {"description": _TEXT, "required": {"type": "boolean"}}),
        "parameter": {
            **_object({"name": _TEXT, "in": {"enum": ["path", "query", "header", "cookie"]}, "schema": _SCHEMA},
                      {"description": _TEXT, "required": {"type": "boolean"}}),
            "if": {"properties": {"in": {"const": "path"}}},
            "then": {"required": ["required"], "properties": {"required": {"const": True}}}},
        "securityScheme": {"oneOf": [
            _object({"type": {"const": "http"}, "scheme": _TEXT}, {"description": _TEXT}),
            _object({"type": {"const": "apiKey"}, "name": _TEXT, "in": {"enum": ["query", "header", "cookie"]}},
                    {"description": _TEXT})]},
    },
}


def test_the_document_has_the_structure_of_openapi_3_1(document):
    jsonschema.Draft202012Validator.check_schema(STRUCTURE)
    errors = jsonschema.Draft202012Validator(STRUCTURE).iter_errors(document)
    assert [f"{e.json_path}: {e.message[:200]}" for e in errors] == []
    elsewhere = {"$ref": "#/$defs/responses", "$defs": STRUCTURE["$defs"]}
    jsonschema.validate(document["x-sluice-elsewhere"], elsewhere, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("damage", [
    lambda d: d.pop("openapi"), lambda d: d.update(nonsense=1),
    lambda d: d["paths"].update({"no-slash": {}}),
    lambda d: d["paths"]["/livez"]["get"].pop("responses"),
    lambda d: d["paths"]["/livez"]["get"]["responses"].update({"2000": {"description": "x"}}),
    lambda d: d["paths"]["/livez"]["get"]["responses"]["200"].pop("description"),
    lambda d: d["components"]["parameters"]["id"].update(required=False),
])
def test_the_structural_check_sees_damage(document, damage):
    damaged = json.loads(json.dumps(document))
    damage(damaged)
    assert not jsonschema.Draft202012Validator(STRUCTURE).is_valid(damaged)


def test_every_schema_is_one(document):
    for at, node in walk(document):
        if at.endswith("/schema") or re.fullmatch("#/components/schemas/[^/]+", at):
            jsonschema.Draft202012Validator.check_schema(node)


def test_every_reference_leads_somewhere_and_every_component_is_used(document):
    pointers = {at for at, _ in walk(document)}
    references = {node["$ref"] for _, node in walk(document)
                  if isinstance(node, dict) and isinstance(node.get("$ref"), str)}
    assert references - pointers == set()
    components = {at for at in pointers if re.fullmatch("#/components/[^/]+/[^/]+", at)}
    schemes = {at for at in components if at.startswith("#/components/securitySchemes/")}
    assert components - schemes - references == set()
    used = {name for *_, op in operations(document) for need in op.get("security", []) for name in need}
    assert used == {at.rpartition("/")[2] for at in schemes}


def test_operations_are_told_apart_and_their_parameters_are_those_of_their_path(document):
    resolve = Document(document).deref
    ids = [op["operationId"] for *_, op in operations(document) if "operationId" in op]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, _, op in operations(document):
        assert set(op["tags"]) <= tags, (path, method)
        if not path.startswith("component "):
            assert "operationId" in op, (path, method)
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        named = re.findall(r"\{([^}]*)\}", path)
        assert len(named) == len(set(named)), path
        for own in [op.get("parameters", []) for m, op in resolve(item).items() if m in METHODS]:
            every = [resolve(p) for p in shared + own]
            assert sorted(p["name"] for p in every if p["in"] == "path") == sorted(named), path
            places = [(p["in"], p["name"].lower()) for p in every]
            assert len(places) == len(set(places)), path
    shapes = [re.sub(r"\{[^}]*\}", "{}", path) for path in document["paths"]]
    assert len(shapes) == len(set(shapes))


# --- the document and the code ---


def read(path):
    return re.sub(r"/\*.*?\*/", "", (ROOT / path).read_text(), flags=re.S)


def problems():
    """{type: status} of problem.def"""
    rows = re.findall(r'^PROBLEM\(\w+,\s*(\d+),\s*"(\w+)",\s*"[^"]+"\)$', read("common/daemon/problem.def"), re.M)
    assert len(rows) == read("common/daemon/problem.def").count("PROBLEM(")
    return {URN + word: int(status) for status, word in rows}


def test_the_problem_types_are_those_of_the_table(document):
    assert document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"] == list(problems())


def test_every_problem_answer_names_types_of_its_status(document):
    wanted = problems()
    for name, response in document["components"]["responses"].items():
        schema = response["content"]["application/problem+json"]["schema"]
        status, types = schema["properties"]["status"]["const"], schema["properties"]["type"]["enum"]
        assert {wanted[t] for t in types} == {status}, name
    for at, node in walk(document):
        if isinstance(node, dict) and str(node.get("$ref", "")).startswith("#/components/responses/"):
            response = Document(document).deref(node)
            schema = response["content"]["application/problem+json"]["schema"]
            assert at.rpartition("/")[2] == str(schema["properties"]["status"]["const"]), at


def test_states_are_those_of_the_table(document):
    words = re.findall(r'^STATE\(\w+, "(\w+)"', read("common/job/state.def"), re.M)
    assert document["components"]["schemas"]["State"]["enum"] == words


def test_the_job_s_members_are_those_that_the_record_prints(document):
    code = read("common/job/record.c")
    job = document["components"]["schemas"]["Job"]
    body = code[code.index("static void print_optional"):]
    printed = set(re.findall(r'[{,]\\"(\w+)\\":', body)) | set(re.findall(r'\{"\w+", "(\w+)"\}', body))
    printed |= set(re.findall(r'print_time\(out, "(\w+)"', body)) | {"attempts", "outcome"}
    links = set(document["components"]["schemas"]["Links"]["properties"])
    assert printed - links == set(job["properties"])
    assert job["additionalProperties"] is False
    body = code[code.index("static void print_attempt("):code.index("static void print_attempts(")]
    printed = set(re.findall(r'\\"(\w+)\\":', body)) | set(re.findall(r'print_\w+\(out, "(\w+)"', body))
    assert printed == set(document["components"]["schemas"]["Attempt"]["properties"])


def test_every_route_is_described_and_every_description_has_its_route(document):
    """Paths are the literals that begin with '/' in the code that routes."""
    wanted = set()
    for file in ("ingress/route.c", "ingress/call.c", "dispatcher/views.c", "dispatcher/tenants.c",
                 "dispatcher/schedules/preview.c", "dispatcher/schedules/put.c", "common/daemon/serve.c"):
        wanted |= set(re.findall(r'"(/[a-z0-9_./-]+)"', read(file)))
    jobs = "/v1/jobs"
    assert jobs in wanted and "/call/" in wanted and "/livez" in wanted
    actions = set(re.findall(r'str_is\(action, STR\("(\w+)"\)\)', read("ingress/route.c")))
    assert actions
    wanted |= {jobs + "/"} | {f"{jobs}/{{id}}/{action}" for action in actions}
    # What ends with '/' is a prefix: something must follow.
    exact = {re.sub(r"\{[^}]*\}.*", "", path) if path.count("{") and not path.startswith(jobs) else path
             for path in document["paths"]}
    described = {f"{jobs}/" if path == f"{jobs}/{{id}}" else path for path in exact}
    assert described - {"/"} == wanted  # "/" is the declared apis, which no code names


def test_the_job_document_is_the_one_of_its_own_file(document):
    """If not: (cd tests/integration && /usr/bin/python3 -m harness.contract)"""
    own = json.loads((SCHEMAS / "job.schema.json").read_text())
    assert document["components"]["schemas"]["JobRequest"] == bundled(own)


def examples(kind):
    return sorted(Path(SCHEMAS, "examples", kind, "job").glob("*.json"))


def test_the_copy_judges_the_examples_like_the_original(document):
    assert examples("valid") and examples("invalid")
    judge = Document(document)
    schema = {"$ref": "#/components/schemas/JobRequest"}
    own = jsonschema.Draft202012Validator(json.loads((SCHEMAS / "job.schema.json").read_text()))
    for path in examples("valid") + examples("invalid"):
        try:
            value = strict_json(path.read_bytes())
        except (ValueError, RecursionError):
            continue  # what no JSON parser takes is not a schema's to refuse
        assert (judge.mistakes(schema, value) == []) == own.is_valid(value), path


# --- the contract finds what it must find ---


def problem(status, word, **more):
    return {"type": URN + word, "title": "T", "status": status, "detail": "D", **more}


JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}
BUSY = {**PROBLEM, "Retry-After": "1"}
TENANTS = {"Sluice-Job-Id": ID, "Sluice-Attempts": "1", "Vary": "Prefer"}
TAKEN = {**JSON, "Sluice-Job-Id": ID, "Location": LINKS["self"], "Vary": "Prefer",
         "Preference-Applied": "respond-async"}
UNPREFERRED = {k: v for k, v in TAKEN.items() if k != "Preference-Applied"}
ACCEPTED = {"id": ID, "tenant": "erp", "state": "queued", "links": LINKS}
SHOWN = {**JSON, "ETag": '"queued-0"', "Vary": "Prefer"}
T = "2026-01-02T03:04:05.678Z"
JOB = {"id": ID, "tenant": "erp", "state": "queued", "created_at": T, "synchronous": False, "labels": {},
       "attempts": [], "outcome": None, "links": LINKS}
ENDED = {**JOB, "state": "succeeded", "ended_at": T, "method": "POST", "path": "/x?y=1", "labels": {"run": "42"},
         "attempts": [{"number": 1, "instance": "erp-1", "started_at": T, "ended_at": T, "status": 200,
                       "error": None}],
         "outcome": {"status": 200, "body_bytes": 5, "error": None}}
FIGURE = {"queued": 1, "running": 0, "capacity": None, "runnable": 1, "oldest_s": 0.25, "desired_workers": 1}
INSTANCE = {"url": "http://127.0.0.1:9001", "concurrency": 1, "healthy": True, "state": "active", "running": 0,
            "source": "document", "expires_at": None, "breaker": "closed", "cooling_until": None, "limit": None}
TENANT = {"instances": {"erp-1": INSTANCE}, "in_doubt": 0, "delayed": 0, "source": "file", "paused": None, **FIGURE}
HEALTH = {"status": "ok", "leader": True, "store": "open", "broker": "open", "snapshot": None}
SCHEDULE = {"source": "file", "cron": "15 2 * * *", "timezone": "Europe/Berlin", "tenant": "erp", "method": "POST",
            "path": "/report", "last": None, "next": "2026-01-02T01:15:00Z",
            "paused": {"since": "2026-01-01T10:00:00.000Z", "note": "a new printer", "by": "operator"}, "fired": 2, "skipped": 1,
            "runs_left": None}
UNKNOWN_JOB = problem(404, "unknown_job")

ASKED = {**ACCEPTED, "created_at": T, "not_before": T, "expires_at": T, "priority": "normal",
         "request": {"method": "POST", "path": "/x"}, "idempotency_key": "k", "timeout_s": 30,
         "labels": {"run": "42"}}

GOOD = {
    "accepted": ("POST", "/v1/jobs", 202, TAKEN, ACCEPTED),
    "accepted by a call": ("POST", "/call/erp/orders?x=1", 202, TAKEN, ACCEPTED),
    "accepted, with what was asked": ("POST", "/v1/jobs", 202, TAKEN, ASKED),
    "accepted without Prefer": ("POST", "/v1/jobs", 202, UNPREFERRED, ASKED),
    "replayed": ("POST", "/v1/jobs", 202, {**TAKEN, "Idempotent-Replayed": "true"}, ACCEPTED),
    "job": ("GET", f"/v1/jobs/{ID}", 200, SHOWN, JOB),
    "ended job": ("GET", f"/v1/jobs/{ID}", 200, {**SHOWN, "ETag": '"succeeded-1"'}, ENDED),
    "job by HEAD": ("HEAD", f"/v1/jobs/{ID}", 200, SHOWN, b""),
    "not modified": ("GET", f"/v1/jobs/{ID}", 304, {"ETag": '"queued-0"', "Vary": "Prefer"}, b""),
    "canceled": ("DELETE", f"/v1/jobs/{ID}", 200, SHOWN, JOB),
    "a tenant's text": ("GET", "/call/erp/x", 200, {**TENANTS, "Content-Type": "text/html"}, b"<p>"),
    "a tenant's 404 without a type": ("GET", "/call/erp/x", 404, TENANTS, b""),
    "a tenant's 503": ("GET", "/call/erp/x", 503, {**TENANTS, **JSON}, b"{"),
    "a tenant's own problem": ("GET", "/call/erp/x", 409, {**TENANTS, **PROBLEM}, b'{"type": "about:blank"}'),
    "a tenant's declared path": ("PUT", "/orders/7", 201, TENANTS, b"\xff"),
    "a method of the tenant's": ("PROPFIND", "/call/erp/x", 207, TENANTS, b""),
    "a bare tenant": ("GET", "/call/erp?x=/y", 200, TENANTS, b""),
    "no such tenant": ("GET", "/call/nobody/x", 404, PROBLEM, problem(404, "unknown_tenant")),
    "no such path": ("GET", "/nothing", 404, PROBLEM, problem(404, "not_found")),
    "in doubt": ("POST", "/call/erp/x", 502, {**PROBLEM, "Sluice-Job-Id": ID},
                 problem(502, "call_in_doubt", job=ID)),
    "queue full": ("POST", "/v1/jobs", 503, {**BUSY, "Sluice-Job-Id": ID}, problem(503, "queue_full", job=ID)),
    "no key": ("POST", "/v1/jobs", 401, {**PROBLEM, "WWW-Authenticate": 'Bearer realm="sluice"'},
               problem(401, "unauthenticated")),
    "result": ("GET", f"/v1/jobs/{ID}/result", 200, {"Sluice-Job-Id": ID}, b"\0"),
    "result: a tenant's 404": ("GET", f"/v1/jobs/{ID}/result", 404, {"Sluice-Job-Id": ID}, b""),
    "result: not yet": ("GET", f"/v1/jobs/{ID}/result", 202, {**SHOWN, "Retry-After": "1"}, JOB),
    "result: gone": ("GET", f"/v1/jobs/{ID}/result", 410, PROBLEM, problem(410, "gone", job=ID)),
    "no id": ("GET", "/v1/jobs/x", 404, PROBLEM, UNKNOWN_JOB),
    "an empty id": ("GET", "/v1/jobs/", 404, PROBLEM, UNKNOWN_JOB),
    "no such action": ("POST", f"/v1/jobs/{ID}/dance", 404, PROBLEM, problem(404, "not_found")),
    "wrong method": ("PATCH", "/v1/jobs", 405, {**PROBLEM, "Allow": "POST"}, problem(405, "method_not_allowed")),
    "trace": ("TRACE", "/call/erp/x", 405, {**PROBLEM, "Allow": "GET, HEAD"}, problem(405, "method_not_allowed")),
    "live": ("GET", "/livez", 200, {"Content-Type": "text/plain; charset=utf-8"}, b"ok\n"),
    "ready by HEAD": ("HEAD", "/readyz", 200, {"Content-Type": "text/plain; charset=utf-8"}, b""),
    "not ready": ("GET", "/readyz", 503, BUSY, problem(503, "unavailable")),
    "metrics": ("GET", "/metrics", 200, {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}, b"a 1\n"),
    "health": ("GET", "/health", 200, JSON, HEALTH),
    "scale": ("GET", "/v1/scale", 200, JSON, {**FIGURE, "tenants": {"erp": FIGURE}}),
    "tenants": ("GET", "/v1/tenants", 200, JSON, {"tenants": {"erp": TENANT}}),
    "stats": ("GET", "/stats", 200, JSON, {"tenants": {}, "services": {}}),
    "tenant": ("GET", "/v1/tenants/erp", 200, JSON, TENANT),
    "schedules": ("GET", "/v1/schedules", 200, JSON, {"schedules": {"nightly-report": SCHEDULE}, "cursor": None}),
    "schedule": ("GET", "/v1/schedules/nightly-report", 200, JSON, {**SCHEDULE, "document": {"cron": "15 2 * * *"}}),
    "preview": ("POST", "/v1/schedules/preview", 200, JSON, {"times": ["2026-01-02T01:15:00Z"], "local": ["2026-01-02T02:15:00+01:00"]}),
    "preview, given up": ("POST", "/v1/schedules/preview", 200, JSON,
                          {"times": [], "local": [], "looked_until": "2026-01-02T01:15:00Z"}),
    "preview of what is no time": ("POST", "/v1/schedules/preview", 400, PROBLEM, problem(400, "invalid")),
    "dump": ("GET", "/dump", 200, JSON, {"health": HEALTH, "scale": {**FIGURE, "tenants": {}},
                                         "tenants": {"erp": TENANT}, "schedules": {"s": SCHEDULE}, "services": {},
                                         "configuration": None}),
}

BAD = {  # and a word of the complaint
    "no Location": ("POST", "/v1/jobs", 202, {k: v for k, v in TAKEN.items() if k != "Location"}, ACCEPTED,
                    "Location"),
    "a call's 202 without Preference-Applied": ("POST", "/call/erp/x", 202, UNPREFERRED, ACCEPTED,
                                                "Preference-Applied"),
    "accepted with half of what was asked": ("POST", "/v1/jobs", 202, TAKEN, {**ACCEPTED, "labels": {}},
                                             "request"),
    "a Location elsewhere": ("POST", "/v1/jobs", 202, {**TAKEN, "Location": "/jobs/1"}, ACCEPTED, "Location"),
    "no Vary": ("GET", f"/v1/jobs/{ID}", 200, {**JSON, "ETag": '"queued-0"'}, JOB, "Vary"),
    "503 without Retry-After": ("POST", "/v1/jobs", 503, PROBLEM, problem(503, "queue_full"), "Retry-After"),
    "Retry-After as a date": ("GET", "/readyz", 503, {**PROBLEM, "Retry-After": "Fri, 01 Jan 2027 00:00:00 GMT"},
                              problem(503, "unavailable"), "Retry-After"),
    "Retry-After of no seconds": ("GET", "/readyz", 503, {**PROBLEM, "Retry-After": "0"},
                                  problem(503, "unavailable"), "Retry-After"),
    "429 without Retry-After": ("POST", "/v1/jobs", 429, PROBLEM, problem(429, "too_many_requests"),
                                "Retry-After"),
    "405 without Allow": ("PATCH", "/v1/jobs", 405, PROBLEM, problem(405, "method_not_allowed"), "Allow"),
    "401 without a challenge": ("POST", "/v1/jobs", 401, PROBLEM, problem(401, "unauthenticated"),
                                "WWW-Authenticate"),
    "an unknown type": ("GET", "/call/erp/x", 404, PROBLEM, problem(404, "nonsense"), "nonsense"),
    "a type of another status": ("GET", "/call/erp/x", 404, PROBLEM, problem(404, "gone"), "gone"),
    "a type of another route": ("GET", f"/v1/jobs/{ID}", 404, PROBLEM, problem(404, "unknown_tenant"),
                                "unknown_tenant"),
    "a status that is not the answer's": ("GET", f"/v1/jobs/{ID}", 404, PROBLEM, problem(400, "unknown_job"),
                                          "404"),
    "a problem without detail": ("GET", f"/v1/jobs/{ID}", 404, PROBLEM,
                                 {k: v for k, v in UNKNOWN_JOB.items() if k != "detail"}, "detail"),
    "a problem with more": ("GET", f"/v1/jobs/{ID}", 404, PROBLEM, {**UNKNOWN_JOB, "x": 1}, "x"),
    "a problem as plain JSON": ("GET", f"/v1/jobs/{ID}", 404, JSON, UNKNOWN_JOB, "type application/json"),
    "a status that is not described": ("GET", "/v1/tenants", 418, JSON, {}, "418"),
    "200 for a submission": ("POST", "/v1/jobs", 200, TAKEN, ACCEPTED, "200"),
    "200 for a method that is not described": ("POST", "/openapi.json", 200, JSON, {}, "200"),
    "200 without attempts": ("GET", "/call/erp/x", 200, {"Sluice-Job-Id": ID, "Vary": "Prefer"}, b"", "200"),
    "a tenant's answer without an id": ("GET", "/call/erp/x", 200, {"Sluice-Attempts": "1", "Vary": "Prefer"},
                                        b"", "200"),
    "our problem in a tenant's name": ("GET", "/call/erp/x", 404, {**TENANTS, **PROBLEM},
                                       problem(404, "unknown_tenant"), "own"),
    "our wrong problem for a result": ("GET", f"/v1/jobs/{ID}/result", 404, {**PROBLEM, "Sluice-Job-Id": ID},
                                       problem(404, "gone"), "gone"),
    "HTML": ("GET", "/livez", 200, {"Content-Type": "text/html"}, b"ok\n", "text/html"),
    "no type": ("GET", "/livez", 200, {}, b"ok\n", "type None"),
    "another word": ("GET", "/livez", 200, {"Content-Type": "text/plain; charset=utf-8"}, b"yes\n", "ok"),
    "metrics without a version": ("GET", "/metrics", 200, {"Content-Type": "text/plain"}, b"a 1\n", "type"),
    "a body of a 304": ("GET", f"/v1/jobs/{ID}", 304, {}, b"", "ETag"),
    "broken JSON": ("GET", "/health", 200, JSON, b'{"status":', "not what its type says"),
    "a name twice": ("GET", "/health", 200, JSON, b'{"a":1,"a":1}', "twice"),
    "NaN": ("GET", "/v1/scale", 200, JSON, b'{"queued":NaN}', "NaN"),
    "not UTF-8": ("GET", "/health", 200, JSON, b'{"status":"\xff"}', "not what its type says"),
    "a job with more": ("GET", f"/v1/jobs/{ID}", 200, SHOWN, {**JOB, "extra": 1}, "extra"),
    "a job without attempts": ("GET", f"/v1/jobs/{ID}", 200, SHOWN,
                               {k: v for k, v in JOB.items() if k != "attempts"}, "attempts"),
    "a time without a zone": ("GET", f"/v1/jobs/{ID}", 200, SHOWN,
                              {**JOB, "created_at": "2026-01-02T03:04:05.678"}, "created_at"),
    "an unknown state": ("GET", f"/v1/jobs/{ID}", 200, SHOWN, {**JOB, "state": "lost"}, "state"),
    "an outcome of what has not ended": ("GET", f"/v1/jobs/{ID}", 200, SHOWN,
                                         {**JOB, "outcome": ENDED["outcome"]}, "outcome"),
    "no outcome of what has": ("GET", f"/v1/jobs/{ID}", 200, SHOWN, {**ENDED, "outcome": None}, "outcome"),
    "an empty state": ("POST", "/call/erp/x", 202, TAKEN, {**ACCEPTED, "state": ""}, "state"),
    "a tenant as a list": ("GET", "/v1/tenants", 200, JSON, {"tenants": [TENANT]}, "tenants"),
    "a negative figure": ("GET", "/v1/scale", 200, JSON, {**FIGURE, "queued": -1, "tenants": {}}, "queued"),
    "another health": ("GET", "/health", 200, JSON, {**HEALTH, "status": "fine"}, "status"),
}


def as_bytes(body):
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.mark.parametrize("name", GOOD)
def test_the_contract_takes(contract, name):
    method, target, status, headers, body = GOOD[name]
    assert contract.judge(method, target, status, headers, as_bytes(body)) == []


@pytest.mark.parametrize("name", BAD)
def test_the_contract_refuses(contract, name):
    method, target, status, headers, body, word = BAD[name]
    said = contract.judge(method, target, status, headers, as_bytes(body))
    assert said and word in " ".join(said)


def test_a_daemon_answers_for_its_own_targets_only(contract):
    health = ("GET", "/health", 200, JSON, as_bytes(HEALTH))
    assert contract.judge(*health, daemon="dispatcher") == []
    assert contract.judge(*health, daemon="ingress") != []
    assert contract.judge(*health, daemon="worker") != []
    nothing = ("GET", "/health", 404, PROBLEM, as_bytes(problem(404, "not_found")))
    assert contract.judge(*nothing, daemon="worker") == []


def test_threads_judge_side_by_side(contract):
    rows = [GOOD[name] for name in ("dump", "ended job", "no key", "schedules")] * 100
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda row: contract.judge(*row[:4], as_bytes(row[4])), rows))
    assert [wrong for wrong in said if wrong] == []


class Canned(requests.adapters.BaseAdapter):
    """Answers as told, without a socket."""

    def send(self, request, **_options):
        response = requests.Response()
        response.request, response.url = request, request.url
        response.status_code, response._content = 200, b"yes\n"
        response.headers = requests.structures.CaseInsensitiveDict({"Content-Type": "text/plain"})
        return response

    def close(self):
        pass


def test_an_installed_contract_judges_watched_servers_and_keeps_what_it_found(contract, monkeypatch):
    monkeypatch.setattr("harness.http.AFTER_RESPONSE", [])
    session = contract.install(requests.Session())
    session.mount("http://", Canned())
    assert session.get("http://127.0.0.1:1/livez").text == "yes\n"
    contract.watch("http://127.0.0.1:1", "ingress")
    with pytest.raises(ContractBroken, match="GET /livez -> 200"):
        session.get("http://127.0.0.1:1/livez")
    assert len(contract.take_violations()) == 1 and contract.take_violations() == []
    assert session.get("http://127.0.0.1:2/livez").text == "yes\n"


# --- what is served ---


@pytest.fixture(scope="module")
def watched(bin_dir, request):
    missing = [k for k in KINDS if not (bin_dir / f"sluice-{k}").exists()]
    if missing:
        pytest.skip(f"not built: {missing}")
    stack = request.getfixturevalue("stack")
    for name, kind in (("ingress", "ingress"), ("dispatcher", "dispatcher"), ("worker-1", "worker")):
        watch(stack[name].url, kind)
    yield stack
    CONTRACT.take_violations()  # each has failed its test already


def test_the_served_document_is_the_file(watched):
    answer = watched.call("GET", "/openapi.json")
    assert answer.content == OPENAPI.read_bytes()
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_what_every_daemon_answers(watched, path):
    for name in ("ingress", "dispatcher", "worker-1"):
        for method in ("GET", "HEAD"):
            assert watched.http.request(method, watched[name].url + path, timeout=10).status_code == 200
        assert watched.http.post(watched[name].url + path, timeout=10).status_code == 405


@pytest.mark.parametrize("path", [
    "/health", "/stats", "/dump", "/v1/scale", "/v1/tenants", "/v1/tenants/sample", "/v1/schedules"])
def test_what_the_dispatcher_answers(watched, path):
    assert watched.ask(path).status_code == 200
    assert watched.http.patch(watched.dispatcher_url + path, timeout=10).status_code == 405


@pytest.mark.parametrize("path, word", [
    ("/v1/tenants/nobody", "unknown_tenant"), ("/v1/schedules/none", "not_found"), ("/v1/nothing", "not_found")])
def test_what_the_dispatcher_does_not_have(watched, path, word):
    answer = watched.ask(path)
    assert (answer.status_code, answer.json()["type"]) == (404, URN + word)


def test_a_job_from_its_submission_to_its_result(watched):
    job = watched.submit(body={"n": 1}, labels={"run": "42"}).json()["id"]
    assert watched.wait_job(job)["labels"] == {"run": "42"}
    assert watched.result(job).json() == {"n": 1}
    tag = watched.call("GET", f"/v1/jobs/{job}").headers["ETag"]
    assert watched.call("GET", f"/v1/jobs/{job}", headers={"If-None-Match": tag}).status_code == 304
    assert watched.call("HEAD", f"/v1/jobs/{job}").status_code == 200
    for method, path, status in (("DELETE", "", 409), ("POST", "/retry", 409), ("POST", "/resolve", 400),
                                 ("PUT", "", 405), ("GET", "/retry", 405), ("GET", "/dance", 404)):
        assert watched.call(method, f"/v1/jobs/{job}{path}").status_code == status, (method, path)


def test_a_job_that_waits_is_shown_and_canceled(watched):
    job = watched.submit(delay_s=600).json()["id"]
    assert watched.result(job).status_code == 202
    assert watched.job(job)["state"] == "scheduled"
    assert watched.call("DELETE", f"/v1/jobs/{job}").json()["state"] == "canceled"
    assert watched.result(job).status_code == 409


def test_calls(watched):
    for method in ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "PROPFIND"):
        answer = watched.call(method, "/call/sample/hello?x=1")
        assert answer.headers["Sluice-Attempts"] == "1", method
    answer = watched.call("POST", "/call/sample/x", headers={"Prefer": "respond-async"})
    assert answer.status_code == 202


@pytest.mark.parametrize("method, path, options, status", [
    ("GET", "/v1/jobs", {}, 405), ("GET", "/v1/jobs/nonsense", {}, 404),
    ("GET", f"/v1/jobs/sample.{'a' * 26}", {}, 404), ("GET", f"/v1/jobs/sample.{'a' * 26}/result", {}, 404),
    ("DELETE", f"/v1/jobs/sample.{'a' * 26}", {}, 404), ("POST", f"/v1/jobs/sample.{'a' * 26}/retry", {}, 404),
    ("POST", "/v1/jobs", {"data": b"{"}, 400), ("POST", "/v1/jobs", {"json": {"tenant": "sample"}}, 400),
    ("POST", "/v1/jobs", {"json": {"tenant": "nobody", "request": {"path": "/"}}}, 404),
    ("POST", "/call/sample/x", {"headers": {"Idempotency-Key": "k" * 256}}, 400),
    ("GET", "/call/nobody/x", {}, 404), ("GET", "/nothing", {}, 404), ("TRACE", "/call/sample/x", {}, 405),
    ("POST", "/openapi.json", {}, 405), ("POST", "/call/sample/x", {"data": b"x" * 9_000_000}, 413),
    ("GET", "/call/sample/x", {"headers": {"X": "y" * 20_000}}, 431),
])
def test_refusals(watched, method, path, options, status):
    assert watched.call(method, path, **options).status_code == status
