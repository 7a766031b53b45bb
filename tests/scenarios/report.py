# SPDX-License-Identifier: Apache-2.0
"""What a scenario found: figures, which are printed and never judged, and conditions, which hold or are broken."""
import statistics


class Report:
    def __init__(self, name):
        self.name = name
        self.figures = {}
        self.wanted = {}
        self.broken = []

    def figure(self, name, value, unit="", wanted=None):
        """wanted: ("<=", bound) or (">=", bound): what the figure should be. A figure never fails a run."""
        self.figures[name] = (float(value), unit)
        if wanted is not None:
            self.wanted[name] = wanted

    def must(self, holds, text):
        """A count, a limit or an order: never a time."""
        if not holds:
            self.broken.append(text)


def _as_wanted(value, wanted):
    return value <= wanted[1] if wanted[0] == "<=" else value >= wanted[1]


def _line(name, values, unit, wanted):
    middle = statistics.median(values)
    single = "  ".join(f"{v:10.3f}" for v in values) if len(values) > 1 else ""
    verdict = "" if wanted is None else f"  wanted {wanted[0]} {wanted[1]:g}: {'yes' if _as_wanted(middle, wanted) else 'NO'}"
    return f"  {name:44} {middle:10.3f} {unit:7}{verdict:24}{single}".rstrip()


def print_table(reports):
    """All runs of one scenario: the median first, then the single runs. Returns how many medians are not as wanted."""
    first = reports[0]
    missed = 0
    print(f"{first.name}: median of {len(reports)}" if len(reports) > 1 else first.name)
    for name, (_, unit) in first.figures.items():
        values = [r.figures[name][0] for r in reports if name in r.figures]
        wanted = first.wanted.get(name)
        missed += wanted is not None and not _as_wanted(statistics.median(values), wanted)
        print(_line(name, values, unit, wanted))
    for report in reports:
        for text in report.broken:
            print(f"  BROKEN: {text}")
    print(flush=True)
    return missed
