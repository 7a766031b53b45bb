# SPDX-License-Identifier: Apache-2.0
"""`sluice crontab check`: every mistake with its line, without a server."""
import json
import subprocess

import pytest

OK, USAGE, REFUSED = 0, 2, 3
GOOD = """# nightly
CRON_TZ=Europe/Berlin
15 2 29 2 *  sample POST /leap {"dry": true}
@yearly      sample GET  /new-year
"""
BAD = """CRON_TZ=Europe/Berln
61 6 * * *   sample GET /a
0 0 30 2 *   other  GET /b
PATH=/bin

@reboot      sample GET /c
0 0 * * *    sample GET
"""


@pytest.fixture
def check(bin_dir):
    def run(*words, code=OK, stdin=""):
        done = subprocess.run([bin_dir / "sluice", "crontab", *map(str, words)], input=stdin, text=True,
                              capture_output=True, timeout=20, check=False)
        assert done.returncode == code, done
        return done.stdout if code != USAGE else done.stderr
    return run


@pytest.fixture
def tab(tmp_path):
    def write(text, name="tab"):
        path = tmp_path / name
        path.write_text(text)
        return path
    return write


def lines_of(said, path):
    """The numbers of the lines that have mistakes."""
    assert all(line.startswith(f"{path}:") for line in said.splitlines()), said
    return [int(line[len(f"{path}:"):].split(":")[0]) for line in said.splitlines()]


def test_a_sound_crontab(check, tab):
    path = tab(GOOD)
    assert check("check", path) == f"{path}: ok, 2 entries\n"
    assert check("check", "-", stdin=GOOD) == "-: ok, 2 entries\n"
    assert check("check", path, "--next", 0) == f"{path}: ok, 2 entries\n"


def test_every_mistake_has_its_line(check, tab):
    path = tab(BAD)
    said = check("check", path, code=REFUSED)
    assert lines_of(said, path) == [1, 2, 3, 4, 6, 7], said
    assert "time zone" in said and '"61"' in said and "not PATH" in said
    document = json.loads(check("check", path, "--json", code=REFUSED))
    assert document == {"mistakes": said.splitlines(), "schedules": {}}


def test_tenants_of_a_configuration(check, tab):
    path = tab(BAD.replace("30 2", "1 2"))
    assert lines_of(check("check", path, code=REFUSED), path) == [1, 2, 4, 6, 7]
    # The configuration names the crontab itself: its mistakes are still said once.
    config = tab("tenants: {sample: {}}\ncrontabs: [tab]\n", "sluice.yaml")
    said = check("check", path, "--config", config, code=REFUSED)
    assert lines_of(said, path) == [1, 2, 3, 4, 6, 7] and "the tenant other is not configured" in said
    assert check("check", tab(GOOD), "--config", config).endswith("ok, 2 entries\n")
    said = check("check", tab(GOOD), "--config", tab("tenants: [", "sluice.yaml"), code=REFUSED)
    assert "sluice.yaml" in said and "not configured" not in said


def test_the_next_times(check, tab):
    path = tab(GOOD)
    names, *rows = check("check", path, "--next", 2).splitlines()
    assert names.split() == ["SCHEDULE", "TENANT", "NEXT", "LOCAL", "CRON", "TIMEZONE"]
    assert [row.split()[2][4:] for row in rows] == ["-02-29T01:15:00Z"] * 2 + ["-12-31T23:00:00Z"] * 2
    found = json.loads(check("check", path, "--next", 2, "--json"))["schedules"]
    assert [row.split()[3][4:] for row in rows] == ["-02-29T02:15:00+01:00"] * 2 + ["-01-01T00:00:00+01:00"] * 2
    for column, member in ((2, "next"), (3, "local")):
        assert [t for s in found.values() for t in s[member]] == [row.split()[column] for row in rows]
    assert {(s["cron"], s["tenant"]) for s in found.values()} == {("15 2 29 2 *", "sample"), ("@yearly", "sample")}


@pytest.mark.parametrize("words, says", [
    (("chek", "x"), '"check" only'), (("check",), "crontab check FILE"), (("check", "/nowhere/tab"), "No such file"),
    (("check", "-", "--next", "1001"), "at most 1000"), (("check", "-", "--next", "-1"), "from 0")])
def test_misused(check, words, says):
    assert says in check(*words, code=USAGE)
