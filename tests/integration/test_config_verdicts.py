# SPDX-License-Identifier: Apache-2.0
"""The configuration's C tables and its JSON Schemas say the same, example by example and bound by bound."""

import copy
import json
import os
import pathlib
import re
import subprocess

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas"
EXAMPLES = SCHEMAS / "examples"
CHECK = pathlib.Path(os.environ.get("SLUICE_BIN", ROOT / "build/dev/bin")) / "unit/config_check"
SMALL = 1e-6  # by which a bound is passed; times are kept in milliseconds, but judged before


def load_schema(name):
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text())


def without_dialect(schema):
    """jsonschema goes on with its own class, and not with ours, from where a schema names one."""
    return {key: value for key, value in schema.items() if key != "$schema"}


STORE = {s["$id"]: without_dialect(s) for s in map(load_schema, ("config", "tenant", "schedule", "job"))}


def pattern(_validator, expression, instance, _schema):
    """As ECMA-262 reads it: unlike Python's, its $ does not match before a last line feed."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$(?=\)*$)", r"\\Z", expression), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {expression!r}")


VALIDATOR = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern})


def validator(name):
    """References between the schemas are resolved here, among the files; nothing is fetched."""
    schema = without_dialect(load_schema(name))
    resolver = jsonschema.RefResolver(schema["$id"], schema, store=STORE)
    return VALIDATOR(schema, resolver=resolver)


VALIDATORS = {name: validator(name) for name in ("config", "tenant", "schedule")}


def in_config(kind, document):
    if kind == "tenant":
        return {"tenants": {"t": document}}
    if kind == "schedule":
        return {"tenants": {"erp": {}}, "schedules": {"s": document}}
    return document


def run(*arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_CFG_")}
    return subprocess.run([CHECK, *arguments], capture_output=True, text=True, timeout=20,
                          env=environment, check=False)


def verdict(path):
    done = run(path)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0, done.stdout


def verdict_of(tmp_path, document):
    path = tmp_path / "document.json"
    path.write_text(json.dumps(document))
    return verdict(path)


def examples(validity, kind):
    found = sorted(p for p in (EXAMPLES / validity / kind).iterdir() if p.suffix != ".crontab")
    assert found
    return [pytest.param(kind, p, id=f"{kind}/{p.name}") for p in found]


def every(validity):
    return [e for kind in VALIDATORS for e in examples(validity, kind)]


def read(path):
    return yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())


@pytest.mark.parametrize("kind,path", every("valid"))
def test_valid(tmp_path, kind, path):
    document = read(path)
    assert not list(VALIDATORS[kind].iter_errors(document))
    is_sound, said = verdict(path) if kind == "config" else verdict_of(tmp_path, in_config(kind, document))
    assert is_sound, said


@pytest.mark.parametrize("kind,path", every("invalid"))
def test_invalid(tmp_path, kind, path):
    document = read(path)
    assert list(VALIDATORS[kind].iter_errors(document))
    is_sound, said = verdict(path) if kind == "config" else verdict_of(tmp_path, in_config(kind, document))
    assert not is_sound
    assert len(said.splitlines()) == 1, "an example breaks one rule: " + said


@pytest.mark.parametrize("kind,path", examples("invalid", "config-semantic"))
def test_semantic(kind, path):
    is_sound, said = verdict(path)
    assert not is_sound, kind
    assert said.startswith(str(path.parent)), said


# What POST /v1/jobs takes of a job, and a schedule does not.
OF_ONE_JOB = ("idempotency_key", "delay_s", "not_before", "expires_at", "callback")
# What the examples of jobs say beyond what a schedule can hold: its own level comes on top.
TOO_DEEP = {"deepest"}


def job_examples(validity):
    found = sorted((EXAMPLES / validity / "job").iterdir())
    assert found
    return [pytest.param(p, id=p.stem) for p in found if p.stem not in TOO_DEEP]


def schedule_around(path):
    """A configuration whose schedule has the job, with the bytes that stand in its file."""
    job = path.read_bytes()
    document = json.loads(job)
    tenant = document.get("tenant") if isinstance(document, dict) else None
    known = tenant if isinstance(tenant, str) and re.fullmatch("[a-z0-9_-]{1,64}", tenant) else "erp"
    return b'{"tenants":{"%s":{}},"schedules":{"s":{"cron":"@daily","job":%s}}}' % (known.encode(), job), document


@pytest.mark.parametrize("validity,path", [(v, *p.values) for v in ("valid", "invalid") for p in job_examples(v)],
                         ids=lambda value: getattr(value, "stem", value))
def test_a_schedules_job_is_judged_as_any_job(tmp_path, validity, path):
    """Example by example as tests/integration/test_job_verdicts.py has it of POST /v1/jobs, but for what is of one job only."""
    text, job = schedule_around(path)
    (tmp_path / "document.json").write_bytes(text)
    is_sound, said = verdict(tmp_path / "document.json")
    idle = [key for key in OF_ONE_JOB if validity == "valid" and key in job]
    assert is_sound == (validity == "valid" and not idle), said
    assert is_sound or idle or (": schedules.s.job: " in said and len(said.splitlines()) == 1), said
    assert not idle or sorted(re.findall(r": schedules\.s\.job\.(\w+): ", said)) == sorted(idle), said
    for kind, document in (("config", json.loads(text)), ("schedule", {"cron": "@daily", "job": job})):
        assert VALIDATORS[kind].is_valid(document) == is_sound, kind


def test_there_is_one_schema_of_jobs():
    assert load_schema("schedule")["properties"]["job"]["$ref"] == "job.schema.json"
    assert "body_base64" not in (SCHEMAS / "schedule.schema.json").read_text()
    assert "body_base64" not in (SCHEMAS / "config.schema.json").read_text()


def properties(schema, where=()):
    """Every property of the schema with its path, objects and jobs walked down; no references to
    other files else."""
    for key, value in schema.get("properties", {}).items():
        value = resolve(value)
        yield where + (key,), value
        if "properties" in value:
            yield from properties(value, where + (key,))


def resolve(value):
    reference = value.get("$ref", "")
    if reference == "job.schema.json":
        return load_schema("job")
    if not reference.startswith("#/$defs/"):
        return value
    owner = next(s for s in STORE.values() if reference.rsplit("/", 1)[1] in s.get("$defs", {}))
    return owner["$defs"][reference.rsplit("/", 1)[1]]


# What must stand beside a property for its document to be whole.
BESIDE = {("tenant", "rate"): {"limit": 1}, ("tenant", "per_key"): {"label": "l"},
          ("tenant", "polling"): {"retry_delay": 1}, ("tenant", "adaptive"): {"maximum": 1000000}}
WHOLE = {"tenant": {}, "schedule": {"cron": "@daily", "job": {"tenant": "erp", "request": {"path": "/"}}}}


def with_value(kind, path, value):
    document = copy.deepcopy(WHOLE.get(kind, {}))
    at = document
    for i, key in enumerate(path[:-1]):
        at = at.setdefault(key, copy.deepcopy(BESIDE.get((kind,) + path[: i + 1], {})))
    at[path[-1]] = value
    return document


def probes(kind):
    schema = load_schema(kind)
    if kind == "config":
        schema = schema["$defs"]["document"]
    for path, value in properties(schema):
        step = 1 if "integer" in value.get("type", ()) else SMALL
        for bound, sign in (("minimum", -1), ("exclusiveMinimum", -1), ("maximum", 1)):
            if bound in value:
                yield from ((path, value[bound] + n * sign * step) for n in (-1, 0, 1))
        for choice in value.get("enum", ()):
            yield path, choice
        if path == ("crontabs",):
            continue  # names of files that would have to be there
        for wrong in ("?", 0.25, True, [], {}, None, -1, "", ["?"], [0.5]):
            yield path, wrong


@pytest.mark.parametrize("kind", VALIDATORS)
def test_every_property_at_its_bounds(tmp_path, kind):
    """Both sides judge each property alike: at its bounds, past them, and with values of other types."""
    documents = {}
    for i, (path, value) in enumerate(probes(kind)):
        document = with_value(kind, path, value)
        documents[tmp_path / f"{i}.json"] = document
        (tmp_path / f"{i}.json").write_text(json.dumps(in_config(kind, document)))
    assert len(documents) > 50
    said = run(*documents).stdout.splitlines()
    sound = {line[: -len(": sound")] for line in said if line.endswith(": sound")}
    differing = [
        json.dumps(document)
        for path, document in documents.items()
        if (str(path) in sound) != VALIDATORS[kind].is_valid(document)
    ]
    assert not differing, "\n".join(differing)


# What has gone into the tenants and schedules by then.
NOT_PRINTED = ("defaults", "crontabs")


def defaults_of(schema):
    return {path: value["default"] for path, value in properties(schema) if "default" in value}


def at(document, path):
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize("kind", VALIDATORS)
def test_defaults_and_keys_are_those_that_are_printed(tmp_path, kind):
    whole = {"tenant": {"breaker": {}, "rate": {"limit": 1}, "per_key": {"label": "l"}},
             "schedule": WHOLE["schedule"], "config": {}}[kind]
    path = tmp_path / "document.json"
    path.write_text(json.dumps(in_config(kind, whole)))
    printed = yaml.safe_load(run("--print", path).stdout)
    schema = load_schema(kind)
    if kind == "config":
        schema = schema["$defs"]["document"]
    else:
        printed = printed["tenants"]["t"] if kind == "tenant" else printed["schedules"]["s"]
    for where, default in defaults_of(schema).items():
        if where[0] in ("job", *NOT_PRINTED):
            continue
        found = str(at(printed, where))
        assert found.replace("guest:***", "guest:guest") == str(default), where
    assert set(printed) == set(schema["properties"]) - set(NOT_PRINTED)


def test_what_is_printed_is_read_again(tmp_path):
    for example in examples("valid", "config"):
        printed = run("--print", example.values[1]).stdout
        path = tmp_path / "printed.yaml"
        path.write_text(printed)
        assert run("--print", path).stdout == printed
