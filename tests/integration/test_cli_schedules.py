# SPDX-License-Identifier: Apache-2.0
"""`sluice schedules` on a running stack: what it prints, sends and refuses."""
import json
import socket
import threading

import pytest
import requests

from harness import wait_until
from harness.cli import FAILED, IN_DOUBT, REFUSED, UNAVAILABLE, USAGE, Cli, fields
from harness.load import together

YEARLY = {"cron": "15 2 1 1 *", "timezone": "Europe/Berlin",
          "job": {"tenant": "sample", "request": {"path": "/yearly", "body": {"n": 1}}}}
WEEKLY = """# as in the configuration
cron: ["0 12 * * MON", "0 18 * * FRI"]
timezone: Europe/Berlin
overlap: queue_one
job: {tenant: sample, request: {path: /weekly}}
"""


@pytest.fixture(scope="module")
def cli(make_module_stack):
    stack = make_module_stack(lambda s: s.sample_config(
        schedules={"yearly": YEARLY, "broken": {**YEARLY, "job": {"tenant": "sample", "request": {"path": "/status/418"}}}}))
    found = Cli(stack)
    found.redis = stack.redis
    return found


def rows(table):
    """A table's lines as lists of cells, without the names."""
    return [line.split() for line in table.splitlines()[1:]]


@pytest.mark.parametrize("words, says", [
    (("frobnicate",), "schedules takes list, show, put"), (("show",), "usage: sluice schedules show NAME"),
    (("list", "x"), "takes no words"), (("show", "a/b"), "is not a name"), (("delete", ".."), "is not a name"),
    (("put", "a"), "usage: sluice schedules put NAME FILE"), (("put", "a", "/nowhere"), "/nowhere"),
    (("resume", "yearly", "--note", "x"), "takes no --note"), (("run", "yearly", "--from", "x"), "takes no --from"),
    (("run", "yearly", "--idempotency-key", "ä"), "printable ASCII"), (("preview",), "preview EXPRESSION"),
    (("rewind",), "--all-ahead"), (("rewind", "a", "--all-ahead"), "name the schedules"),
    (("pause", "a", "--all-ahead"), "takes no --all-ahead"), (("rewind", "a/b"), "is not a name"),
    (("backfill", "yearly", "--from", "2026-01-01T00:00:00Z"), "--until TIME"),
    (("preview", "@daily", "--count", "0"), "from 1"), (("preview", "15", "2", "*", "*", "MON"), "quote one")])
def test_misused(cli, words, says):
    assert says in cli.both("schedules", *words, code=USAGE)[1]


def test_an_unknown_schedule(cli):
    for word in ("show", "pause", "resume", "run", "history"):
        assert "404" in cli.both("schedules", word, "nobody", code=REFUSED)[1], word


def test_list_and_show(cli):
    assert cli.text("schedules") == cli.text("schedules", "list")
    listed = rows(cli.text("schedules"))
    assert [row[0] for row in listed] == sorted(row[0] for row in listed)  # by name
    shown = fields(cli.text("schedules", "show", "yearly"))
    assert (shown["schedule"], shown["state"], shown["tenant"]) == ("yearly", "active", "sample")
    assert (shown["request"], shown["cron"], shown["timezone"]) == ("POST /yearly", "15 2 1 1 *", "Europe/Berlin")
    assert shown["next"].endswith("-01-01T01:15:00Z") and shown["last"] == "-"
    assert cli.json("schedules", "show", "yearly")["path"] == "/yearly"


def test_a_list_goes_beyond_a_page(cli):
    names = [f"page-{n:04}" for n in range(1001)]
    url = cli.env["SLUICE_DISPATCHER_URL"]
    together(8, lambda name: requests.put(f"{url}/v1/schedules/{name}", json=YEARLY, timeout=20).raise_for_status(), names)
    listed = rows(cli.text("schedules"))
    assert [row[0] for row in listed if row[0].startswith("page-")] == names
    assert set(names) <= set(cli.json("schedules")["schedules"])


