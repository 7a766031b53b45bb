# SPDX-License-Identifier: Apache-2.0
"""The instants of schedules, as POST /v1/schedules/preview of a real dispatcher gives them, against a brute-force
walk over the clock (harness.clockwalk). Where a row says what is expected, by hand, the walk must find it, too."""
import hashlib
import random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from harness.clockwalk import instants
from harness.load import config_of

UTC = timezone.utc


@pytest.fixture(scope="module")
def stack(make_module_stack):
    return make_module_stack(lambda stack: config_of(stack, {"sample": {}}), workers=0, ingresses=0)


def at(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def ask(stack, cron, **members):
    return stack.http.post(stack.dispatcher_url + "/v1/schedules/preview", json={"cron": cron, **members})


def preview(stack, cron, zone, since, until, **more):
    answer = ask(stack, cron, timezone=zone, until=until, count=1000, **{"from": since}, **more)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["times", "local"]
    times = answer.json()["times"]
    assert answer.json()["local"] == [at(t).astimezone(ZoneInfo(zone)).isoformat() for t in times]
    return times


def walk(cron, zone, since, until, dst_gap="run_after", dst_overlap="once", exclude=(), **bounds):
    first = at(bounds["start"]) if "start" in bounds else None
    last = at(bounds["end"]) if "end" in bounds else None
    found = instants(cron, zone, at(since), at(until), dst_gap, dst_overlap, exclude=exclude,
                     **({"anchor": first} if first else {}))
    return [t.strftime("%Y-%m-%dT%H:%M:%SZ") for t in found
            if (first is None or t >= first) and (last is None or t <= last)]


BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
SAO_PAULO, KATHMANDU, APIA = "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia"
SKIP, TWICE = {"dst_gap": "skip"}, {"dst_overlap": "twice"}

# (expression or list, zone, from, until, more members, expected by hand or None)
ROWS = [
    # Berlin: 02:00 to 03:00 on 29 March 2026, back from 03:00 to 02:00 on 25 October.
    ("15 2 * * *", BERLIN, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", {},
     ["2026-03-28T01:15:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:15:00Z"]),
    ("15 2 * * *", BERLIN, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", SKIP,
     ["2026-03-28T01:15:00Z", "2026-03-30T00:15:00Z"]),
    ("0,20,40 2 * * *", BERLIN, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", {}, ["2026-03-29T01:00:00Z"]),
    ("30 1-4 * * *", BERLIN, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", {},
     ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"]),
    ("*/20 2 * * *", BERLIN, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", {}, None),
    ("15 */2 * * *", BERLIN, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", {}, None),
    ("30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", {},
     ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
    ("30 2 * * *", BERLIN, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", TWICE,
     ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]),
    ("*/30 * * * *", BERLIN, "2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z", {}, None),
    ("0 0-4 * * *", BERLIN, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z", TWICE, None),
    ("*/20 0 2 * * *", BERLIN, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", {}, None),
    ("10 30 2 25 10 *", BERLIN, "2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z", TWICE,
     ["2026-10-25T00:30:10Z", "2026-10-25T01:30:10Z"]),
    ("15 2 * * *", BERLIN, "2060-03-26T00:00:00Z", "2060-03-30T00:00:00Z", {}, None),
    # New York: 8 March and 1 November 2026.
    ("30 2 * * *", NEW_YORK, "2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z", {},
     ["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]),
    ("30 1 * * *", NEW_YORK, "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z", {},
     ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]),
    ("30 1 * * *", NEW_YORK, "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z", TWICE, None),
    ("@hourly", NEW_YORK, "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z", {}, None),
    ("0 0-23 * * *", NEW_YORK, "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z", {}, None),
    # Lord Howe: half an hour; 02:00 to 02:30 on 4 October 2026, back from 02:00 to 01:30 on 5 April.
    ("10 2 * * *", LORD_HOWE, "2026-10-03T00:00:00Z", "2026-10-05T00:00:00Z", {},
     ["2026-10-03T15:30:00Z", "2026-10-04T15:10:00Z"]),
    ("10 2 * * *", LORD_HOWE, "2026-10-03T00:00:00Z", "2026-10-05T00:00:00Z", SKIP, ["2026-10-04T15:10:00Z"]),
    ("45 1 * * *", LORD_HOWE, "2026-04-04T00:00:00Z", "2026-04-06T00:00:00Z", {},
     ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]),
    ("45 1 * * *", LORD_HOWE, "2026-04-04T00:00:00Z", "2026-04-06T00:00:00Z", TWICE,
     ["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z", "2026-04-05T15:15:00Z"]),
    ("*/15 * * * *", LORD_HOWE, "2026-04-04T12:00:00Z", "2026-04-04T18:00:00Z", {}, None),
    ("*/15 * * * *", LORD_HOWE, "2026-10-03T12:00:00Z", "2026-10-03T18:00:00Z", {}, None),
    # Sao Paulo: no midnight on 15 October 2017; on 18 February 2018 back from midnight to 23:00.
    ("0 0 * * *", SAO_PAULO, "2017-10-14T00:00:00Z", "2017-10-17T00:00:00Z", {},
     ["2017-10-14T03:00:00Z", "2017-10-15T03:00:00Z", "2017-10-16T02:00:00Z"]),
    ("@daily", SAO_PAULO, "2017-10-14T00:00:00Z", "2017-10-17T00:00:00Z", SKIP,
     ["2017-10-14T03:00:00Z", "2017-10-16T02:00:00Z"]),
    ("30 23 * * *", SAO_PAULO, "2018-02-17T00:00:00Z", "2018-02-19T12:00:00Z", {},
     ["2018-02-17T01:30:00Z", "2018-02-18T01:30:00Z", "2018-02-19T02:30:00Z"]),
    ("30 23 * * 6", SAO_PAULO, "2018-02-17T00:00:00Z", "2018-02-19T12:00:00Z", TWICE,
     ["2018-02-18T01:30:00Z", "2018-02-18T02:30:00Z"]),
    ("0 0 * * 0", SAO_PAULO, "2018-02-01T00:00:00Z", "2018-03-01T00:00:00Z", {}, None),
    ("0 0 15 10 *", SAO_PAULO, "2016-01-01T00:00:00Z", "2020-01-01T00:00:00Z", {}, None),
    # Kathmandu: no change; and a quarter of an hour at the beginning of 1986.
    ("45 5 * * *", KATHMANDU, "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", {},
     ["2026-01-02T00:00:00Z"]),
    ("5 0 * * *", KATHMANDU, "1985-12-30T00:00:00Z", "1986-01-02T00:00:00Z", {},
     ["1985-12-30T18:35:00Z", "1985-12-31T18:30:00Z", "1986-01-01T18:20:00Z"]),
    ("*/5 0 * * *", KATHMANDU, "1985-12-31T00:00:00Z", "1986-01-01T00:00:00Z", {}, None),
    # Apia: no 30 December 2011.
    ("0 12 * * *", APIA, "2011-12-28T00:00:00Z", "2012-01-01T00:00:00Z", {},
     ["2011-12-28T22:00:00Z", "2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z",
      "2011-12-31T22:00:00Z"]),
    ("0 12 * * *", APIA, "2011-12-28T00:00:00Z", "2012-01-01T00:00:00Z", SKIP, None),
    ("0 12 30 12 *", APIA, "2010-01-01T00:00:00Z", "2014-01-01T00:00:00Z", SKIP, None),
    ("0 12 * * 5", APIA, "2011-12-20T00:00:00Z", "2012-01-15T00:00:00Z", {}, None),
    ("0 */6 * * *", APIA, "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z", {}, None),
    # The calendar.
    ("0 0 29 2 *", "UTC", "2094-01-01T00:00:00Z", "2110-01-01T00:00:00Z", {},
     ["2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z", "2108-02-29T00:00:00Z"]),
    ("0 12 29 2 *", BERLIN, "1999-01-01T00:00:00Z", "2009-01-01T00:00:00Z", {}, None),
    ("0 0 31 * *", BERLIN, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", {}, None),
    ("0 0 30,31 * *", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", {}, None),
    ("0 18 L * *", BERLIN, "2027-12-01T00:00:00Z", "2028-05-01T00:00:00Z", {},
     ["2027-12-31T17:00:00Z", "2028-01-31T17:00:00Z", "2028-02-29T17:00:00Z", "2028-03-31T16:00:00Z",
      "2028-04-30T16:00:00Z"]),
    ("0 0 L-3 * *", "UTC", "2026-01-01T00:00:00Z", "2027-03-01T00:00:00Z", {}, None),
    ("0 9 1W * *", NEW_YORK, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", {}, None),
    ("0 9 15W,LW * *", "UTC", "2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z", {},
     ["2026-01-15T09:00:00Z", "2026-01-30T09:00:00Z", "2026-02-16T09:00:00Z", "2026-02-27T09:00:00Z",
      "2026-03-16T09:00:00Z", "2026-03-31T09:00:00Z"]),
    ("0 9 31W * *", "UTC", "2026-01-01T00:00:00Z", "2028-01-01T00:00:00Z", {}, None),
    ("0 9 L-1W 2 *", "UTC", "2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z", {}, None),
    ("30 8 ? * MON#1", BERLIN, "2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z", {},
     ["2026-01-05T07:30:00Z", "2026-02-02T07:30:00Z", "2026-03-02T07:30:00Z", "2026-04-06T06:30:00Z"]),
    ("0 0 * * SAT#5", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", {}, None),
    ("0 0 ? * 5L", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", {}, None),
    ("0 0 * * L", "UTC", "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", {}, None),
    # Either day field, or both.
    ("0 0 13 * 5", "UTC", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", {},
     ["2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z", "2026-02-27T00:00:00Z"]),
    ("0 0 1,15 * MON", "UTC", "2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z", {}, None),
    ("0 0 */2 * MON", "UTC", "2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z", {}, None),
    ("0 0 1-7 * */6", "UTC", "2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z", {}, None),
    ("0 0 L * FRI#2", "UTC", "2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z", {}, None),
    ("0 22-2 * NOV-FEB FRI-MON", BERLIN, "2026-10-20T00:00:00Z", "2026-11-20T00:00:00Z", {}, None),
    ("0 0 * * 5-7", "UTC", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", {}, None),
    # Several at once, exclusions, bounds (both in).
    (["0 12 * * *", "0 */12 * * *", "30 2 * * *"], BERLIN, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", {}, None),
    ("0 * * * *", BERLIN, "2026-12-23T12:00:00Z", "2026-12-27T12:00:00Z", {"exclude": ["* * 24-26 12 *", "0 1 * * *"]},
     None),
    ("30 2 * * *", BERLIN, "2026-03-27T12:00:00Z", "2026-03-31T00:00:00Z", {"exclude": ["0 3 * * *"]},
     ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"]),
    ("*/10 * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z",
     {"start": "2026-01-01T10:10:00Z", "end": "2026-01-01T10:30:00Z"},
     ["2026-01-01T10:10:00Z", "2026-01-01T10:20:00Z", "2026-01-01T10:30:00Z"]),
    # Spans: real time.
    ("@every 90m", BERLIN, "2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z", {},
     ["2026-03-28T22:30:00Z", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z", "2026-03-29T03:00:00Z",
      "2026-03-29T04:30:00Z"]),
    ("@every 90m", BERLIN, "2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z", {"start": "2026-10-24T00:10:30Z"}, None),
    ("@every 1d1h", NEW_YORK, "2026-03-06T00:00:00Z", "2026-03-12T00:00:00Z", {"start": "2026-03-07T07:30:00+02:00"},
     ["2026-03-07T05:30:00Z", "2026-03-08T06:30:00Z", "2026-03-09T07:30:00Z", "2026-03-10T08:30:00Z",
      "2026-03-11T09:30:00Z"]),
    ("@every 7s", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", {}, None),
    (["@every 45m", "15 * * * *"], APIA, "2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z",
     {"start": "2011-12-01T00:00:00Z"}, None),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]} {row[2][:10]} {' '.join(row[4].values()) if row[4] in (SKIP, TWICE) else ''}".strip())
def test_the_instants_are_those_of_the_walk(stack, row):
    cron, zone, since, until, more, expected = row
    walked = walk(cron, zone, since, until, **more)
    assert walked and expected in (None, walked)
    assert preview(stack, cron, zone, since, until, **more) == walked


CHANGES = [
    (BERLIN, "2026-03-29T01:00:00Z"), (BERLIN, "2026-10-25T01:00:00Z"), (NEW_YORK, "2026-03-08T07:00:00Z"),
    (NEW_YORK, "2026-11-01T06:00:00Z"), (LORD_HOWE, "2026-04-04T15:00:00Z"), (LORD_HOWE, "2026-10-03T15:30:00Z"),
    (SAO_PAULO, "2017-10-15T03:00:00Z"), (SAO_PAULO, "2018-02-18T02:00:00Z"), (KATHMANDU, "1985-12-31T18:30:00Z"),
    (APIA, "2011-12-30T10:00:00Z"),
]


def draw(rng):
    def item(low, high, steps):
        first = rng.randint(low, high)
        return rng.choice([f"{first}", f"{first}", f"{first}-{rng.randint(low, high)}", "*",
                           f"{first}-{rng.randint(low, high)}/{rng.choice(steps)}", f"*/{rng.choice(steps)}"])

    def items(*bounds):
        return ",".join(item(*bounds) for _ in range(rng.choice([1, 1, 2])))

    day = rng.choice(["*", "*", "*", "?", items(1, 31, [2, 5]), "L", "LW", "L-2", "15W", "1W"])
    weekday = rng.choice(["*", "*", "*", "?", items(0, 6, [2, 3]), "5L", "SUN#4", "SAT#5", "MON-FRI"])
    return f"{items(0, 59, [7, 15, 20])} {items(0, 23, [2, 5])} {day} * {weekday}"


@pytest.mark.parametrize("zone,change", CHANGES)
def test_random_expressions_over_a_change(stack, zone, change):
    rng = random.Random(f"{zone} {change}")
    found = 0
    for _ in range(100):
        cron = draw(rng)
        more = {"dst_gap": rng.choice(["run_after", "skip"]), "dst_overlap": rng.choice(["once", "twice"])}
        since, until = (f"{(at(change) + timedelta(hours=h)).replace(tzinfo=None).isoformat()}Z" for h in (-6, 8))
        walked = walk(cron, zone, since, until, **more)
        assert preview(stack, cron, zone, since, until, **more) == walked, (cron, more)
        found += len(walked)
    assert found > 100


def test_defaults_are_ten_from_now_on_in_utc(stack):
    before = datetime.now(UTC)
    times = [at(t) for t in ask(stack, "* * * * *").json()["times"]]
    assert len(times) == 10
    assert all(later - earlier == timedelta(minutes=1) for earlier, later in zip(times, times[1:]))
    assert before < times[0] <= datetime.now(UTC) + timedelta(minutes=1)


def test_from_and_until_are_out_and_count_bounds(stack):
    asked = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T04:00:00Z"}
    assert ask(stack, "@hourly", **asked).json()["times"] == [f"2026-01-01T0{h}:00:00Z" for h in (1, 2, 3)]
    assert ask(stack, "@hourly", **asked, count=2).json()["times"] == [f"2026-01-01T0{h}:00:00Z" for h in (1, 2)]
    assert len(ask(stack, "* * * * * *", count=1000, **{"from": "1970-01-01T00:00:00Z"}).json()["times"]) == 1000
    assert ask(stack, "0 0 1 1 *", **asked, **{"exclude": None, "start": None}).json() == {"times": [], "local": []}


@pytest.mark.parametrize("document,word", [
    ({}, "cron"), ({"cron": []}, "at least 1"), ({"cron": ""}, "cron"), ({"cron": None}, "cron"),
    ({"cron": "0 0 30 2 *"}, "no month of any year"), ({"cron": "61 * * * *"}, "the minute must be"),
    ({"cron": ["* * * * *", "@every 0s"]}, "cron[1]: @every must be followed"),
    ({"cron": "* * * * *", "exclude": ["x"]}, "exclude[0]"),
    ({"cron": ["* * * * *", "@daily"], "timezone": "Europe/Bonn"}, "timezone: the time zone"),
    ({"cron": "* * * * *", "count": 0}, "count"), ({"cron": "* * * * *", "count": 1001}, "count"),
    ({"cron": "* * * * *", "from": "yesterday"}, "from"),
    ({"cron": "* * * * *", "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
    ({"cron": "* * * * *", "start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "end: it ends before it starts"),
    ({"cron": "* * * * *", "dst_gap": "twice"}, "dst_gap"),
    ({"cron": "* * * * *", "job": {"tenant": "sample"}}, "job: unknown key"),
    ({"cron": "* * * * *", "coutn": 1}, "did you mean count"), ([], "a map"),
], ids=str)
def test_mistakes_are_said(stack, document, word):
    answer = stack.http.post(stack.dispatcher_url + "/v1/schedules/preview", json=document)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:sluice:problem:invalid")
    assert word in answer.json()["detail"]


def test_a_wrong_zone_is_said_once_beside_wrong_expressions(stack):
    answer = stack.http.post(stack.dispatcher_url + "/v1/schedules/preview",
                             json={"cron": ["@daily", "61 * * * *"], "exclude": ["@daily"], "timezone": "Europe/Bonn"})
    first, second = answer.json()["detail"].split("; ")
    assert first.startswith("timezone: ") and second.startswith("cron[1]: ")


@pytest.mark.parametrize("zone, since, local", [
    ("Europe/Berlin", "2026-03-29T00:30:00Z", ["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"]),
    ("Europe/Berlin", "2026-10-24T23:30:00Z", ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]),
    ("America/St_Johns", "2026-01-01T00:00:00Z", ["2025-12-31T21:00:00-03:30", "2025-12-31T22:00:00-03:30"]),
    ("Asia/Kathmandu", "2026-01-01T00:00:00Z", ["2026-01-01T06:00:00+05:45", "2026-01-01T07:00:00+05:45"]),
    ("UTC", "2026-01-01T00:30:00Z", ["2026-01-01T01:00:00+00:00", "2026-01-01T02:00:00+00:00"]),
    # Before standard time the offset had seconds (-0:01:15): it is cut to minutes, and the time with it.
    ("Europe/London", "1800-01-01T00:00:00Z", ["1800-01-01T00:00:15-00:01", "1800-01-01T01:00:15-00:01"]),
])
def test_the_same_instants_by_local_clocks(stack, zone, since, local):
    answer = ask(stack, "0 * * * *", timezone=zone, count=2, **{"from": since}).json()
    assert answer["local"] == local
    assert [at(text) for text in local] == [at(text) for text in answer["times"]]


def test_what_is_no_json_is_said(stack):
    answer = stack.http.post(stack.dispatcher_url + "/v1/schedules/preview", data=b'{"cron": "')
    assert answer.status_code == 400 and "line 1" in answer.json()["detail"]


def test_a_search_without_an_end_ends_and_says_where(stack):
    """Every second of many years is excluded: nobody else may wait for that."""
    many = [f"* {h} * * *" for h in range(24)] + [f"0 {n} * * *" for n in range(24)]
    answer = ask(stack, [f"{n} * * * * *" for n in range(52)], exclude=many, count=1000,
                 **{"from": "2026-01-01T00:00:00Z"}).json()
    assert answer["times"] == []
    assert "2026-01-01T00:00:00Z" < answer["looked_until"] < "2026-01-02T00:00:00Z"
    # Asked on from there, it comes to an end.
    asked, found, n = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}, [], 0
    while True:
        answer = ask(stack, "* * * * * *", exclude=["* 0-22 * * *", "* * 23 * * *"], count=10, **asked).json()
        found += answer["times"]
        if "looked_until" not in answer:
            break
        asked["from"] = answer["looked_until"]
        n += 1
        assert n < 20
    assert n > 1 and found == []


@pytest.mark.parametrize("scope", ["submit", "read", "admin"])
def test_any_key_may_ask(make_stack, scope):
    key = {"name": "k", "hash": "sha256:" + hashlib.sha256(b"token").hexdigest(), "scopes": [scope], "tenants": ["mine"]}
    stack = make_stack(lambda stack: config_of(stack, {"sample": {}}, keys=[key]), workers=0, ingresses=0)
    url = stack.dispatcher_url + "/v1/schedules/preview"
    assert stack.http.post(url, json={"cron": "@daily"}).status_code == 401
    assert stack.http.post(url, json={"cron": "@daily"}, headers={"Sluice-Key": "token"}).status_code == 200


def test_other_methods_mean_the_schedule_of_that_name(stack):
    url = stack.dispatcher_url + "/v1/schedules/preview"
    assert stack.http.post(stack.dispatcher_url + "/v1/schedules/previews", json={"cron": "@daily"}).status_code == 405
    assert stack.http.post(url, json={"cron": "@daily", "count": 1}).status_code == 200
