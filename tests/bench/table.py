# SPDX-License-Identifier: Apache-2.0
"""The rows that are wanted, with floor and goal, and whether a peer was as fast as it can be. A figure is judged, and
never fails."""

import statistics

from measures import (ALL_CPU, ASYNC, BACKLOG, BACKLOG_MEMORY, BACKLOGS, BROKER_CPU, D_ERRORS, D_S, HELD_ERRORS,
                      HELD_FRONT, HELD_S, HELD_WORKER, IDLE_CPU, IDLE_MEMORY, MANY, MANY_MEMORY, ONE_P50, ONE_P99,
                      OWN_CPU, SYNC, TENANTS)

# Figures of /work/shared/design/performance.md, measured on a quiet machine of this kind; (what, who): figure. Of a
# range it is the better end.
REFERENCE = {
    (ASYNC, "broker-classic"): 25100, (ASYNC, "broker-quorum"): 29400,
    (BROKER_CPU, "broker-classic"): 0.048, (BROKER_CPU, "broker-quorum"): 0.044,
    (ASYNC, "node-classic"): 5080, (SYNC, "node-classic"): 4520, (OWN_CPU, "node-classic"): 0.194,
    (ONE_P50, "node-classic"): 1.47, (ONE_P99, "node-classic"): 6.0,
    (ASYNC, "node-quorum"): 5060, (SYNC, "node-quorum"): 3930, (ONE_P50, "node-quorum"): 2.35,
    (ASYNC, "bullmq"): 4810, (OWN_CPU, "bullmq"): 0.248, (SYNC, "bullmq"): 2320, (ONE_P50, "bullmq"): 1.9,
    (ASYNC, "celery"): 470, (SYNC, "celery"): 270, (ONE_P50, "celery"): 3.6,
    (ONE_P50, "nginx"): 0.10, (HELD_FRONT, "nginx"): 9.7,
    (HELD_FRONT, "node-quorum"): 13, (HELD_WORKER, "node-quorum"): 19,
}
# Below this share of its figure, a peer was built or is run unfairly, and the row does not count.
FAIR = 0.85
LESS_IS_BETTER = {OWN_CPU, ALL_CPU, BROKER_CPU, ONE_P50, ONE_P99, IDLE_CPU, IDLE_MEMORY, HELD_FRONT, HELD_WORKER, HELD_S}
CPU = {OWN_CPU, ALL_CPU, BROKER_CPU}
# What does not become slower with the machine.
MEMORY = {HELD_FRONT, HELD_WORKER}


class Row:
    """A ratio (theirs given) or a figure of ours; floor and goal are at least, or with at_most at most."""

    def __init__(self, what, ours, theirs, floor, goal, at_most=False, text=None):
        self.what, self.ours, self.theirs = what, ours, theirs
        self.floor, self.goal, self.at_most = floor, goal, at_most
        self.text = text or f"{what}: {ours}" + (f" ÷ {theirs}" if theirs else "")

    def values(self, found):
        """One a round in which both were measured."""
        ours = found.get(self.what, {}).get(self.ours, {})
        if self.theirs is None:
            return list(ours.values())
        theirs = found.get(self.what, {}).get(self.theirs, {})
        return [ours[r] / theirs[r] for r in ours if theirs.get(r)]

    def verdict(self, middle):
        sign = -1 if self.at_most else 1
        if sign * middle >= sign * self.goal:
            return "goal"
        return "floor" if sign * middle >= sign * self.floor else "missed"


def _alike(what, floor, goal, at_most=False):
    """Like against like."""
    return [Row(what, f"sluice-{q}", f"node-{q}", floor, goal, at_most) for q in ("classic", "quorum")]


def _growth(what, counts, unit, floor, goal, at_most=False):
    least, *others = (f"{n} {unit}" for n in counts)
    return [Row(what, many, least, floor, goal, at_most) for many in others]


