# SPDX-License-Identifier: Apache-2.0
"""A key's rate holds over all ingresses: so many calls and no more, 429 with RateLimit fields and Retry-After for the rest."""
import hashlib
import time

import pytest

from harness import wait_until
from harness.load import config_of, expect_problem, together
from test_walk import Scripts, store  # noqa: F401

# name: (limit, period_s, burst)
RATES = {"slowly": (1, 60, 20), "steady": (10, 1, 5), "jobs": (2, 60, None), "seldom": (0.5, 1, 1)}


def key(name):
    entry = {"name": name, "hash": f"sha256:{hashlib.sha256(f'token-of-{name}'.encode()).hexdigest()}",
             "scopes": ["submit", "read"]}
    if name not in RATES:
        return entry
    limit, period, burst = RATES[name]
    return {**entry, "rate": {"limit": limit, "period_s": period, **({} if burst is None else {"burst": burst})}}


@pytest.fixture(scope="module")
def stack(make_module_stack):
    return make_module_stack(lambda stack: config_of(stack, {"erp": {}, "crm": {}}, keys=[key(n) for n in (*RATES, "free")]),
                             ingresses=2)


def bearer(name):
    return {"Authorization": f"Bearer token-of-{name}"}


def send(stack, name, n=0, path="/call/erp/x", **options):
    """By the first ingress or the second, in turn."""
    url = stack["ingress" if n % 2 == 0 else "ingress-2"].url
    headers = {**bearer(name), **options.pop("headers", {})}
    return stack.http.request("POST", url + path, headers=headers, timeout=40, **options)


def members(field):
    """'"key";r=1;t=2' as {"r": 1, "t": 2}"""
    name, *parameters = field.split(";")
    assert name == '"key"'
    return {k: int(v) for k, _, v in (p.partition("=") for p in parameters)}


def test_two_ingresses_let_through_what_one_would(stack):
    """Twenty at once, one more a minute: of sixty calls at both, twenty."""
    answers = together(12, lambda n: send(stack, "slowly", n, f"/call/{('erp', 'crm')[n % 3 == 0]}/two"), range(60))
    good = [a for a in answers if a.status_code == 200]
    over = [a for a in answers if a.status_code == 429]
    assert (len(good), len(over)) == (20, 40)
    for answer in over:
        expect_problem(answer, 429, "too_many_requests")
        assert members(answer.headers["RateLimit-Policy"]) == {"q": 1, "w": 60}
        left = members(answer.headers["RateLimit"])
        assert left["r"] == 0 and 1 <= left["t"] <= 60
        assert int(answer.headers["Retry-After"]) == left["t"]
    assert sorted(members(a.headers["RateLimit"])["r"] for a in good) == list(range(20)), "each says what is left after it"
    assert len(stack.receipts(path="/two")) == 20


def test_after_the_time_that_was_said_there_is_room(stack):
    answers = [send(stack, "steady", n) for n in range(30)]
    over = [a for a in answers if a.status_code == 429]
    assert over and {int(a.headers["Retry-After"]) for a in over} == {1}
    wait_until(lambda: send(stack, "steady").status_code == 200, 5, "room")


def test_a_rate_below_one_is_said_in_whole_numbers(stack):
    answer = send(stack, "seldom")
    assert answer.status_code == 200
    assert members(answer.headers["RateLimit-Policy"]) == {"q": 1, "w": 2}
    assert send(stack, "seldom").status_code == 429


def test_jobs_are_charged_as_calls_are(stack):
    """Without a burst the limit is one. Looking at a job is not a call."""
    document = {"tenant": "erp", "request": {"path": "/jobs"}}
    first, second, third = [send(stack, "jobs", n, "/v1/jobs", json=document) for n in range(3)]
    assert [a.status_code for a in (first, second, third)] == [202, 202, 429]
    assert [members(a.headers["RateLimit"])["r"] for a in (first, second, third)] == [1, 0, 0]
    assert members(third.headers["RateLimit-Policy"]) == {"q": 2, "w": 60}
    assert stack.call("GET", first.headers["Location"], headers=bearer("jobs")).status_code == 200
    assert send(stack, "jobs", headers={"Prefer": "respond-async"}).status_code == 429


def test_who_has_no_rate_hears_nothing_of_one(stack):
    answers = [send(stack, "free", n) for n in range(30)]
    assert {a.status_code for a in answers} == {200}
    assert not any("RateLimit" in a.headers or "RateLimit-Policy" in a.headers for a in answers)


# --- the script ---


@pytest.fixture
def charge(store):  # noqa: F811
    scripts = Scripts(store)

    def call(limit=10, period=60000, burst=5, caller="shop"):
        return scripts.raw("quota", 1, f"{{quota:{caller}}}:t", "e1", limit, period, burst)

    call.redis = scripts.redis
    return call


def test_a_burst_and_no_more(charge):
    assert [charge()[0] for _ in range(7)] == ["ok"] * 5 + ["no"] * 2
    assert charge(caller="other")[0] == "ok"


def test_what_is_left_and_when(charge):
    assert charge()[:2] == ["ok", "4"]
    for _ in range(4):
        charge()
    word, left, reset, wait = charge()
    assert (word, left) == ("no", "0")
    assert 29000 <= int(reset) <= 30000, "five times six seconds"
    assert 5000 <= int(wait) <= 6000, "one of them"


def test_a_rate_that_is_made_smaller_holds_from_then_on(charge):
    for _ in range(50):
        charge(limit=1000000, burst=1000000)
    # The fifty may be a hair ahead of the clock: then the first of these is refused, too.
    words = [charge(burst=1)[0] for _ in range(5)]
    assert words.count("ok") <= 1 and words[-1] == "no"


def test_it_is_forgotten_when_it_says_nothing_any_more(charge):
    charge(limit=1000, period=1000, burst=5)
    assert charge.redis.pttl("{quota:shop}:g") < 3000
    time.sleep(0.05)
    assert charge(limit=1000, period=1000, burst=5)[:2] == ["ok", "4"]
