# SPDX-License-Identifier: Apache-2.0
"""Schedules over HTTP, at run time: put, replaced, deleted; two dispatchers; reloads; many of them."""
import json
import time
from datetime import datetime, timedelta, timezone
from signal import SIGCONT, SIGHUP, SIGSTOP

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem, together
from test_schedules import DISPATCHERS, leader
from test_tenants import key

SECOND = timedelta(seconds=1)


def every_second(path, tenant="sample", **more):
    return {"cron": "* * * * * *", "overlap": "allow", "job": {"tenant": tenant, "request": {"path": path}}, **more}


def yearly(tenant="sample", path="/yearly"):
    return {"cron": "0 0 1 1 *", "job": {"tenant": tenant, "request": {"path": path}}}


class Schedules:
    def __init__(self, stack, dispatcher="dispatcher", key=None):
        self.stack, self.name = stack, dispatcher
        self.headers = {"Sluice-Key": key} if key else {}

    def ask(self, method, path, status=None, **options):
        url = self.stack[self.name].url + "/v1/schedules" + path
        answer = self.stack.http.request(method, url, headers=self.headers, timeout=20, **options)
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def put(self, name, document, status=201):
        return self.ask("PUT", f"/{name}", status, json=document).json()

    def get(self, name):
        return self.ask("GET", f"/{name}", 200).json()

    def delete(self, name):
        self.ask("DELETE", f"/{name}", 204)

    def names(self):
        names, cursor = [], ""
        while cursor is not None:
            page = self.ask("GET", f"?limit=7&cursor={cursor}", 200).json()
            assert len(page["schedules"]) <= 7
            names += page["schedules"]
            cursor = page["cursor"]
        assert names == sorted(set(names))
        return names

    def has(self, name):
        return self.ask("GET", f"/{name}").status_code == 200


def times(stack, path):
    """When the calls of a path were due, in their order."""
    return sorted(datetime.fromisoformat(r["scheduled_time"].replace("Z", "+00:00")) for r in stack.receipts(path=path))


def each_once(found):
    assert found, "nothing fired"
    assert found == [found[0] + n * SECOND for n in range(len(found))], found


@pytest.fixture(scope="module")
def stack(make_module_stack):
    stack = make_module_stack(lambda stack: config_of(
        stack, {"sample": {}, "other": {}}, {"filed": yearly(path="/filed")},
        dispatcher={"leader_lease_s": 3}), dispatchers=2)
    wait_until(lambda: leader(stack), 20)
    return stack


@pytest.fixture
def first(stack):
    return Schedules(stack)


@pytest.fixture
def second(stack):
    return Schedules(stack, "dispatcher-2")


def test_one_that_was_put_fires_and_is_seen_by_all(stack, first, second):
    said = first.put("fires", every_second("/fires"))
    assert said["source"] == "http" and said["tenant"] == "sample"
    assert said["document"] == {"cron": ["* * * * * *"], "overlap": "allow",
                                "job": {"tenant": "sample", "request": {"path": "/fires"}}}
    wait_until(lambda: second.has("fires"), 10)
    assert second.get("fires")["document"] == said["document"]
    wait_until(lambda: len(times(stack, "/fires")) >= 3, 20)
    assert "fires" in second.names() and "filed" in second.names()
    second.delete("fires")
    each_once(times(stack, "/fires"))
    first.ask("DELETE", "/fires", 404)
    assert not second.has("fires")
    wait_until(lambda: not first.has("fires"), 10)


def test_put_again_it_is_the_same(first):
    first.put("same", yearly())
    said = first.put("same", yearly(), 200)
    assert first.put("same", said["document"], 200) == said
    first.delete("same")


