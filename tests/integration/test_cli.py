# SPDX-License-Identifier: Apache-2.0
"""The command `sluice` on a running stack: what it prints, and its exit codes."""
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest
import yaml

from harness import free_port, wait_until
from harness.cli import BROKEN, FAILED, IN_DOUBT, OK, REFUSED, TIMEOUT, UNAVAILABLE, USAGE, Cli, fields

NO_JOB = "sample." + "a" * 26


@pytest.fixture
def cli(stack):
    return Cli(stack)


# --- call ---

def test_call_prints_the_tenants_body(cli, stack):
    answer = json.loads(cli.run("call", "sample", "/hello?a=b"))
    assert (answer["method"], answer["path"], answer["query"]) == ("GET", "/hello", "a=b")


def test_call_sends_bytes_as_they_are(cli):
    body = bytes(range(256)) * 300
    assert cli.run("call", "sample", "PUT", "/echo", "--data", "@-", stdin=body) == body


def test_call_shows_the_head_if_asked(cli):
    head, _, body = cli.run("call", "sample", "/echo", "-i", "-d", '{"n": 1}').partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200" and "sluice-attempts: 1" in [s.lower() for s in lines]
    assert "content-type: application/json" in [s.lower() for s in lines]
    assert body == b'{"n": 1}'


def test_call_sends_headers_and_nothing_else(cli):
    sent = json.loads(cli.run("call", "sample", "/headers", "-H", "X-One: 1", "-H", "X-One: 2",
                              "-H", "Authorization: Basic eDp5",
                              env={"SLUICE_KEY": "never-forwarded"}))
    pairs = [(name.lower(), value) for name, value in sent["headers"]]
    assert [value for name, value in pairs if name == "x-one"] == ["1", "2"]
    assert ("authorization", "Basic eDp5") in pairs
    assert not {"user-agent", "accept", "sluice-key", "content-type"} & {name for name, _ in pairs}
    assert "never-forwarded" not in str(pairs)


def test_call_that_the_tenant_refuses(cli):
    out, err = cli.both("call", "sample", "POST", "/status/422", "-d", "no", code=FAILED)
    assert out == b"no" and "sample answered 422 (job sample." in err


def test_call_without_waiting(cli):
    job_id = cli.text("call", "sample", "POST", "/x", "--async").strip()
    assert fields(cli.text("wait", job_id, "--timeout", 30))["state"] == "succeeded"


def test_call_that_takes_longer_than_its_wait(cli):
    out, err = cli.both("call", "sample", "POST", "/x?sleep_ms=2500", "--wait", 1, code=TIMEOUT)
    assert "the job goes on" in err
    cli.run("wait", out.decode().strip(), "--timeout", 30)


def test_call_with_a_key_has_one_effect(cli, stack):
    key = f"cli-{time.time_ns()}"
    words = ("call", "sample", "POST", "/once", "-d", key, "--key-id", key)
    assert cli.run(*words) == cli.run(*words) == key.encode()
    assert len(stack.receipts(key=key)) == 1
    _, err = cli.both("call", "sample", "POST", "/other", "-d", key, "--key-id", key, code=REFUSED)
    assert "key_reused" in err


# --- submit, wait, result ---

def test_submit_wait_result(cli):
    job_id = cli.submit("/orders?a=b", "--data", '{"n": 1}', "--label", "run=42", "--label", "by=me")
    seen = fields(cli.text("wait", job_id, "--timeout", 30))
    assert seen["job"] == job_id and seen["state"] == "succeeded"
    assert seen["request"] == "POST /orders?a=b" and "run=42" in seen["labels"]
    assert cli.run("result", job_id) == b'{"n": 1}'
    head = cli.run("result", "-i", job_id).partition(b"\r\n\r\n")[0].decode().lower()
    assert head.startswith("http/1.1 200") and "content-type: application/json" in head


