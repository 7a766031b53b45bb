# SPDX-License-Identifier: Apache-2.0
"""Dead letters (protocol.md, invariant 9): listed, shown, dropped, run again one by one or many by filter; by
/v1/dead and by `sluice dead`; and that no fault in between makes two runs of one redrive."""
import datetime
import signal

import pytest
from test_cli import FAILED, IN_DOUBT, REFUSED, USAGE, Cli, fields, new_key
from test_walk import Scripts, store  # noqa: F401  (store is a fixture)

from harness import wait_until
from harness.load import config_of, expect_problem, together

NO_JOB = "dead." + "a" * 26
QUICK = {"max_attempts": 2, "initial_s": 0.05, "max_s": 0.1}
TENANT = {"retry": QUICK, "in_doubt": {"policy": "hold"}, "idempotency": {"window_s": 600}}


def config(stack, **more):
    names = ("dead", "many", "pages", "other", "doubt", "order")
    return config_of(stack, {name: TENANT for name in names}, **more)


@pytest.fixture(scope="module")
def stack(make_module_stack):
    return make_module_stack(config)


def die(stack, tenant="dead", path="/orders", times=2, **job):
    """A job that the tenant refuses `times` times, twice of which are all its attempts: its id."""
    answer = stack.submit(f"{path}{'&' if '?' in path else '?'}fail_times={times}", tenant, body={"n": 1}, **job)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def dead(stack, *arguments, **job):
    job_id = die(stack, *arguments, **job)
    ended = stack.wait_job(job_id, ("failed",))
    assert ended["outcome"]["error"] == "attempts_used_up" and len(ended["attempts"]) == 2, ended
    return job_id


def doubtful(stack, tenant="dead", **job):
    job_id = stack.submit("/doubted?drop=1", tenant, body={"n": 1}, **job).json()["id"]
    stack.wait_job(job_id, "in_doubt")
    return job_id