def test_preview(cli):
    words = ("schedules", "preview", "0 30 2 29 3 *", "--timezone", "Europe/Berlin", "--from", "2026-01-01T00:00:00Z")
    assert cli.text(*words, "--count", 2) == (
        "2026-03-29T01:00:00Z  2026-03-29T03:00:00+02:00\n2027-03-29T00:30:00Z  2027-03-29T02:30:00+02:00\n")
    assert cli.text(*words, "--count", 1, "--dst-gap", "skip") .split()[0] == "2027-03-29T00:30:00Z"
    assert cli.json(*words, "--until", "2027-01-01T00:00:00Z") == {
        "times": ["2026-03-29T01:00:00Z"], "local": ["2026-03-29T03:00:00+02:00"]}
    out, said = cli.both(*words, "--until", "2026-03-01T00:00:00Z")
    assert out == b"" and "does not fire" in said
    two = cli.text("schedules", "preview", "30 2 25 10 *", "@yearly", "--timezone", "Europe/Berlin", "--dst-overlap", "twice",
                   "--from", "2026-06-01T00:00:00Z", "--count", 3)
    assert two.split()[::2] == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-12-31T23:00:00Z"]
    few = cli.text("schedules", "preview", "@daily", "--exclude", "0 0 2 * *", "--exclude", "0 0 3 * *",
                   "--from", "2026-05-01T00:00:00Z", "--count", 1)
    assert few.split() == ["2026-05-04T00:00:00Z", "2026-05-04T00:00:00+00:00"]
    out, said = cli.both("schedules", "preview", "* * * * * *", "--exclude", "* * * * *", "--from", "2026-01-01T00:00:00Z")
    assert out == b"" and "looked until 2026-01-01T" in said and "--from" in said
    assert "61" in cli.both("schedules", "preview", "61 * * * *", code=REFUSED)[1]


def test_put_and_delete(cli, tmp_path):
    path = tmp_path / "weekly.yaml"
    path.write_text(WEEKLY)
    shown = fields(cli.text("schedules", "put", "weekly", path))
    assert (shown["schedule"], shown["source"], shown["overlap"]) == ("weekly", "http", "queue_one")
    assert shown["cron"] == "0 12 * * MON; 0 18 * * FRI" and shown["job.request.path"] == "/weekly"
    assert "weekly" in [row[0] for row in rows(cli.text("schedules"))]
    document = json.dumps(cli.json("schedules", "show", "weekly")["document"]).encode()
    again = cli.json("schedules", "put", "weekly", "-", stdin=document)
    assert json.dumps(again["document"]).encode() == document  # what is shown can be put
    said = cli.both("schedules", "put", "weekly", "-", stdin=b"{cron: 61 * * * *, nonsense: 1}", code=REFUSED)[1]
    assert "nonsense" in said and "61" in said and "job" in said  # every mistake
    assert cli.text("schedules", "delete", "weekly") == "gone\n"
    assert "404" in cli.both("schedules", "show", "weekly", code=REFUSED)[1]
    assert fields(cli.text("schedules", "show", "yearly"))["source"] == "file"
    assert "owned_by_file" in cli.both("schedules", "delete", "yearly", code=REFUSED)[1]


def test_pause_and_resume(cli):
    shown = fields(cli.text("schedules", "pause", "yearly", "--note", 'new "tape"'))
    assert (shown["state"], shown["note"]) == ("paused", 'new "tape"') and shown["since"].endswith("Z")
    assert shown["next"] == "-"
    listed = {row[0]: row for row in rows(cli.text("schedules"))}["yearly"]
    assert (listed[2], listed[4]) == ("paused", "-")
    assert fields(cli.text("schedules", "pause", "yearly"))["state"] == "paused"
    shown = fields(cli.text("schedules", "resume", "yearly"))
    assert shown["state"] == "active" and "note" not in shown and shown["next"].endswith("Z")
    assert cli.json("schedules", "resume", "yearly")["paused"] is None


