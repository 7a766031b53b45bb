# SPDX-License-Identifier: Apache-2.0
"""The decoder of POST /v1/jobs and its JSON Schema say the same, example by example and bound by bound."""

import copy
import json
import os
import pathlib
import re
import subprocess

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "schemas/examples"
CHECK = pathlib.Path(os.environ.get("SLUICE_BIN", ROOT / "build/dev/bin")) / "unit/job_check"
SCHEMA = json.loads((ROOT / "schemas/job.schema.json").read_text())
SMALL = 1e-6


def pattern(_validator, expression, instance, _schema):
    """As ECMA-262 reads it: unlike Python's, its $ does not match before a last line feed."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$(?=\)*$)", r"\\Z", expression), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {expression!r}")


VALIDATOR = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern})(SCHEMA)


def run(*paths):
    done = subprocess.run([CHECK, *paths], capture_output=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    said = done.stdout.decode("utf-8")
    assert len(said.splitlines()) == len(paths), said
    return done.returncode == 0, said


def examples(kind):
    found = sorted((EXAMPLES / kind).iterdir())
    assert found
    return [pytest.param(p, id=p.stem) for p in found]


def test_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", examples("valid/job"))
def test_valid(path):
    errors = [e.message for e in VALIDATOR.iter_errors(json.loads(path.read_bytes()))]
    assert not errors
    is_sound, said = run(path)
    assert is_sound, said


@pytest.mark.parametrize("path", examples("invalid/job"))
def test_invalid(path):
    errors = list(VALIDATOR.iter_errors(json.loads(path.read_bytes())))
    assert len(errors) == 1, errors
    is_sound, said = run(path)
    assert not is_sound
    assert said.strip().endswith("."), said  # a sentence


@pytest.mark.parametrize("path", examples("invalid/job-syntax"))
def test_what_a_schema_cannot_say(path):
    is_sound, said = run(path)
    assert not is_sound
    assert said.strip().endswith("."), said


def properties(schema, where=()):
    for key, value in schema.get("properties", {}).items():
        value = SCHEMA["$defs"]["request"] if "$ref" in value else value
        yield where + (key,), value
        yield from properties(value, where + (key,))


def with_value(path, value):
    document = {"tenant": "erp", "request": {"path": "/"}}
    at = document
    for key in path[:-1]:
        at = at.setdefault(key, {})
    at[path[-1]] = copy.deepcopy(value)
    return document


def probes():
    for path, value in properties(SCHEMA):
        step = 1 if value.get("type") == "integer" else SMALL
        for bound, sign in (("minimum", -1), ("exclusiveMinimum", -1), ("maximum", 1)):
            if bound in value:
                yield from ((path, value[bound] + n * sign * step) for n in (-1, 0, 1))
        for bound in ("minLength", "maxLength"):
            if bound in value:
                yield from ((path, "k" * max(0, value[bound] + n)) for n in (-1, 0, 1))
        for choice in value.get("enum", ()):
            yield path, choice
        for wrong in ("?", "", "/", "a", "A", "1.", 0, 1, 1.0, 0.25, -1, 1e300, True, False, None, [], {}, ["?"], {"a": "b"}, {"a": 1}, {"?": "b"}):
            yield path, wrong


def test_every_property_at_its_bounds(tmp_path):
    documents = {}
    for i, (path, value) in enumerate(probes()):
        documents[tmp_path / f"{i}.json"] = with_value(path, value)
    assert len(documents) > 200
    for path, document in documents.items():
        path.write_text(json.dumps(document))
    sound = {pathlib.Path(line[: -len(": sound")])
             for line in run(*documents)[1].splitlines() if line.endswith(": sound")}
    differing = [json.dumps(d) for p, d in documents.items() if (p in sound) != VALIDATOR.is_valid(d)]
    assert not differing, "\n".join(differing)
    assert len(sound) > 20