def test_a_replaced_one_goes_on_and_fires_no_instant_again(stack, first):
    """Replaced many times a second, by both dispatchers: each instant one job."""
    first.put("turns", every_second("/turns"))
    wait_until(lambda: len(times(stack, "/turns")) >= 1, 20)
    dispatchers = [Schedules(stack, name) for name in DISPATCHERS]
    until = time.monotonic() + 5
    n = 0
    while time.monotonic() < until:
        dispatchers[n % 2].put("turns", every_second("/turns", catch_up=("last", "all")[n % 2]), 200)
        n += 1
    assert n > 20
    seen = len(times(stack, "/turns"))
    wait_until(lambda: len(times(stack, "/turns")) >= seen + 2, 20)
    first.delete("turns")
    each_once(times(stack, "/turns"))


@pytest.mark.slow
def test_nothing_fires_after_the_204(stack):
    """Whoever deletes it: a leader that has not heard of it fires nothing."""
    [leads] = wait_until(lambda: leader(stack), 20)
    [follows] = [n for n in DISPATCHERS if n != leads]
    follower = Schedules(stack, follows)
    for n in range(5):
        path = f"/ended-{n}"
        follower.put("ended", every_second(path))
        wait_until(lambda: len(times(stack, path)) >= 2, 20)
        time.sleep((0.85 - time.time()) % 1)  # an instant comes before the leader has heard, nearly always
        follower.delete("ended")
        at = datetime.now(timezone.utc)
        wait_until(lambda: datetime.now(timezone.utc) > at + 3 * SECOND, 10)
        found = times(stack, path)
        each_once(found)
        assert found[-1] <= at, "an instant after the 204"


def test_what_is_put_anew_makes_up_nothing(stack, first):
    first.put("anew", every_second("/anew", catch_up="all"))
    wait_until(lambda: len(times(stack, "/anew")) >= 1, 20)
    first.delete("anew")
    ended = max(times(stack, "/anew"))
    wait_until(lambda: datetime.now(timezone.utc) > ended + 5 * SECOND, 10)
    again = datetime.now(timezone.utc)
    first.put("anew", every_second("/anew", catch_up="all"))
    wait_until(lambda: max(times(stack, "/anew")) > again, 20)
    first.delete("anew")
    found = [t for t in times(stack, "/anew") if t > ended]
    assert found[0] > again - SECOND
    each_once(found)


def test_what_is_put_anew_knows_nothing_of_the_old_one(stack, first):
    first.put("bound", every_second("/bound", max_runs=2))
    wait_until(lambda: first.get("bound")["runs_left"] == 0, 20, "two runs")
    first.ask("POST", "/bound/pause", 200, json={"note": "of the old one"})
    first.delete("bound")
    shown = first.put("bound", every_second("/bound", max_runs=2))
    assert (shown["paused"], shown["fired"], shown["runs_left"], shown["last"]) == (None, 0, 2, None)
    assert first.ask("GET", "/bound/history", 200).json()["fires"] == []
    wait_until(lambda: len(times(stack, "/bound")) == 4, 20, "two more runs")
    first.delete("bound")


def test_a_deletion_whose_end_the_store_refused_is_ended_all_the_same(stack, first):
    """Sent again there is nothing to delete any more."""
    first.put("halved", every_second("/halved", max_runs=1))
    wait_until(lambda: first.get("halved")["runs_left"] == 0, 20, "its run")
    stack.redis.config_set("maxmemory", 1)  # scripts that make room may run; a plain HSET may not
    try:
        first.ask("DELETE", "/halved", 503)
        assert not stack.redis.hget("{sample}:c", "halved").startswith("d")
    finally:
        stack.redis.config_set("maxmemory", 0)
    wait_until(lambda: stack.redis.hget("{sample}:c", "halved:runs") is None, 20, "its end")
    assert stack.redis.hget("{sample}:c", "halved").startswith("d")
    assert first.put("halved", every_second("/halved", max_runs=1))["runs_left"] == 1
    first.delete("halved")


