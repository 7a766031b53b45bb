# SPDX-License-Identifier: Apache-2.0
"""contract: holds what the daemons answer to schemas/openapi.json.

    watch("http://127.0.0.1:8080", "ingress")     # from now on every answer of new_session() is judged

An answer that breaks the document raises ContractBroken where it was asked for, and is kept in
CONTRACT.violations, for the threads whose exceptions nobody sees. As a program (in tests/integration:
python3 -m harness.contract) it writes the copy of
schemas/job.schema.json in the document anew.
"""
import json
import re
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"
OPENAPI = SCHEMAS / "openapi.json"
PROBLEM_JSON = "application/problem+json"
URN = "urn:sluice:problem:"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# A bodiless answer has no body to judge, whatever its Content-Type.
_BODILESS = (204, 304)


class ContractBroken(AssertionError):
    pass


def bundled(schema, at="#/components/schemas/JobRequest"):
    """A schema of its own file as it stands in the document, at `at`."""
    def moved(value):
        if isinstance(value, dict):
            return {k: at + v[1:] if k == "$ref" and isinstance(v, str) and v.startswith("#") else moved(v)
                    for k, v in value.items()}
        return [moved(v) for v in value] if isinstance(value, list) else value

    return {k: v for k, v in moved(schema).items() if k not in ("$schema", "$id")}


def strict_json(body):
    """The value of a JSON text. ValueError also for NaN and a name that comes twice."""
    def unique(pairs):
        value = dict(pairs)
        if len(value) != len(pairs):
            raise ValueError("a name comes twice")
        return value

    def refuse(word):
        raise ValueError(f"{word} is no JSON")

    return json.loads(body.decode(), object_pairs_hook=unique, parse_constant=refuse)


def _media(text):
    """("text/plain", {"charset=utf-8"})"""
    essence, *parameters = [part.strip().lower() for part in text.split(";")]
    return essence, set(parameters)


def _fits(media_range, content_type):
    if media_range == "*/*":
        return True
    if content_type is None:
        return False
    wanted, wanted_parameters = _media(media_range)
    essence, parameters = _media(content_type)
    return essence == wanted and wanted_parameters <= parameters


class Document:
    """An OpenAPI document, with what is needed to find and judge an answer in it."""

    def __init__(self, document):
        self.document = document
        self._local = threading.local()
        self._paths = sorted(((self._expression(path, item), path, item)
                              for path, item in document["paths"].items()), key=self._rank)

    @classmethod
    def load(cls, path=OPENAPI):
        return cls(json.loads(path.read_text()))

    @property
    def _resolver(self):
        """One a thread: it keeps where it is."""
        if not hasattr(self._local, "resolver"):
            self._local.resolver = jsonschema.RefResolver("", self.document)
        return self._local.resolver

    def deref(self, node):
        while isinstance(node, dict) and "$ref" in node:
            _, target = self._resolver.resolve(node["$ref"])
            node = {**target, **{k: v for k, v in node.items() if k != "$ref"}}
        return node

    def _expression(self, path, item):
        rest = {p["name"] for p in map(self.deref, item.get("parameters", [])) if p.get("x-sluice-rest")}

        def piece(text):
            if not text.startswith("{"):
                return re.escape(text)
            return ".*" if text[1:-1] in rest else "[^/]*"

        return re.compile("".join(piece(text) for text in re.split(r"(\{[^}]*\})", path) if text), re.S)

    @staticmethod
    def _rank(row):
        """Concrete paths before templated ones, deep ones first."""
        path = row[1]
        return path.count("{"), -len(path.split("{")[0]), path

    def _serves(self, item, daemon):
        servers = item.get("servers", self.document.get("servers", []))
        return daemon is None or any(s.get("description") == daemon for s in servers)

    def find(self, target, daemon=None):
        """(template, path item) of a request target; (None, None) when none describes it."""
        path = target.split("?", 1)[0]
        for expression, template, item in self._paths:
            if self._serves(item, daemon) and expression.fullmatch(path):
                return template, self.deref(item)
        return None, None

    def responses(self, method, item):
        """The answers that this method may have. HEAD has those of GET."""
        method = method.lower()
        operation = None if item is None else item.get(method)
        if operation is None and item is not None and method == "head":
            operation = item.get("get")
        if operation is None and item is not None and item.get("x-sluice-any-method") \
                and method not in ("connect", "trace"):
            operation = item["post"]
        return self.document["x-sluice-elsewhere"] if operation is None else operation["responses"]

    def mistakes(self, schema, value):
        """What is wrong with a value, a text each."""
        validator = jsonschema.Draft202012Validator(schema, resolver=self._resolver)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