@pytest.mark.parametrize("body", [b"text", b"\x00\xff\x80", b'{"a":1,"a":2}', "ü".encode() * 9])
def test_every_body_arrives_as_it_is(cli, tmp_path, body):
    path = tmp_path / "body"
    path.write_bytes(body)
    job_id = cli.submit("/echo", "--data-file", path)
    cli.run("wait", job_id, "--timeout", 30)
    assert cli.run("result", job_id) == body


def test_submit_a_document(cli, tmp_path):
    document = {"tenant": "sample", "request": {"path": "/d", "body": [1, 2]}, "labels": {"a": "b"}}
    path = tmp_path / "job.json"
    path.write_text(json.dumps(document))
    for words, stdin in (((path,), b""), (("-",), path.read_bytes())):
        job_id = cli.text("submit", "--file", *words, stdin=stdin).strip()
        assert cli.json("wait", job_id, "--timeout", 30)["labels"] == {"a": "b"}
        assert json.loads(cli.run("result", job_id)) == [1, 2]


def test_submit_in_a_line_with_a_priority(cli):
    job_id = cli.text("submit", "sample", "/line", "--ordering-key", "customer 7", "--priority", "high").strip()
    shown = cli.json("wait", job_id, "--timeout", 30)
    assert (shown["ordering_key"], shown["priority"]) == ("customer 7", "high")
    assert "priority" in cli.both("submit", "sample", "/line", "--priority", "urgent", code=REFUSED)[1]
    assert "ordering_key" in cli.both("submit", "sample", "/line", "--ordering-key", "", code=REFUSED)[1]
    assert "--priority belongs" in cli.both("submit", "--file", "-", "--priority", "low", code=USAGE)[1]


def test_submit_with_a_key_is_one_job(cli, stack):
    key = f"cli job {time.time_ns()}"
    words = ("/once", "-d", "x", "--idempotency-key", key)
    assert cli.submit(*words) == cli.submit(*words)
    _, err = cli.both("submit", "sample", "/twice", "--idempotency-key", key, code=REFUSED)
    assert "The key was used for another request (422 key_reused)" in err


def test_submit_and_wait(cli):
    out = cli.text("submit", "sample", "/x", "--wait", 30)
    job_id, _, shown = out.partition("\n")
    assert fields(shown)["job"] == job_id and fields(shown)["state"] == "succeeded"
    assert cli.json("submit", "sample", "/x", "--wait", 30)["state"] == "succeeded"


def test_a_delayed_job_is_waited_for_and_canceled(cli):
    job_id = cli.submit("/late", "--delay", 600)
    assert cli.json("status", job_id)["state"] == "scheduled"
    _, err = cli.both("wait", job_id, "--timeout", 0.3, code=TIMEOUT)
    assert job_id in err
    _, err = cli.both("result", job_id, code=TIMEOUT)
    assert "the job has not ended: it is scheduled" in err
    assert fields(cli.text("cancel", job_id))["state"] == "canceled"
    cli.run("wait", job_id, code=FAILED)
    _, err = cli.both("result", job_id, code=FAILED)
    assert "409 canceled" in err


def test_what_has_ended_is_not_canceled(cli):
    job_id = cli.submit("/x")
    cli.run("wait", job_id, "--timeout", 30)
    _, err = cli.both("cancel", job_id, code=REFUSED)
    assert "409 not_cancelable" in err


def test_a_failed_job(cli):
    job_id = cli.submit("/status/418", "-d", "teapot")
    assert cli.json("wait", job_id, "--timeout", 30, code=FAILED)["state"] == "failed"
    assert cli.run("result", job_id, code=FAILED) == b"teapot"
    assert fields(cli.text("status", job_id))["outcome"].startswith("status 418")


def test_a_job_in_doubt_is_resolved(cli):
    job_id = cli.submit("/drop")
    assert cli.json("wait", job_id, "--timeout", 30, code=IN_DOUBT)["state"] == "in_doubt"
    cli.run("result", job_id, code=IN_DOUBT)
    seen = cli.json("resolve", job_id, "succeeded", "--note", 'seen in "the ledger"')
    assert seen["state"] == "succeeded" and seen["note"] == 'seen in "the ledger"'
    cli.run("wait", job_id, "--timeout", 0)