def test_another_tenant_begins_with_a_cursor_of_its_own(stack, first):
    first.put("moves", every_second("/moves", catch_up="all"))
    wait_until(lambda: len(times(stack, "/moves")) >= 1, 20)
    first.put("moves", every_second("/moved", "other", catch_up="all"), 200)
    moved = datetime.now(timezone.utc)
    wait_until(lambda: len(times(stack, "/moved")) >= 2, 20)
    assert times(stack, "/moves")[-1] <= moved
    assert times(stack, "/moved")[0] > moved - 2 * SECOND
    first.delete("moves")
    each_once(times(stack, "/moved"))


def test_the_files_stands_behind_what_was_put(stack, first, second):
    assert first.get("filed")["source"] == "file"
    expect_problem(first.ask("DELETE", "/filed"), 409, "owned_by_file")
    said = first.put("filed", yearly(path="/over"), 200)
    assert (said["source"], said["path"]) == ("http", "/over")
    stack["dispatcher"].signal(SIGHUP)
    wait_until(lambda: second.get("filed")["path"] == "/over", 10)
    assert first.get("filed")["path"] == "/over"
    second.delete("filed")
    wait_until(lambda: first.get("filed")["source"] == "file", 10)
    assert first.get("filed")["path"] == "/filed"


@pytest.mark.parametrize("document, words", [
    ({}, ("cron", "job")),
    ({"cron": "61 * * * *", "job": {"tenant": "sample", "request": {"path": "/"}}}, ("cron", "61")),
    ({**yearly(), "timezone": "Nowhere/Land"}, ("zone",)),
    (yearly("nobody"), ("nobody",)),
    ({**yearly(), "nonsense": 1}, ("nonsense",)),
    ([], ("map",)),
])
def test_mistakes_are_all_named(first, document, words):
    said = expect_problem(first.ask("PUT", "/wrong", json=document), 400, "invalid")
    assert all(word in said["detail"] for word in words), said
    assert not first.has("wrong")


@pytest.mark.parametrize("more, says", [
    ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "end: it ends before it starts"),
    ({"cron": "0 0 29 2 *", "start": "2025-03-01T00:00:00Z", "end": "2028-02-28T00:00:00Z"}, "end: it would never fire"),
    ({"cron": "0 3 * * *", "exclude": ["* * * * *"]}, "exclude: it would never fire"),
    ({"cron": "0 3 * * MON", "exclude": ["15 3 * * MON", "* 3 * * MON"]}, "exclude: it would never fire"),
    ({"cron": "0 * * * *", "exclude": ["0 0-11 * * *", "0 12-23 * * *"], "start": "2026-01-01T00:00:00Z",
      "end": "2026-02-01T00:00:00Z"}, "exclude: it would never fire"),
    ({"cron": "30 2 29 3 *", "timezone": "Europe/Berlin", "start": "2026-01-01T00:00:00Z", "end": "2026-12-31T00:00:00Z",
      "dst_gap": "skip"}, "end: it would never fire"),
    ({"job": {**yearly()["job"], "idempotency_key": "x", "delay_s": 5}}, "job.idempotency_key: a schedule's job has one of its own"),
    ({"job": {**yearly()["job"], "idempotency_key": "x", "delay_s": 5}}, "job.delay_s: a schedule's job is due at its instant"),
    ({"job": {**yearly()["job"], "not_before": "2027-01-01T00:00:00Z"}}, "job.not_before: "),
    ({"job": {**yearly()["job"], "expires_at": "2027-01-01T00:00:00Z"}}, "job.expires_at: "),
    ({"job": {**yearly()["job"], "callback": "https://127.0.0.1/x"}}, "job.callback: "),
])
def test_what_makes_no_sense_is_a_mistake(first, more, says):
    said = expect_problem(first.ask("PUT", "/wrong", json={**yearly(), **more}), 400, "invalid")
    assert says in said["detail"], said
    assert not first.has("wrong")