def test_rewind(cli):
    """What waits for the clock: its cursor lies ahead of it."""
    def ahead(*names):
        for name in names:
            cli.redis.hset("{sample}:c", name, 4102444800000)

    def is_ahead(name):
        return int(cli.redis.hget("{sample}:c", name)) == 4102444800000

    said = cli.both("schedules", "rewind", "yearly", code=REFUSED)[1]
    assert "not_ahead" in said and "nothing to rewind" in said
    ahead("yearly", "broken")
    assert cli.text("schedules", "rewind", "yearly") == "yearly rewound\n"
    assert not is_ahead("yearly") and is_ahead("broken")
    ahead("yearly")
    out, said = cli.both("schedules", "rewind", "nobody", "yearly", code=REFUSED)
    assert out == b"yearly rewound\n" and "404" in said, "one that is refused keeps no other back"
    ahead("yearly")
    assert cli.text("schedules", "rewind", "--all-ahead") == "broken rewound\nyearly rewound\n"
    assert not is_ahead("yearly") and not is_ahead("broken")
    out, said = cli.both("schedules", "rewind", "--all-ahead")
    assert out == b"" and "no schedule waits" in said
    ahead("broken")
    assert cli.json("schedules", "rewind", "--all-ahead") == {"rewound": ["broken"]}
    assert cli.json("schedules", "rewind", "--all-ahead") == {"rewound": []}


def test_run_and_history(cli):
    out, said = cli.both("schedules", "history", "yearly")
    assert out == b"" and "not fired yet" in said
    job_id = cli.text("schedules", "run", "yearly").strip()
    assert fields(cli.text("wait", job_id, "--timeout", 30))["schedule"] == "yearly"
    assert json.loads(cli.run("result", job_id)) == {"n": 1}
    first = cli.text("schedules", "run", "yearly", "--idempotency-key", "monday")
    assert cli.text("schedules", "run", "yearly", "--key-id", "monday") == first != job_id
    cli.run("wait", first.strip(), "--timeout", 30)
    wait_until(lambda: {row[4]: row[2:4] for row in rows(cli.text("schedules", "history", "yearly"))}
               == {job_id: ["run", "succeeded"], first.strip(): ["run", "succeeded"]}, what="both in the history")
    failed = cli.json("schedules", "run", "broken")["id"]
    cli.run("wait", failed, "--timeout", 30, code=FAILED)
    [fire] = cli.json("schedules", "history", "broken")["fires"]
    assert (fire["job"], fire["kind"], fire["state"]) == (failed, "run", "failed")


def test_backfill(cli):
    words = ("schedules", "backfill", "broken", "--from", "2024-01-01T00:00:00Z", "--until", "2026-01-01T01:15:00Z")
    made = rows(cli.text(*words))
    assert [row[0] for row in made] == ["2024-01-01T01:15:00Z", "2025-01-01T01:15:00Z"]  # the end is not in it
    assert cli.json(*words)["jobs"] == [row[1] for row in made]  # again: the same jobs
    for row in made:
        cli.run("wait", row[1], "--timeout", 30, code=FAILED)
    out, said = cli.both("schedules", "backfill", "broken", "--from", "2024-02-01T00:00:00Z",
                         "--until", "2024-03-01T00:00:00Z")
    assert out == b"" and "no instant" in said


def test_a_run_without_an_answer_may_have_happened(cli):
    def hang_up():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(65536)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=hang_up, daemon=True).start()
        server = ("--dispatcher", f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert "may have happened" in cli.both("schedules", "run", "yearly", *server, code=IN_DOUBT)[1]
        for words in (("run", "yearly", "--key-id", "x"), ("pause", "yearly")):  # repeated they do no more
            assert "may have" not in cli.both("schedules", *words, *server, code=UNAVAILABLE)[1]
        listener.shutdown(socket.SHUT_RDWR)