def test_a_job_is_retried_by_hand(cli, stack):
    job_id = cli.submit("/drop")
    cli.run("wait", job_id, "--timeout", 30, code=IN_DOUBT)
    assert cli.json("retry", job_id)["id"] == job_id
    wait_until(lambda: len(stack.receipts(job=job_id)) == 2, 30, "a second attempt")


# --- status ---

def test_status_is_the_servers_json(cli, stack):
    job_id = cli.submit("/x")
    cli.run("wait", job_id, "--timeout", 30)
    assert cli.run("status", job_id, "--json").rstrip(b"\n") == \
        stack.call("GET", f"/v1/jobs/{job_id}").content
    shown = cli.text("--json", "status", job_id)
    assert json.loads(shown)["attempts"][0]["status"] == 200


def test_status_lists_attempts_in_columns(cli):
    job_id = cli.submit("/x")
    cli.run("wait", job_id, "--timeout", 30)
    names, row = cli.text("status", job_id).partition("\n\n")[2].splitlines()
    assert names.split() == ["ATTEMPT", "INSTANCE", "STARTED", "TOOK", "STATUS", "ERROR"]
    assert row.split()[:2] == ["1", "sample-1"] and row.split()[-2:] == ["200", "-"]
    assert row.index("sample-1") == names.index("INSTANCE")


# --- the dispatcher's ---

def test_tenants(cli):
    table = cli.text("tenants").splitlines()
    assert table[0].split()[:3] == ["TENANT", "INSTANCES", "QUEUED"]
    rows = {line.split()[0]: line for line in table[1:]}
    assert set(rows) == {"sample", "(all)"} and "1 of 1 up" in rows["sample"]
    assert set(cli.json("tenants")["tenants"]) == {"sample"}


def test_tenants_are_changed(cli, stack, tmp_path):
    document = tmp_path / "cli.yaml"
    document.write_text(f"instances:\n- {{name: one, url: '{stack.tenant.url}'}}\nretry: {{max_attempts: 2}}\n")
    shown = fields(cli.text("tenants", "put", "cli", "-f", document))
    assert (shown["tenant"], shown["source"], shown["retry.max_attempts"]) == ("cli", "http", "2")
    out, said = cli.both("tenants", "add", "cli", "two", stack.tenant.url, "--concurrency", 3, "--ttl", 60)
    names, row = (line.split() for line in out.decode().splitlines())
    assert names[:4] == ["INSTANCE", "URL", "STATE", "RUNNING"] and row[:3] == ["two", stack.tenant.url, "active"]
    assert said == ""
    assert cli.text("tenants", "drain", "cli", "two").splitlines()[1].split()[2] == "draining"
    wait_until(lambda: ", 1 draining" in cli.text("tenants"), what="the list says what drains")
    unlimited = cli.text("tenants", "add", "cli", "three", stack.tenant.url, "--weight", 0).splitlines()[1].split()
    assert unlimited[4] == "-"  # no limit is no number
    cli.text("tenants", "remove", "cli", "three")
    shown = cli.text("tenants", "show", "cli")
    assert "two" in shown and "draining" in shown
    assert fields(cli.text("tenants", "pause", "cli", "--note", "new tape"))["paused"] == "new tape"
    assert ", paused" in cli.text("tenants", "list")
    cli.text("tenants", "add", "cli", "none", stack.tenant.url, "--weight", 0)
    assert "paused" not in fields(cli.text("tenants", "resume", "cli"))
    assert cli.json("tenants", "show", "cli")["settings"]["retry"] == {"max_attempts": 2}
    assert cli.text("tenants", "remove", "cli", "two") == "gone\n"
    out, said = cli.both("tenants", "put", "cli", "-f", "-", stdin=b"{concurrency: 4, instances: [" + stack.tenant.url.encode() + b"]}")
    assert "exact in 60 s" in said  # `one` was not limited
    assert cli.text("tenants", "delete", "cli") == "gone\n"
    assert "unknown_tenant" in cli.both("tenants", "show", "cli", code=REFUSED)[1]