@pytest.mark.parametrize("more", [
    {"end": "2001-01-01T00:00:00Z"},  # over; its instants can be backfilled
    {"start": "9000-01-01T00:00:00Z"},
    {"cron": "0 0 29 2 *", "start": "2028-02-29T00:00:00Z", "end": "2028-02-29T00:00:00Z"},
    {"cron": "0 3 * * *", "exclude": ["* * 24-26 12 *"]},
    # The instants that the gap moves are no 02:30.
    {"cron": "30 2 * * *", "exclude": ["30 2 * * *"], "timezone": "Europe/Berlin"},
    {"cron": "* * * * * *", "exclude": ["* 0-11 * * *", "* 12-23 * * *"]},  # that none is left takes too long to tell
], ids=str)
def test_what_may_fire_is_none(first, more):
    first.put("sound", {**yearly(), **more})
    first.delete("sound")


def test_what_was_put_before_it_was_a_mistake_goes_on(stack, first):
    """A document in the store that a PUT would refuse now: nobody's schedule ends by an update."""
    document = {**yearly(), "exclude": ["* * * * *"]}
    document["job"]["delay_s"] = 5
    revision = stack.redis.hincrby("{sluice}:sd", ":rev", 1)
    stack.redis.hset("{sluice}:sd", "older", json.dumps(document))
    stack.redis.zadd("{sluice}:sr", {"older": revision})
    wait_until(lambda: first.has("older"), 10)
    first.delete("older")


def test_refusals_say_what_to_do(first):
    for method, path in (("GET", "/none"), ("DELETE", "/none"), ("DELETE", "/No%20Name"), ("POST", "/none/pause"),
                         ("POST", "/none/rewind"), ("GET", "/none/history")):
        assert "GET /v1/schedules lists" in expect_problem(first.ask(method, path), 404, "not_found")["detail"], path
    assert "history" in expect_problem(first.ask("GET", "/filed/nothing"), 404, "not_found")["detail"]
    assert "take it out there" in expect_problem(first.ask("DELETE", "/filed"), 409, "owned_by_file")["detail"]
    assert "nothing to rewind" in expect_problem(first.ask("POST", "/filed/rewind"), 409, "not_ahead")["detail"]


def test_requests_that_are_none(first):
    expect_problem(first.ask("PUT", "/wrong", data=b"{"), 400, "invalid")
    expect_problem(first.ask("PUT", "/No%20Name", json=yearly()), 400, "invalid")
    expect_problem(first.ask("DELETE", "/No%20Name"), 404, "not_found")
    expect_problem(first.ask("DELETE", "/none"), 404, "not_found")
    assert first.ask("PATCH", "/filed").headers["Allow"] == "GET, HEAD, PUT, DELETE"
    expect_problem(first.ask("GET", "?limit=0"), 400, "invalid")
    expect_problem(first.ask("GET", "?limit=1001"), 400, "invalid")


def test_secrets_of_a_job_are_not_shown(first):
    document = yearly()
    document["job"]["request"]["headers"] = {"Authorization": "Bearer abc", "X-Plain": "p"}
    said = first.put("secret", document)
    assert said["document"]["job"]["request"]["headers"] == {"Authorization": "***", "X-Plain": "p"}
    assert "abc" not in first.ask("GET", "/secret", 200).text
    first.delete("secret")


def test_two_at_once_over_one_name_agree(stack, first, second):
    """Whoever is later stands; nobody is told of what does not hold."""
    paths = together(8, lambda n: Schedules(stack, DISPATCHERS[n % 2]).ask(
        "PUT", "/raced", json=yearly(path=f"/{n}")).json()["path"], range(40))
    assert len(paths) == 40
    wait_until(lambda: first.get("raced") == second.get("raced"), 10)
    first.delete("raced")


def test_what_was_put_is_there_after_all_have_started_anew(stack, first, second):
    first.put("stays", yearly(path="/stays"))
    for name in DISPATCHERS:
        stack.kill(name)
    for name in DISPATCHERS:
        stack[name].start()
    for asked in (first, second):
        wait_until(lambda: asked.has("stays"), 20)
        assert asked.get("stays")["source"] == "http"
    wait_until(lambda: leader(stack), 20)
    first.delete("stays")