def shelf(stack, tenant, **query):
    answer = stack.call("GET", "/v1/dead", params={"tenant": tenant, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def all_pages(stack, tenant, **query):
    """The ids of all pages, and how many pages there were."""
    ids, n_pages, cursor = [], 0, None
    while True:
        page = shelf(stack, tenant, **query, **({"cursor": cursor} if cursor else {}))
        ids += [row["id"] for row in page["dead"]]
        n_pages += 1
        cursor = page["cursor"]
        if cursor is None:
            return ids, n_pages


def redrive(stack, tenant, **query):
    answer = stack.call("POST", "/v1/dead/redrive", params={"tenant": tenant, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- one ---


def test_a_job_that_used_up_its_attempts_is_listed_and_shown(stack):
    headers = {"content-type": "application/json", "x-order": "4711", "Authorization": "Bearer of-the-tenant"}
    answer = stack.call("POST", "/v1/jobs", json={
        "tenant": "dead", "labels": {"run": "shown"},
        "request": {"method": "POST", "path": "/shown?fail_times=2", "body_text": "12345", "headers": headers}})
    job_id = answer.json()["id"]
    stack.wait_job(job_id, "failed")
    row, = [row for row in shelf(stack, "dead")["dead"] if row["id"] == job_id]
    assert (row["state"], row["error"], row["attempts"], row["status"]) == ("failed", "attempts_used_up", 2, 503)
    assert (row["method"], row["path"], row["labels"]) == ("POST", "/shown?fail_times=2", {"run": "shown"})
    assert row["bytes"] > 5
    answer = stack.call("GET", f"/v1/dead/{job_id}")
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["job"] == stack.job(job_id) and [a["status"] for a in shown["job"]["attempts"]] == [503, 503]
    assert shown["shelved_at"] == row["shelved_at"] and shown["actions"] == ["redrive", "drop"]
    assert shown["request"]["body_bytes"] == 5 and shown["request"]["path"] == "/shown?fail_times=2"
    sent = {h["name"].lower(): h["value"] for h in shown["request"]["headers"]}
    assert (sent["x-order"], sent["authorization"]) == ("4711", "(hidden)")
    assert "of-the-tenant" not in answer.text


def test_one_is_run_again_once_however_often_it_is_asked(stack):
    job_id = dead(stack, idempotency_key="once-more")
    answers = together(8, lambda _: stack.call("POST", f"/v1/dead/{job_id}/redrive"), range(8))
    assert 200 in {a.status_code for a in answers}
    for answer in answers:
        if answer.status_code != 200:  # it runs already
            expect_problem(answer, 409, "not_on_shelf")
    ended = stack.wait_job(job_id, "succeeded")
    assert [a["status"] for a in ended["attempts"]] == [503, 503, 200]
    receipts = stack.receipts(job=job_id)
    assert [(r["attempt"], r["key"]) for r in receipts] == [(n, "once-more") for n in (1, 2, 3)]
    expect_problem(stack.call("GET", f"/v1/dead/{job_id}"), 404, "not_found")
    expect_problem(stack.call("POST", f"/v1/dead/{job_id}/redrive"), 409, "not_on_shelf")
    assert job_id not in [row["id"] for row in shelf(stack, "dead")["dead"]]


def test_what_another_job_holds_the_key_of_is_not_run_again(stack):
    job_id = dead(stack, idempotency_key="taken")
    # Its window is over, and another came.
    name = job_id.partition(".")[2]
    key = stack.redis.hget(f"{{dead}}:j:{name}", "k")
    assert stack.redis.pttl(f"{{dead}}:k:{key}") > 0
    stack.redis.delete(f"{{dead}}:k:{key}")
    other = stack.submit("/orders?fail_times=2", "dead", body={"n": 1}, idempotency_key="taken", delay_s=600)
    assert other.status_code == 202 and other.json()["id"] != job_id
    refused = expect_problem(stack.call("POST", f"/v1/dead/{job_id}/redrive"), 409, "key_taken")
    assert other.json()["id"] in refused["detail"]
    done = redrive(stack, "dead", error="attempts_used_up", before=in_a_moment())
    assert {"id": job_id, "reason": "key_taken", "holder": other.json()["id"]} in done["refusals"]
    assert done["refused"] >= 1 and done["matched"] == done["redriven"] + done["refused"]
    assert len(stack.receipts(job=job_id)) == 2
    # The other goes: its key is free, and this one can run.
    assert stack.call("DELETE", f"/v1/jobs/{other.json()['id']}").status_code == 200
    assert stack.call("POST", f"/v1/dead/{job_id}/redrive").status_code == 200
    stack.wait_job(job_id, "succeeded")


def in_a_moment():
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)).isoformat()


def test_one_is_dropped(stack):
    job_id = dead(stack, idempotency_key="dropped")
    name = job_id.partition(".")[2]
    copies = wait_until(lambda: stack.queues().get("sluice.dead.shelf", (0, 0))[0], 20, "a copy on the shelf queue")
    assert copies >= 1
    for _ in range(2):
        answer = stack.call("DELETE", f"/v1/dead/{job_id}")
        assert (answer.status_code, answer.json()["state"]) == (200, "failed"), answer.text
        assert answer.json()["dropped_at"] and len(answer.json()["attempts"]) == 2
    assert stack.job(job_id)["outcome"]["error"] == "attempts_used_up"
    assert stack.result(job_id).status_code == 503  # the tenant's answer stays
    expect_problem(stack.call("GET", f"/v1/dead/{job_id}"), 404, "not_found")
    expect_problem(stack.call("POST", f"/v1/dead/{job_id}/redrive"), 409, "not_on_shelf")
    expect_problem(stack.call("POST", f"/v1/jobs/{job_id}/retry"), 409, "not_on_shelf")
    assert stack.redis.pttl(f"{{dead}}:j:{name}") > 0 and not stack.redis.exists(f"{{dead}}:b:{name}")
    again = stack.submit("/orders?fail_times=2", "dead", body={"n": 1}, idempotency_key="dropped")
    assert again.headers["Idempotent-Replayed"] == "true" and again.json()["id"] == job_id


def test_what_is_in_doubt_is_not_dropped(stack):
    job_id = doubtful(stack)
    problem = expect_problem(stack.call("DELETE", f"/v1/dead/{job_id}"), 409, "in_doubt")
    assert "/resolve" in problem["detail"] and problem["job"] == job_id
    shown = stack.call("GET", f"/v1/dead/{job_id}").json()
    assert shown["job"]["state"] == "in_doubt" and shown["actions"] == ["redrive", "resolve"]
    assert stack.call("POST", f"/v1/jobs/{job_id}/resolve", json={"state": "failed"}).status_code == 200
    expect_problem(stack.call("DELETE", f"/v1/dead/{job_id}"), 409, "not_on_shelf")
    expect_problem(stack.call("GET", f"/v1/dead/{job_id}"), 404, "not_found")


def test_the_shelf_queue_lets_go_of_what_left_the_shelf(stack):
    """Also of what was in doubt when a person settled it: its copy would stay for ever."""
    def copies():
        return stack.queues()["sluice.other.shelf"][:2]

    settled, dropped, kept = doubtful(stack, "other"), dead(stack, "other"), doubtful(stack, "other")
    wait_until(lambda: copies() == (3, 0), 30, "all copies")
    assert stack.call("POST", f"/v1/jobs/{settled}/resolve", json={"state": "succeeded"}).status_code == 200
    assert stack.call("DELETE", f"/v1/dead/{dropped}").status_code == 200
    wait_until(lambda: copies() == (1, 0), 60, "one copy, of what is still on the shelf", every=0.5)
    assert stack.call("POST", f"/v1/jobs/{kept}/resolve", json={"state": "succeeded"}).status_code == 200
    wait_until(lambda: sum(copies()) == 0, 60, "an empty shelf queue", every=0.5)


@pytest.mark.parametrize("method, path, status, word", [
    ("GET", f"/v1/dead/{NO_JOB}", 404, "unknown_job"), ("DELETE", f"/v1/dead/{NO_JOB}", 404, "unknown_job"),
    ("POST", f"/v1/dead/{NO_JOB}/redrive", 404, "unknown_job"), ("GET", "/v1/dead/x", 404, "unknown_job"),
    ("POST", "/v1/dead/nobody." + "a" * 26 + "/redrive", 404, "unknown_job"),
    ("GET", f"/v1/dead/{NO_JOB}/dance", 404, "not_found"), ("GET", f"/v1/dead/{NO_JOB}/redrive", 405, None),
    ("PUT", f"/v1/dead/{NO_JOB}", 405, None), ("POST", "/v1/dead", 405, None), ("GET", "/v1/dead/redrive", 405, None),
    ("GET", "/v1/dead", 400, "invalid"), ("POST", "/v1/dead/redrive", 400, "invalid"),
    ("GET", "/v1/dead?tenant=nobody", 404, "unknown_tenant"), ("POST", "/v1/dead/redrive?tenant=nobody", 404, "unknown_tenant"),
    ("GET", "/v1/dead?tenant=dead&limit=501", 400, "invalid"), ("GET", "/v1/dead?tenant=dead&limit=0", 400, "invalid"),
    ("GET", "/v1/dead?tenant=dead&state=succeeded", 400, "invalid"), ("GET", "/v1/dead?tenant=dead&dry_run=1", 400, "invalid"),
    ("GET", "/v1/dead?tenant=dead&tenant=other", 400, "invalid"), ("GET", "/v1/dead?tenant=dead&after=yesterday", 400, "invalid"),
    ("GET", "/v1/dead?tenant=dead&cursor=1-2", 400, "invalid"), ("GET", "/v1/dead?tenant=dead&cursor=1-2-3'", 400, "invalid"),
    ("GET", "/v1/dead?tenant=dead&label=x", 400, "invalid"),
    ("POST", "/v1/dead/redrive?tenant=dead&dry_run=yes", 400, "invalid"),
    ("POST", "/v1/dead/redrive?tenant=dead&stat=failed", 400, "invalid"),
    ("POST", "/v1/dead/redrive?tenant=dead&limit=10001", 400, "invalid"),
])
def test_refusals(stack, method, path, status, word):
    expect_problem(stack.call(method, path), status, word)


# --- many ---


def test_pages_and_filters(stack):
    first = [dead(stack, "pages", labels={"run": "1"}), doubtful(stack, "pages", labels={"run": "1"})]
    jobs = together(16, lambda n: die(stack, "pages", f"/page/{n}", labels={"run": "2", "n": str(n)}), range(23))
    together(16, lambda job: stack.wait_job(job, "failed"), jobs)
    page = shelf(stack, "pages", limit=10)
    assert (page["total"], len(page["dead"])) == (25, 10) and page["cursor"]
    ids, n_pages = all_pages(stack, "pages", limit=10)
    assert n_pages == 3 and len(ids) == 25 and set(ids) == {*first, *jobs}
    times = [row["shelved_at"] for row in shelf(stack, "pages")["dead"]]
    assert times == sorted(times)
    assert set(all_pages(stack, "pages", state="in_doubt")[0]) == {first[1]}
    assert set(all_pages(stack, "pages", state="failed", limit=7)[0]) == {first[0], *jobs}
    assert set(all_pages(stack, "pages", label="run:2", limit=9)[0]) == set(jobs)
    assert all_pages(stack, "pages", label="n:7") == ([jobs[7]], 1)
    assert shelf(stack, "pages", error="no_such_error") == {"tenant": "pages", "total": 25, "dead": [], "cursor": None}
    assert set(all_pages(stack, "pages", error="attempts_used_up")[0]) == {first[0], *jobs}
    middle = times[12]
    early, late = all_pages(stack, "pages", before=middle)[0], all_pages(stack, "pages", after=middle)[0]
    assert early == ids[:len(early)] and late == ids[len(early):] and 0 < len(early) < 25
    assert shelf(stack, "pages", after=in_a_moment())["dead"] == []
    # What leaves the shelf in between leaves no gap in what is listed.
    cursor = page["cursor"]
    gone = page["dead"][-1]["id"]
    left = "/resolve" if gone == first[1] else None
    answer = stack.call("POST", f"/v1/jobs/{gone}/resolve", json={"state": "failed"}) if left else \
        stack.call("DELETE", f"/v1/dead/{gone}")
    assert answer.status_code == 200
    assert [row["id"] for row in shelf(stack, "pages", cursor=cursor, limit=10)["dead"]] == ids[10:20]


def test_a_dry_run_counts_and_a_redrive_runs_each_exactly_once(stack):
    jobs = together(16, lambda n: die(stack, "many", f"/many/{n}"), range(130))
    held = doubtful(stack, "many")
    together(16, lambda job: stack.wait_job(job, "failed"), jobs)
    before = stack.redis.zrange("{many}:h", 0, -1, withscores=True)
    counted = redrive(stack, "many", dry_run=1)
    assert counted == {"tenant": "many", "state": "failed", "dry_run": True, "matched": 130, "redriven": 0, "refused": 0,
                       "refusals": [], "cursor": None}
    assert redrive(stack, "many", dry_run=1, limit=50)["matched"] == 50
    assert stack.redis.zrange("{many}:h", 0, -1, withscores=True) == before
    assert len([r for r in stack.receipts() if r["path"].startswith("/many/")]) == 260
    part = redrive(stack, "many", limit=20)
    assert (part["matched"], part["redriven"]) == (20, 20) and part["cursor"]
    # Two at once, from the start and from the cursor: together they run the rest, each job once.
    both = together(2, lambda query: redrive(stack, "many", **query), [{}, {"cursor": part["cursor"]}])
    assert sum(done["redriven"] for done in both) == 110 and [done["cursor"] for done in both] == [None, None]
    ended = together(16, lambda job: stack.wait_job(job, "succeeded"), jobs)
    assert {tuple(a["status"] for a in d["attempts"]) for d in ended} == {(503, 503, 200)}
    for job in jobs:
        assert [r["attempt"] for r in stack.receipts(job=job)] == [1, 2, 3]
    assert redrive(stack, "many")["matched"] == 0
    # What is in doubt runs again only when that was said.
    assert stack.job(held)["state"] == "in_doubt" and len(stack.receipts(job=held)) == 1
    assert redrive(stack, "many", state="in_doubt", dry_run=1)["matched"] == 1
    assert redrive(stack, "many", state="in_doubt")["redriven"] == 1
    wait_until(lambda: len(stack.receipts(job=held)) == 2, 30, "its second attempt")


def test_what_fails_again_at_once_is_met_once_by_a_redrive(stack):
    jobs = [dead(stack, "order", times=1000) for _ in range(3)]
    done = redrive(stack, "order", limit=1)
    stack.wait_job(jobs[0], ("failed",))
    wait_until(lambda: len(stack.receipts(job=jobs[0])) == 4 and shelf(stack, "order")["total"] == 3, 30, "dead again")
    rest = redrive(stack, "order", cursor=done["cursor"])
    assert (rest["redriven"], rest["cursor"]) == (2, None)
    wait_until(lambda: shelf(stack, "order")["total"] == 3, 30, "all dead again")
    assert [len(stack.receipts(job=job)) for job in jobs] == [4, 4, 4]


# --- faults ---


@pytest.mark.timeout_s(180)
def test_a_redrive_outlives_the_death_of_all_who_would_do_it(make_stack):
    """No dispatcher publishes, no worker runs: the outbox keeps what the 200 promised."""
    stack = make_stack(config)
    jobs = together(16, lambda n: die(stack, path=f"/kept/{n}"), range(30))
    together(16, lambda job: stack.wait_job(job, "failed"), jobs)
    stack.kill("dispatcher")
    assert redrive(stack, "dead")["redriven"] == 30
    assert {stack.job(job)["state"] for job in jobs} == {"queued"}
    assert stack.redis.zcard("{dead}:o") == 30
    assert stack.call("POST", f"/v1/dead/{jobs[0]}/redrive").status_code == 200  # asked again: the same
    stack.kill("worker")
    stack["dispatcher"].start()
    wait_until(lambda: stack.redis.zcard("{dead}:o") == 0, 60, "the outbox to be published")
    stack.kill("dispatcher")
    stack["worker"].start()
    stack["dispatcher"].start()
    ended = together(16, lambda job: stack.wait_job(job, "succeeded", timeout=60), jobs)
    assert {len(d["attempts"]) for d in ended} == {3}
    assert all([r["attempt"] for r in stack.receipts(job=job)] == [1, 2, 3] for job in jobs)


def test_a_store_that_does_not_answer_is_said(make_stack):
    stack = make_stack(config)
    dead(stack)
    stack.signal("redis", signal.SIGSTOP)
    try:
        expect_problem(stack.call("GET", "/v1/dead?tenant=dead"), 503, "unavailable")
        expect_problem(stack.call("POST", "/v1/dead/redrive?tenant=dead&dry_run=1"), 503, "unavailable")
    finally:
        stack.signal("redis", signal.SIGCONT)
    wait_until(lambda: stack.call("GET", "/v1/dead?tenant=dead").status_code == 200, 30, "the store's return")


# --- keys ---


def test_who_may_do_what(make_stack):
    stack = make_stack(start=False)
    cli = Cli(stack)
    mine = new_key(cli, "--name", "mine", "--tenant", "dead", "--scopes", "submit,read,admin")
    reader = new_key(cli, "--name", "reader", "--tenant", "dead", "--scopes", "submit,read")
    other = new_key(cli, "--name", "other", "--tenant", "other", "--scopes", "submit,read,admin")
    stack.configure(config(stack, keys=[k["key"] for k in (mine, reader, other)]))
    stack.start()

    def ask(key, method, path):
        headers = {"Sluice-Key": key["token"]} if key else {}
        return stack.call(method, path, headers=headers)

    job = {"tenant": "dead", "request": {"path": "/x?fail_times=2"}}
    job_id = stack.call("POST", "/v1/jobs", json=job, headers={"Sluice-Key": mine["token"]}).json()["id"]
    wait_until(lambda: ask(mine, "GET", f"/v1/jobs/{job_id}").json()["state"] == "failed", 30)
    for method, path in (("GET", "?tenant=dead"), ("POST", "/redrive?tenant=dead"), ("GET", f"/{job_id}"),
                         ("DELETE", f"/{job_id}"), ("POST", f"/{job_id}/redrive")):
        expect_problem(ask(None, method, "/v1/dead" + path), 401)
        if path == f"/{job_id}" and method == "GET":
            expect_problem(ask(other, method, "/v1/dead" + path), 404, "unknown_job")
        else:
            expect_problem(ask(other, method, "/v1/dead" + path), 403, "forbidden")
        if method == "GET":
            assert ask(reader, method, "/v1/dead" + path).status_code == 200
        else:
            expect_problem(ask(reader, method, "/v1/dead" + path), 403, "forbidden")
    assert ask(mine, "POST", "/v1/dead/redrive?tenant=dead").json()["redriven"] == 1


# --- the command ---


@pytest.fixture
def cli(stack):
    return Cli(stack)


def test_the_command_lists_shows_and_drops(stack, cli):
    jobs = [dead(stack, "doubt", f"/cli/{n}") for n in range(3)] + [doubtful(stack, "doubt")]
    names, *rows = cli.text("dead", "list", "--tenant", "doubt").splitlines()
    assert names.split() == ["JOB", "STATE", "SHELVED", "ATTEMPTS", "STATUS", "ERROR", "REQUEST"]
    assert [row.split()[0] for row in rows] == jobs
    assert rows[0].split()[3:6] == ["2", "503", "attempts_used_up"] and rows[0].endswith("POST /cli/0?fail_times=2")
    out, err = cli.both("dead", "list", "--tenant", "doubt", "--limit", 2)
    assert len(out.splitlines()) == 3 and "--cursor " in err and "2 of 4" in err
    cursor = err.partition("--cursor ")[2].split()[0]
    out = cli.text("dead", "list", "--tenant", "doubt", "--cursor", cursor)
    assert [row.split()[0] for row in out.splitlines()[1:]] == jobs[2:]
    assert cli.json("dead", "list", "--tenant", "doubt", "--state", "in_doubt")["dead"][0]["id"] == jobs[3]
    out, err = cli.both("dead", "list", "--tenant", "doubt", "--error", "no_such_word")
    assert out == b"" and "nothing on the shelf of doubt fits; 4 are there in all" in err

    shown = cli.text("dead", "show", jobs[0])
    assert "POST /cli/0?fail_times=2" in shown and "8 bytes" in shown
    assert shown.count(" 503 ") >= 2 and f"sluice dead redrive {jobs[0]}" in shown and "sluice dead drop" in shown
    assert cli.json("dead", "show", jobs[0])["job"]["id"] == jobs[0]
    assert f"sluice resolve {jobs[3]}" in cli.text("dead", "show", jobs[3])
    _, err = cli.both("dead", "show", NO_JOB, code=REFUSED)
    assert "404 unknown_job" in err

    assert fields(cli.text("dead", "drop", jobs[0]))["state"] == "failed"
    cli.run("dead", "drop", jobs[0])
    _, err = cli.both("dead", "drop", jobs[3], code=IN_DOUBT)
    assert "409 in_doubt" in err and "resolve" in err
    _, err = cli.both("dead", "show", jobs[0], code=REFUSED)
    assert "404 not_found" in err
    cli.run("wait", jobs[0], code=FAILED)


def test_the_command_runs_them_again(stack, cli):
    jobs = [dead(stack, "doubt", f"/again/{n}", labels={"batch": "é &=b"}) for n in range(4)]
    filters = ("--tenant", "doubt", "--label", "batch=é &=b")
    out, err = cli.both("dead", "redrive", *filters, "--dry-run")
    assert out == b"4 match; nothing was changed\n" and err == ""
    assert cli.json("dead", "redrive", *filters, "--dry-run")["matched"] == 4
    assert "queued" in cli.text("dead", "redrive", jobs[0])
    out, err = cli.both("dead", "redrive", *filters, "--limit", 2)
    assert out == b"2 matched, 2 run again, 0 refused\n" and "--cursor " in err and "sluice tenants" in err
    assert cli.json("dead", "redrive", *filters)["redriven"] == 1
    for job in jobs:
        cli.run("wait", job, "--timeout", 30)
    assert all(len(stack.receipts(job=job)) == 3 for job in jobs)
    out, _ = cli.both("dead", "redrive", *filters)
    assert out == b"0 matched, 0 run again, 0 refused\n"
    _, err = cli.both("dead", "redrive", jobs[0], code=REFUSED)
    assert "409 not_on_shelf" in err


def test_the_command_says_what_was_refused(stack, cli):
    job_id = dead(stack, "doubt", labels={"batch": "refused"}, idempotency_key="cli-taken")
    name = job_id.partition(".")[2]
    stack.redis.delete("{doubt}:k:" + stack.redis.hget(f"{{doubt}}:j:{name}", "k"))
    other = stack.submit("/orders?fail_times=2", "doubt", body={"n": 1}, idempotency_key="cli-taken", delay_s=600).json()["id"]
    out, err = cli.both("dead", "redrive", "--tenant", "doubt", "--label", "batch=refused", code=REFUSED)
    assert out == b"1 matched, 0 run again, 1 refused\n" and f"{job_id}: job {other} holds its key" in err
    _, err = cli.both("dead", "redrive", job_id, code=REFUSED)
    assert "409 key_taken" in err and other in err
    cli.run("cancel", other)


def test_what_the_readme_shows(stack, cli):
    job_id = cli.text("submit", "order", "/orders?fail_times=1", "--data", '{"n": 3}', "--max-attempts", 1).strip()
    assert fields(cli.text("wait", job_id, "--timeout", 30, code=FAILED))["outcome"].endswith("attempts_used_up")
    assert job_id in cli.text("dead", "list", "--tenant", "order")
    assert f"sluice dead redrive {job_id}" in cli.text("dead", "show", job_id)
    cli.run("dead", "redrive", job_id)
    cli.run("wait", job_id, "--timeout", 30)


@pytest.mark.parametrize("words, hint", [
    (("dead",), "usage: sluice dead"), (("dead", "bury"), "list, show, redrive or drop"),
    (("dead", "list"), "--tenant"), (("dead", "list", NO_JOB, "--tenant", "dead"), "no id"),
    (("dead", "show"), "the id of a job"), (("dead", "show", "x"), "is not a job's id"),
    (("dead", "redrive"), "an id, or --tenant"), (("dead", "redrive", NO_JOB, "--tenant", "dead"), "an id, or --tenant"),
    (("dead", "redrive", NO_JOB, "--dry-run"), "filters"), (("dead", "list", "--tenant", "dead", "--dry-run"), "--dry-run"),
    (("dead", "drop", NO_JOB, "--state", "failed"), "filters"),
    (("dead", "list", "--tenant", "dead", "--label", "x"), "NAME=VALUE"),
])
def test_wrong_usage(cli, words, hint):
    out, err = cli.both(*words, code=USAGE)
    assert hint in err and out == b""


# --- the scripts by themselves ---


@pytest.fixture
def scripts(store):  # noqa: F811
    return Scripts(store)


KEEP = (600000, 600000, 600000)


def bury(scripts, name, key=""):
    scripts.accept(name, key=key)
    assert scripts.claim(name)[0] == "go"
    assert scripts.complete(name, 1, "t1", "dead", answer="503\n\r\nno")[0] == "ended"


def page(scripts, mode="list", most=100, looks=300, bound="", at="", name="", state="", error=""):
    return scripts("dead", mode, most, looks, bound, at, name, state, error, "", "", "", "")


def test_a_drop_sent_again_gives_the_same_and_keeps_the_key(scripts):
    bury(scripts, "j", key="k")
    scripts.redis.pexpire("{t}:k:k", 5)  # nearly over: it runs anew
    first = scripts("drop", "j", *KEEP)
    before = scripts.redis.hgetall("{t}:j:j")
    assert first == scripts("drop", "j", *KEEP) == ["dropped", ""]
    assert scripts.redis.hgetall("{t}:j:j") == before and before["st"] == "failed"
    assert scripts.redis.hget("{t}:t", "sb") == "0" and scripts.redis.zcard("{t}:h") == 0
    assert scripts.redis.pttl("{t}:j:j") > 0 and scripts.redis.pttl("{t}:r:j") > 500000
    assert scripts("drop", "nobody", *KEEP) == ["missing", ""]


def test_a_drop_after_a_retry_drops_nothing(scripts):
    bury(scripts, "j")
    assert scripts("resolve", "j", "retry", "", *KEEP)[0] == "queued"
    assert scripts("drop", "j", *KEEP) == ["not_on_shelf", "queued"]
    assert scripts.redis.hget("{t}:b:j", "b") == "body" and scripts.redis.zcard("{t}:o") == 1


def test_a_page_looks_at_no_more_than_it_was_told(scripts):
    for n in range(30):
        bury(scripts, f"j{n:02}")
    scripts.redis.zadd("{t}:h", {f"j{n:02}": 1000 for n in range(30)})  # all in one millisecond
    bound, at, name, total, looked, matched = page(scripts, looks=7, state="in_doubt")[:6]
    assert (at, name, total, looked, matched) == ("1000", "j06", 30, 7, 0)
    seen, at, name = [], "", ""
    while True:
        answer = page(scripts, most=4, looks=7, at=at, name=name)
        seen += [row[0] for row in answer[8:]]
        at, name = answer[1:3]
        if not name:
            break
        scripts("drop", name, *KEEP)  # what a cursor names may be gone
    assert seen == [f"j{n:02}" for n in range(30)]
    # What was shelved at the bound or later belongs to another walk.
    assert page(scripts, bound=1000)[3:8] == [scripts.redis.zcard("{t}:h"), 0, 0, 0, 0]


def test_a_redrive_sent_again_runs_nothing_twice(scripts):
    for n in range(5):
        bury(scripts, f"j{n}", key=f"k{n}")
    scripts.redis.set("{t}:k:k3", "another")
    first = page(scripts, "redrive", state="failed")
    assert first[4:] == [5, 5, 4, 1, ["j3", "another"]]
    outbox = scripts.redis.zrange("{t}:o", 0, -1, withscores=True)
    assert page(scripts, "redrive", state="failed")[4:] == [1, 1, 0, 1, ["j3", "another"]]
    assert scripts.redis.zrange("{t}:o", 0, -1, withscores=True) == outbox and len(outbox) == 4
    assert scripts.redis.hget("{t}:j:j0", "st") == "queued" and scripts.redis.get("{t}:k:k0") == "j0"