@pytest.mark.parametrize("words, says", [
    (("frobnicate",), "tenants takes list, show"), (("show",), "usage: sluice tenants show TENANT"),
    (("put", "cli"), "-f FILE"), (("add", "cli", "i"), "usage"), (("add", "cli", "a/b", "http://x"), "is not a name"),
    (("pause", "cli", "--ttl", "3"), "takes no --ttl"), (("list", "x"), "takes no words"),
    (("put", "cli", "-f", "/nowhere"), "/nowhere"), (("remove", "cli", ".."), "is not a name"), (("delete", "."), "is not a name"),
    (("restore", "--dry-run", "--discard"), "exclude each other"), (("add", "cli", "i", "http://x", "--weight", "-1"), "from 0")])
def test_tenants_misused(cli, words, says):
    assert says in cli.both("tenants", *words, code=USAGE)[1]


def test_a_wrong_document_is_said_whole(cli):
    said = cli.both("tenants", "put", "cli", "-f", "-", stdin=b"{concurrency: -1, nonsense: 2}", code=REFUSED)[1]
    assert "concurrency" in said and "nonsense" in said


def test_schedules(make_stack):
    schedule = {"cron": "15 2 * * *", "timezone": "Europe/Berlin",
                "job": {"tenant": "sample", "request": {"path": "/n"}}}
    stack = make_stack(lambda s: s.sample_config(schedules={"nightly": schedule}))
    cli = Cli(stack)
    names, row = cli.text("schedules").splitlines()
    assert names.split() == ["SCHEDULE", "TENANT", "STATE", "LAST", "NEXT", "CRON", "TIMEZONE"]
    assert row.split()[:3] == ["nightly", "sample", "active"] and "15 2 * * *" in row
    assert cli.json("schedules")["schedules"]["nightly"]["timezone"] == "Europe/Berlin"


def test_health(cli):
    assert fields(cli.text("health"))["status"] == "ok"


# --- keys ---

def new_key(cli, *words):
    made = cli.json("keys", "new", *words)
    digest = hashlib.sha256(made["token"].encode()).hexdigest()
    assert made["key"]["hash"] == f"sha256:{digest}"
    return made


def test_keys_new_prints_an_entry_of_the_configuration(cli):
    shown = cli.text("keys", "new", "--name", "shop", "--tenant", "sample")
    token = re.search(r"^    (\S+)$", shown, re.M).group(1)
    entry, = yaml.safe_load(shown[shown.index("keys:\n"):])["keys"]
    assert entry == {"name": "shop", "tenants": ["sample"], "scopes": ["submit", "read"],
                     "hash": "sha256:" + hashlib.sha256(token.encode()).hexdigest()}
    assert shown.count(token) == 1


def test_keys_open_what_they_are_for(make_stack):
    stack = make_stack(start=False)
    cli = Cli(stack)
    user, admin = new_key(cli, "--name", "user"), new_key(cli, "--name", "a", "--scopes", "admin")
    stack.configure({**stack.sample_config(), "keys": [user["key"], admin["key"]]})
    stack.start()
    _, err = cli.both("submit", "sample", "/x", code=REFUSED)
    assert "401 unauthenticated" in err
    cli.env["SLUICE_KEY"] = user["token"]
    job_id = cli.submit("/x")
    cli.run("wait", job_id, "--timeout", 30)
    assert cli.run("call", "sample", "/echo", "-d", "x") == b"x"
    _, err = cli.both("retry", job_id, code=REFUSED)
    assert "403 forbidden" in err
    _, err = cli.both("retry", job_id, "--key", admin["token"], code=REFUSED)
    assert "409 not_on_shelf" in err


# --- exit codes ---