def test_many_are_read_in_pages(stack, first, second):
    names = [f"many-{n:04d}" for n in range(1200)]
    together(16, lambda name: first.put(name, yearly()), names)
    wait_until(lambda: [n for n in second.names() if n.startswith("many-")] == names, 30)
    assert len(first.ask("GET", "", 200).json()["schedules"]) == 1000
    stack["dispatcher-2"].stop()
    together(16, first.delete, names[::2])
    stack["dispatcher-2"].start()
    for asked in (first, second):
        wait_until(lambda: [n for n in asked.names() if n.startswith("many-")] == names[1::2], 30)
    together(16, second.delete, names[1::2])
    wait_until(lambda: not [n for n in first.names() if n.startswith("many-")], 30)


@pytest.mark.slow
@pytest.mark.timeout_s(120)
def test_reloads_many_times_a_second_lose_and_repeat_nothing(make_stack):
    """The file, a crontab whose lines come and go, and a schedule over HTTP."""
    def config(stack, n=0):
        crontab = stack.directory / "crontab"
        new = crontab.with_suffix(".new")
        new.write_text(f"# {n}\n" + "0 0 1 1 * sample POST /other\n" * (n % 2) + "* * * * * sample POST /minutely\n")
        new.rename(crontab)
        # Each reload finds another definition of one, and the same of the other.
        return config_of(stack, {"sample": {}}, {
            "same": every_second("/same"), "changes": every_second("/changes", jitter_s=0, catch_up=("last", "all")[n % 2]),
            **({"comes-and-goes": yearly()} if n % 3 else {})}, crontabs=[str(crontab)])

    stack = make_stack(config)
    Schedules(stack).put("over-http", every_second("/over-http"))
    wait_until(lambda: all(times(stack, p) for p in ("/same", "/changes", "/over-http")), 30)
    before = stack.metric("sluice_config_reloads_total", "dispatcher")
    began = datetime.now(timezone.utc)
    n = 0
    while datetime.now(timezone.utc) < began + 62 * SECOND:  # past a full minute, for the crontab
        n += 1
        stack.configure(lambda stack: config(stack, n))
        stack["dispatcher"].signal(SIGHUP)
        time.sleep(0.05)
    assert stack.metric("sluice_config_reloads_total", "dispatcher") - before > 100
    until = datetime.now(timezone.utc)
    for path in ("/same", "/changes", "/over-http"):
        wait_until(lambda: times(stack, path)[-1] > until, 20, path)
        each_once(times(stack, path))
    minutes = times(stack, "/minutely")
    assert minutes == [minutes[0] + n * timedelta(minutes=1) for n in range(len(minutes))] and minutes


@pytest.fixture(scope="module")
def keyed(make_module_stack):
    keys = {name: key(name, *scopes, tenants=tenants) for name, scopes, tenants in (
        ("erp", ["submit"], ["erp"]), ("crm", ["submit"], ["crm"]), ("reader", ["read"], ()), ("root", ["admin", "read"], ()))}
    stack = make_module_stack(lambda stack: config_of(stack, {"erp": {}, "crm": {}}, keys=[k for k, _ in keys.values()]))
    return lambda name: Schedules(stack, key=keys[name][1] if name else None)


@pytest.mark.parametrize("who, status", [("erp", 201), ("root", 201), ("crm", 403), ("reader", 403), (None, 401)])
def test_whose_key_may_put_it(keyed, who, status):
    assert keyed(who).ask("PUT", f"/by-{who}".lower(), json=yearly("erp")).status_code == status


def test_a_put_is_one_request_of_the_keys_rate(make_stack):
    slow, token = key("slow", "submit")
    stack = make_stack(lambda s: config_of(s, {"sample": {}}, keys=[{**slow, "rate": {"limit": 1, "period_s": 3600}}]))
    schedules = Schedules(stack, key=token)
    schedules.put("one", yearly())
    schedules.ask("DELETE", "/one", 429)