def rows():
    return [
        Row(ASYNC, "sluice-quorum", "node-classic", 2, 2.5),
        Row(ASYNC, "sluice-quorum", "bullmq", 2, 2.5),
        Row(ASYNC, "sluice-quorum", "celery", 20, 25),
        Row(ASYNC, "sluice-quorum", "broker-quorum", 0.38, 0.45),
        *_alike(SYNC, 2, 2.5),
        *_alike(ONE_P50, 0.6, 0.5, at_most=True),
        *_alike(ONE_P99, 0.6, 0.5, at_most=True),
        *_alike(OWN_CPU, 0.35, 0.2, at_most=True),
        *_alike(ALL_CPU, 0.6, 0.5, at_most=True),
        Row(HELD_ERRORS, "sluice-quorum", None, 0, 0, at_most=True),
        Row(HELD_FRONT, "sluice-quorum", "nginx", 1, 0.7, at_most=True),
        Row(HELD_WORKER, "sluice-quorum", None, 60, 30, at_most=True),
        Row(HELD_S, "sluice-quorum", "nginx", 1.1, 1.03, at_most=True),
        Row(D_S, "sluice-quorum", None, 101.5, 100.5, at_most=True),
        Row(D_ERRORS, "sluice-quorum", None, 0, 0, at_most=True),
        *_growth(BACKLOG, BACKLOGS, "waiting", 0.7, 0.9),
        # "Flat" is wanted of the memory; the bounds are our reading of it.
        *_growth(BACKLOG_MEMORY, BACKLOGS, "waiting", 1.1, 1.05, at_most=True),
        *_growth(MANY, TENANTS, "tenants", 0.6, 0.8),
        *_growth(MANY_MEMORY, TENANTS, "tenants", 1.1, 1.05, at_most=True),
        Row(IDLE_CPU, "sluice-quorum", None, 1, 0.3, at_most=True),
        Row(IDLE_MEMORY, "sluice-quorum", None, 40, 25, at_most=True),
    ]


def _median(found, what, name):
    values = found.get(what, {}).get(name, {})
    return statistics.median(values.values()) if values else None


def speed(found, what, name):
    """How fast this machine is now beside the reference's, by what is no work of ours: the broker alone for what all
    processes do together, its processor time for processor time (which suffers less where others use the machine), nginx
    for the wait of a lone caller. None: that was not measured."""
    if what in MEMORY:
        return 1
    if what in (ONE_P50, ONE_P99):
        yardstick = ONE_P50, "nginx"
    else:
        yardstick = (BROKER_CPU if what in CPU else ASYNC,
                     "broker-quorum" if name.endswith("quorum") else "broker-classic")
    now = _median(found, *yardstick)
    if not now:
        return None
    return REFERENCE[yardstick] / now if yardstick[0] in LESS_IS_BETTER else now / REFERENCE[yardstick]


def share(found, what, name):
    """What a peer reaches of its reference, were the machine as fast. None: unknown."""
    wanted, got, fast = REFERENCE.get((what, name)), _median(found, what, name), speed(found, what, name)
    if not (wanted and got and fast):
        return None
    return wanted / (got * fast) if what in LESS_IS_BETTER else got / (wanted * fast)


def _counts(found, row):
    if row.theirs is None or row.theirs.startswith("broker"):
        return ""
    part = share(found, row.what, row.theirs)
    if part is None:
        return ""
    return f"{part:.0%} of its reference" + ("" if part >= FAIR else ": does not count")


def show_rows(found):
    print(f"\n{'wanted':64} {'median':>8} {'min':>8} {'max':>8}   {'floor':>8} {'goal':>8}  reached  the peer")
    for row in rows():
        values = row.values(found)
        if not values:
            continue
        middle = statistics.median(values)
        sign = "≤" if row.at_most else "≥"
        print(f"{row.text:64} {middle:8.2f} {min(values):8.2f} {max(values):8.2f}   {sign + f'{row.floor:g}':>8} "
              f"{sign + f'{row.goal:g}':>8}  {row.verdict(middle):7}  {_counts(found, row)}".rstrip())


def show_figures(found):
    for what, by_name in found.items():
        print(f"\n{what:44} {'median':>10} {'min':>10} {'max':>10}   of its reference")
        for name, by_round in by_name.items():
            values = by_round.values()
            part = share(found, what, name)
            print(f"  {name:42} {statistics.median(values):10.3f} {min(values):10.3f} {max(values):10.3f}   "
                  + ("" if part is None else f"{part:.0%}"))