@pytest.mark.parametrize("words, hint", [
    ((), "no command given"),
    (("stauts", NO_JOB), "did you mean status?"),
    (("status",), "usage: sluice status ID"),
    (("status", "x"), "is not a job's id"),
    (("status", "sample/../../x"), "is not a job's id"),
    (("status", NO_JOB, "--jsno"), "did you mean --json?"),
    (("wait", NO_JOB, "--timeout", "1h"), "--timeout takes seconds"),
    (("call", "sample", "x"), "PATH begins with '/'"),
    (("call", "sample", "/a b"), "HTTP does not allow"),
    (("call", "sample", "/a", "-H", "X: a\nB: c"), "HTTP does not allow"),
    (("submit", "sample"), "TENANT and PATH"),
    (("submit", "--file", "/nowhere/job.json"), "No such file"),
    (("submit", "--file", "-", "--delay", "1"), "belongs into the document"),
    (("resolve", NO_JOB, "maybe"), "succeeded, failed or retry"),
    (("keys", "old"), "\"new\" only"),
])
def test_wrong_usage(cli, words, hint):
    out, err = cli.both(*words, code=USAGE)
    assert hint in err and out == b""


def test_refusals_tell_type_title_and_detail(cli):
    _, err = cli.both("status", NO_JOB, code=REFUSED)
    assert "There is no such job (404 unknown_job)" in err and NO_JOB in err
    _, err = cli.both("call", "nobody", "/x", code=REFUSED)
    assert "There is no such tenant (404 unknown_tenant)" in err
    out, _ = cli.both("submit", "--file", "-", "--json", stdin=b"{", code=REFUSED)
    assert json.loads(out)["type"] == "urn:sluice:problem:malformed"


def test_unavailable(cli):
    nowhere = f"http://127.0.0.1:{free_port()}"
    for words in (("status", NO_JOB), ("submit", "sample", "/x"), ("call", "sample", "/x")):
        _, err = cli.both(*words, "--ingress", nowhere, code=UNAVAILABLE)
        assert nowhere in err and "connect_refused" in err
    cli.both("tenants", "--dispatcher", nowhere, code=UNAVAILABLE)
    cli.both("wait", NO_JOB, "--ingress", nowhere, "--timeout", 0, code=UNAVAILABLE)


def test_wait_outlives_a_restart_of_the_ingress(make_stack):
    stack = make_stack()
    cli = Cli(stack)
    job_id = cli.submit("/x?sleep_ms=3000")
    wait_until(lambda: stack.job(job_id)["state"] == "running", 15)
    waiting = subprocess.Popen(cli.command("wait", job_id, "--timeout", 60), env=cli.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stack.kill("ingress")
    stack.start("ingress")
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (OK, b""), out
    assert fields(out.decode())["state"] == "succeeded"


def test_help_and_version(cli):
    assert "Usage: sluice" in cli.text("--help") and "Exit status:" in cli.text("--help")
    assert "--max-attempts" in cli.text("submit", "--help") == cli.text("help", "submit")
    assert re.fullmatch(r"sluice \d+\.\d+\.\d+\n", cli.text("--version"))


def test_an_interrupt_ends_the_waiting_and_not_the_job(cli):
    job_id = cli.submit("/late", "--delay", 600)
    ours, theirs = pty.openpty()
    waiting = subprocess.Popen(cli.command("wait", job_id), env=cli.env, stdout=subprocess.PIPE,
                               stderr=theirs)
    os.close(theirs)
    seen = b""
    while b"scheduled, attempts 0" not in seen:  # the progress line of a terminal
        seen += os.read(ours, 4096)
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=20)
    while b"goes on" not in seen:
        seen += os.read(ours, 4096)
    os.close(ours)
    assert waiting.returncode == 130 and job_id.encode() in seen
    assert cli.json("status", job_id)["state"] == "scheduled"
    cli.run("cancel", job_id)


def test_output_that_cannot_be_written(cli):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(cli.command("--help"), stdout=full, stderr=subprocess.PIPE, timeout=20,
                              env=cli.env, check=False)
    assert done.returncode == BROKEN and b"cannot write the output" in done.stderr