def test_a_key_takes_no_schedule_of_another_tenant(keyed):
    keyed("erp").put("mine", yearly("erp"))
    assert keyed("crm").ask("PUT", "/mine", json=yearly("crm")).status_code == 403
    assert keyed("crm").ask("DELETE", "/mine").status_code == 403
    assert keyed("root").get("mine")["tenant"] == "erp"
    keyed("erp").delete("mine")


@pytest.mark.slow
def test_one_that_has_just_started_says_nothing_wrong_of_what_was_put(stack, first, second):
    """Its copy is still to be read: 503, never a 404 or the file's."""
    first.put("here", yearly(path="/here"))
    first.put("filed", yearly(path="/over"), 200)
    stack.kill("dispatcher-2")
    stack.signal("redis", SIGSTOP)  # it listens, and has read nothing
    try:
        stack["dispatcher-2"].start(wait=False)
        wait_until(lambda: stack.http.get(stack["dispatcher-2"].url + "/livez").status_code == 200, 20, "an answer")
        for method, path in (("GET", "/here"), ("GET", "/filed"), ("GET", ""), ("POST", "/here/run"), ("POST", "/here/pause"),
                             ("GET", "/here/history")):
            answer = second.ask(method, path)
            assert "has just started" in expect_problem(answer, 503, "unavailable")["detail"]
            assert answer.headers["Retry-After"] == "1"
    finally:
        stack.signal("redis", SIGCONT)

    def ready_with_all():
        is_ready = stack.http.get(stack["dispatcher-2"].url + "/readyz").status_code == 200
        answers = [second.ask("GET", "/here"), second.ask("GET", "/filed")]
        assert {a.status_code for a in answers} <= ({200} if is_ready else {200, 503})
        assert all(a.json()["source"] == "http" for a in answers if a.status_code == 200)
        return is_ready

    wait_until(ready_with_all, 30, "ready", every=0.01)
    second.delete("here")
    second.delete("filed")


def test_a_list_asks_the_store_for_many_at_a_time(stack, first):
    """And each is shown with its own."""
    for n in range(300):
        first.put(f"listed-{n:03}", yearly(("sample", "other")[n % 2]))
    for n in (0, 1, 120, 299):
        first.ask("POST", f"/listed-{n:03}/pause", 200, json={"note": f"of {n}"})

    def asked():
        return stack.redis.info("commandstats")["cmdstat_hmget"]["calls"]

    before = asked()
    page = first.ask("GET", "?limit=300&cursor=listed-", 200).json()["schedules"]
    assert asked() - before < 100
    assert len(page) == 300
    notes = {name: row["paused"]["note"] for name, row in page.items() if row["paused"]}
    assert notes == {f"listed-{n:03}": f"of {n}" for n in (0, 1, 120, 299)}
    for name in page:
        first.delete(name)


@pytest.mark.slow
@pytest.mark.timeout_s(180)
def test_figures_by_name_are_bounded(make_stack):
    """Each of the first thousand by its name, the rest together: none is left out."""
    n = 1010
    often = {"cron": "*/5 * * * * *", "max_runs": 1, "job": {"tenant": "sample", "request": {"path": "/often"}}}
    stack = make_stack(lambda stack: config_of(stack, {"sample": {}}, {f"n{i:04}": often for i in range(n)}))

    def figures():
        lines = stack.http.get(stack["dispatcher"].url + "/metrics", timeout=10).text.splitlines()
        found = [line.split('schedule="')[1].partition('"') for line in lines
                 if line.startswith("sluice_schedule_fires_total{") and 'outcome="fired"' in line]
        return {name: float(rest.split()[-1]) for name, _, rest in found}

    wait_until(lambda: sum(figures().values()) == n, 60, "a fire of each")
    others = figures().pop("(other)")
    assert (len(figures()), others) == (1001, n - 1000)