class Answer:
    """An answer as it was seen. body: bytes, or a function that reads them when they are needed."""

    def __init__(self, method, target, status, headers, body=b""):
        self.method = method.upper()
        self.target = target
        self.status = status
        self._headers = {}
        for name, value in (headers.items() if hasattr(headers, "items") else headers):
            known = self._headers.get(name.lower())
            self._headers[name.lower()] = value if known is None else f"{known}, {value}"
        self._body = body

    def header(self, name):
        return self._headers.get(name.lower())

    @property
    def content_type(self):
        return self.header("Content-Type")

    @property
    def has_body(self):
        return self.method != "HEAD" and self.status not in _BODILESS

    @property
    def body(self):
        if callable(self._body):
            self._body = self._body()
        return self._body

    def value(self):
        """The body as the schemas see it."""
        essence = _media(self.content_type)[0]
        is_json = essence == "application/json" or essence.endswith("+json")
        return strict_json(self.body) if is_json else self.body.decode()

    @property
    def is_sluice_problem(self):
        """Such a body is never a tenant's own."""
        if self.content_type is None or _media(self.content_type)[0] != PROBLEM_JSON or not self.has_body:
            return False
        try:
            value = self.value()
        except ValueError:
            return False
        return isinstance(value, dict) and str(value.get("type", "")).startswith(URN)

    def __str__(self):
        return f"{self.method} {self.target} -> {self.status} {self.content_type or '(no type)'}"


class Contract:
    """Judges answers; keeps what it found wrong."""

    def __init__(self, document=None):
        self._document = document
        self._servers = {}
        self._lock = threading.Lock()
        self.violations = []

    @property
    def document(self):
        with self._lock:
            if self._document is None:
                self._document = Document.load()
            return self._document

    def judge(self, method, target, status, headers, body=b"", daemon=None):
        """What is wrong with an answer: a list of texts, empty when nothing is.

        daemon: ingress, dispatcher or worker; None: whichever describes the target.
        """
        answer = Answer(method, target, status, headers, body)
        _, item = self.document.find(target, daemon)
        responses = self.document.responses(method, item)
        default = responses.get("default")
        is_tenants = default is not None and not self._header_mistakes(answer, default)
        listed = responses.get(str(status))
        if is_tenants and (listed is None or answer.header("Sluice-Attempts") is not None):
            return self._judge_tenants(answer, default)
        if listed is None:
            return [f"status {status} is not described; it may be {', '.join(responses)}"]
        wrong = self._judge_against(answer, self.document.deref(listed))
        if wrong and is_tenants and not self._judge_tenants(answer, default):
            return []
        return wrong

    def _judge_tenants(self, answer, default):
        response = self.document.deref(default)
        if any(_fits(name, answer.content_type) for name in response.get("content", {})):
            return ["a problem of Sluice's own where a tenant's answer is said to be"] \
                if answer.is_sluice_problem else []
        return [f"type {answer.content_type} is not described"]

    def _judge_against(self, answer, response):
        return self._header_mistakes(answer, response) + self._body_mistakes(answer, response)

    def _header_mistakes(self, answer, response):
        wrong = []
        for name, header in self.document.deref(response).get("headers", {}).items():
            header = self.document.deref(header)
            value = answer.header(name)
            if value is None:
                wrong += [f"{name} is missing"] if header.get("required") else []
                continue
            schema = self.document.deref(header["schema"])
            if schema.get("type") == "integer" and re.fullmatch("-?[0-9]+", value):
                value = int(value)
            wrong += [f"{name}: {text}" for text in self.document.mistakes(schema, value)]
        return wrong

    def _body_mistakes(self, answer, response):
        content = response.get("content")
        if not content:
            return ["a body where none is described"] if answer.has_body and answer.body else []
        fitting = [media for name, media in content.items() if _fits(name, answer.content_type)]
        if not fitting:
            return [f"type {answer.content_type} is not described; it may be {', '.join(content)}"]
        schema = fitting[0].get("schema")
        if schema is None or not answer.has_body:
            return []
        try:
            value = answer.value()
        except ValueError as error:
            return [f"the body is not what its type says: {error}"]
        return [f"body {text}" for text in self.document.mistakes(schema, value)]

    # --- at work ---

    def watch(self, url, daemon):
        """From now on the answers of this server are judged. daemon: as in judge()."""
        from .http import AFTER_RESPONSE

        with self._lock:
            self._servers[urlsplit(url).netloc] = daemon
            if self.check not in AFTER_RESPONSE:
                AFTER_RESPONSE.append(self.check)

    def forget(self, url):
        """Who listens there from now on is not ours: a port that an earlier stack had may come again."""
        with self._lock:
            self._servers.pop(urlsplit(url).netloc, None)

    def install(self, session):
        """Judges the answers of a session that is not new_session()'s."""
        session.hooks["response"].append(lambda response, *_args, **_kwargs: self.check(response))
        return session

    def check(self, response):
        """Raises ContractBroken for a requests.Response of a watched server that breaks the document.
        A tenant's own body is not read here: its reader may want it piece by piece."""
        netloc = urlsplit(response.request.url).netloc
        daemon = self._servers.get(netloc)
        if daemon is None:
            return
        method, target = response.request.method, response.request.path_url
        wrong = self.judge(method, target, response.status_code, response.headers,
                           lambda: response.content, daemon)
        if wrong:
            text = f"{daemon}: {method} {target} -> {response.status_code}: " + "; ".join(wrong)
            with self._lock:
                self.violations.append(text)
            raise ContractBroken(text)

    def take_violations(self):
        with self._lock:
            taken, self.violations = self.violations, []
        return taken


CONTRACT = Contract()
watch = CONTRACT.watch
forget = CONTRACT.forget


def main():
    document = json.loads(OPENAPI.read_text())
    job = json.loads((SCHEMAS / "job.schema.json").read_text())
    document["components"]["schemas"]["JobRequest"] = bundled(job)
    OPENAPI.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
