# SPDX-License-Identifier: Apache-2.0
"""clockwalk: the instants of a cron expression by brute force, to hold the dispatcher's to.

A fixed-time entry is asked of every reading that the wall clock could show, one after the other: does
it come, does it come twice, or was it jumped over? An interval entry is asked of every real minute (or
second): what does the clock show now? Zones are Python's zoneinfo. Nothing here is quick or shared
with common/cron/cron.c.
"""
import calendar
import re
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
WEEKDAYS = "SUN MON TUE WED THU FRI SAT".split()
NICKNAMES = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
             "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}
BOUNDS = {"second": (0, 59), "minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 6)}
UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def number(name, text):
    if name == "month" and text.upper() in MONTHS:
        return MONTHS.index(text.upper()) + 1
    if name == "weekday" and text.upper() in WEEKDAYS:
        return WEEKDAYS.index(text.upper())
    return int(text)


def values(name, item):
    """Of a list's item without letters, by counting on from its first value."""
    low, high = BOUNDS[name]
    body, _, step = item.partition("/")
    first, _, last = body.partition("-")
    if body == "*":
        start, end = low, high
    else:
        start = number(name, first)
        end = number(name, last) if last else high if step else start
    if name == "weekday":
        start, end = start % 7, end if end == 7 and start % 7 else end % 7
    found, at = [], start
    while True:
        found.append(low + (at - low) % (high - low + 1))
        if (at - low) % (high - low + 1) == (end - low) % (high - low + 1):
            break
        at += 1
    return found[::int(step or 1)]


def nearest_working_day(day, month_days, first):
    """Of all working days of the month the nearest one."""
    working = [d for d in range(1, month_days + 1) if (first + timedelta(d - 1)).isoweekday() < 6]
    return min(working, key=lambda d: abs(d - day))


def day_of_month_matches(item, day):
    length = calendar.monthrange(day.year, day.month)[1]
    letters = re.fullmatch(r"(?:(L)(?:-(\d+))?|(\d+))(W)?", item.upper())
    if letters is None or not (letters[1] or letters[4]):
        return day.day in values("day", item)
    wanted = length - int(letters[2] or 0) if letters[1] else int(letters[3])
    if not 1 <= wanted <= length:
        return False
    return day.day == (nearest_working_day(wanted, length, day.replace(day=1)) if letters[4] else wanted)


def weekday_matches(item, day):
    weekday = day.isoweekday() % 7
    if item.upper() == "L":
        return weekday == 6
    if "#" in item:
        name, _, nth = item.partition("#")
        return weekday == number("weekday", name) % 7 and (day.day - 1) // 7 + 1 == int(nth)
    if re.fullmatch(r"(?i)([0-7]|[A-Z]{3})L", item):
        return weekday == number("weekday", item[:-1]) % 7 and (day + timedelta(7)).month != day.month
    return weekday in values("weekday", item)


class Expression:
    def __init__(self, text):
        fields = NICKNAMES.get(text, text).split()
        self.has_seconds = len(fields) == 6
        names = list(BOUNDS)[6 - len(fields):]
        self.fields = dict(zip(names, fields))
        self.is_interval = any(self.fields[name].startswith("*") for name in ("minute", "hour"))
        self._days = {}
        self._sets = {name: {v for item in field.split(",") for v in values(name, item)}
                      for name, field in self.fields.items() if name not in ("day", "weekday")}
        self._sets.setdefault("second", {0})

    def matches_day(self, day):
        if day not in self._days:
            dom, dow = self.fields["day"].replace("?", "*"), self.fields["weekday"].replace("?", "*")
            by = (any(day_of_month_matches(item, day) for item in dom.split(",")),
                  any(weekday_matches(item, day) for item in dow.split(",")))
            both = dom.startswith("*") or dow.startswith("*")
            self._days[day] = day.month in self._sets["month"] and (all(by) if both else any(by))
        return self._days[day]

    def matches(self, wall):
        return (wall.hour in self._sets["hour"] and wall.minute in self._sets["minute"]
                and wall.second in self._sets["second"] and self.matches_day(wall.date()))

    @property
    def step(self):
        return timedelta(seconds=1 if self.has_seconds else 60)


def readings(expression, start, end):
    """Every reading of a clock, by step, on the days that match at all."""
    day = start.date()
    while day <= end.date():
        if expression.matches_day(day):
            at = datetime(day.year, day.month, day.day)
            while at.date() == day:
                yield at
                at += expression.step
        day += timedelta(1)


def end_of_gap(reading, zone):
    """The first instant behind the gap that the reading lies in."""
    behind = reading.replace(tzinfo=zone, fold=0).astimezone(UTC)
    before = reading.replace(second=0, tzinfo=zone, fold=1).astimezone(UTC)
    old = before.astimezone(zone).utcoffset()
    while before < behind and before.astimezone(zone).utcoffset() == old:
        before += timedelta(seconds=60)
    return before


def of_fixed(expression, zone, gap, overlap, start, end):
    day = timedelta(days=2)
    for reading in readings(expression, start.replace(tzinfo=None) - day, end.replace(tzinfo=None) + day):
        if not expression.matches(reading):
            continue
        first, second = (reading.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if first.astimezone(zone).replace(tzinfo=None) != reading:
            if gap == "run_after":
                yield end_of_gap(reading, zone)
            continue
        yield first
        if overlap == "twice":
            yield second


def of_interval(expression, zone, start, end):
    at = start.replace(second=0, microsecond=0)
    while at < end:
        if expression.matches(at.astimezone(zone).replace(tzinfo=None)):
            yield at
        at += expression.step


def of_every(text, anchor, start, end):
    span = timedelta(seconds=sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([dhms])", text)))
    at = anchor + (start - anchor) // span * span
    while at < end:
        yield at
        at += span


def instants(cron, zone, start, end, gap="run_after", overlap="once", anchor=EPOCH, exclude=()):
    """All with start < t < end, in order. cron: one expression or a list."""
    zone = ZoneInfo(zone)
    found = set()
    for text in [cron] if isinstance(cron, str) else cron:
        if text.startswith("@every"):
            found.update(of_every(text, anchor, start, end))
            continue
        expression = Expression(text)
        found.update(of_interval(expression, zone, start, end) if expression.is_interval
                     else of_fixed(expression, zone, gap, overlap, start, end))
    excluded = [Expression(text) for text in exclude]

    def is_excluded(at):
        wall = at.astimezone(zone).replace(tzinfo=None)
        return any(e.matches(wall if e.has_seconds else wall.replace(second=0)) for e in excluded)

    return sorted(t for t in found if start < t < end and not is_excluded(t))
