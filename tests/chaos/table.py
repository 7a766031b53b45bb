#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of crash points in docs/protocol.md, made from points.yaml. Without --write: exits 1 when the page says something
else, a row has no test, a named test or seam does not exist, or a seam in the code is in no row."""
import ast
import re
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs/protocol.md"
BEGIN = "<!-- made from tests/chaos/points.yaml by tests/chaos/table.py --write -->"
END = "<!-- end of the table -->"
SOURCES = ("common", "ingress", "workers", "dispatcher")


def functions_of(path):
    """[(name, row or None)] of a test file's functions."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        rows = [call.args[0].value for call in node.decorator_list
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "point"]
        found += [(node.name, row) for row in rows] or [(node.name, None)]
    return found


def tests_by_row():
    found = {}
    for path in sorted(HERE.glob("test_*.py")):
        for name, row in functions_of(path):
            if row:
                found.setdefault(row, []).append(f"{path.relative_to(ROOT)}::{name}")
    return found


def seams_in_code():
    found = set()
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.c"):
            found |= set(re.findall(r"\bFAULT(?:_HERE)?\((\w+)\)", path.read_text()))
    return found


def table(rows, tests):
    lines = ["| process | instant | must hold afterwards | test |", "| --- | --- | --- | --- |"]
    for row in rows:
        named = [f"`{Path(t.partition('::')[0]).name}::{t.partition('::')[2]}`" for t in row["tests"]]
        lines.append(f"| {row['process']} | {row['instant']} | {row['holds']} | {', '.join(named)} |")
    return "\n".join(lines)


def mistakes(rows):
    known = {f"{path.relative_to(ROOT)}::{name}" for folder in ("integration", "chaos")
             for path in (ROOT / "tests" / folder).glob("test_*.py") for name, _ in functions_of(path)}
    names = [row["name"] for row in rows]
    found = [f"twice: {name}" for name in sorted({n for n in names if names.count(n) > 1})]
    found += [f"{row['name']}: no test" for row in rows if not row["tests"]]
    found += [f"{row['name']}: there is no {test}" for row in rows for test in row["tests"] if test not in known]
    found += [f"@point of no row: {row}" for row in tests_by_row() if row not in names]
    armed = {entry.split(":")[0] for row in rows for entry in row.get("seam", "").split(",") if entry}
    there = seams_in_code()
    found += [f"seam in no code: {name}" for name in sorted(armed - there)]
    found += [f"seam in no row: {name}" for name in sorted(there - armed)]
    return found


def main():
    rows = yaml.safe_load((HERE / "points.yaml").read_text())
    tests = tests_by_row()
    for row in rows:
        row["tests"] = row.get("test", []) + tests.get(row["name"], [])
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = f"{before}{BEGIN}\n{table(rows, tests)}\n{END}{after}"
    if "--write" in sys.argv:
        PAGE.write_text(made)
        return 0
    found = mistakes(rows) + ([] if made == page else ["docs/protocol.md: run tests/chaos/table.py --write"])
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
