# SPDX-License-Identifier: Apache-2.0
"""schedules.lua on a real Redis: what was put over HTTP is read from a revision on, in pages, deletions too."""
import pytest

from test_recovery import Recovery
from test_walk import store  # noqa: F401


class Scripts(Recovery):
    def __init__(self, port):
        super().__init__(port)
        self.redis.set("{sluice}:epoch", "e1")

    def say(self, *word, known=0, safe=None, most=500, epoch="e1"):
        """(revision, upto, from, said, {name: (revision, document)})"""
        row = self.raw("schedules", 4, "{sluice}:sd", "{sluice}:sr", "{sluice}:sx", "{sluice}:epoch", epoch,
                       *map(str, (known, known if safe is None else safe, most, *word)))
        if len(row) == 1:
            return row
        rows = {name: (int(revision), text) for name, revision, text in zip(row[6::3], row[7::3], row[8::3])}
        return int(row[0]), int(row[1]), int(row[2]), row[3], rows


@pytest.fixture
def scripts(store):  # noqa: F811
    return Scripts(store)


def test_each_change_is_read_from_a_revision_on(scripts):
    assert scripts.say() == (0, 0, 0, "", {})
    assert scripts.say("set", "a", 0, "A") == (1, 1, 0, "done", {"a": (1, "A")})
    assert scripts.say("set", "b", 0, "B", known=1) == (2, 2, 1, "done", {"b": (2, "B")})
    assert scripts.say("set", "b", 0, "B", known=2) == (2, 2, 2, "done", {})  # sent again
    assert scripts.say("set", "a", 1, "A2", known=2)[4] == {"a": (3, "A2")}
    assert scripts.say("del", "b", 2, known=3) == (4, 4, 3, "done", {"b": (4, "")})
    assert scripts.say("del", "b", 2, known=4) == (4, 4, 4, "done", {})
    assert scripts.say(known=1)[4] == {"a": (3, "A2"), "b": (4, "")}
    assert scripts.say()[4] == {"a": (3, "A2"), "b": (4, "")}  # who reads all hears of deletions, too


def test_nobody_puts_over_what_he_has_not_seen(scripts):
    scripts.say("set", "a", 0, "A")
    scripts.say("set", "a", 1, "B")
    assert scripts.say("set", "a", 1, "C")[3] == "raced"
    assert scripts.say("del", "a", 1)[3] == "raced"
    assert scripts.say()[4] == {"a": (2, "B")}


def test_pages_end_where_the_next_begins(scripts):
    for n in range(10):
        scripts.say("set", f"s{n}", 0, str(n))
    scripts.say("del", "s1", 2)
    revision, upto, _, _, rows = scripts.say(most=4)
    assert (revision, upto, sorted(rows)) == (11, 5, ["s0", "s2", "s3", "s4"])
    assert scripts.say(known=5, most=4)[1] == 9
    scripts.say("set", "s0", 1, "new")  # read already: comes again at the end
    scripts.say("del", "s2", 3)
    assert scripts.say(known=9, most=9)[4] == {"s9": (10, "9"), "s0": (12, "new"), "s1": (11, ""), "s2": (13, "")}


def test_large_documents_make_small_pages(scripts):
    for n in range(5):
        scripts.say("set", f"s{n}", 0, "x" * 3_000_000)
    assert scripts.say()[1] == 2
    assert sorted(scripts.say(known=2)[4]) == ["s2", "s3"]


def test_who_missed_a_deletion_reads_all_anew(scripts):
    scripts.say("set", "stays", 0, "A")
    for n in range(10010):
        name = f"s{n}"
        revision = scripts.say("set", name, 0, "x", known=10**9, most=1)[0]
        scripts.say("del", name, revision, known=revision)
    assert scripts.redis.zcard("{sluice}:sx") == 10000
    revision, _, came_from, _, rows = scripts.say(known=2)
    living = {name: row for name, row in rows.items() if row[1]}
    assert (came_from, living, len(rows)) == (0, {"stays": (1, "A")}, 10_001)
    assert scripts.say(known=1, safe=revision - 2)[2] == 1, "who began to read after them goes on"


def test_a_store_that_forgot_is_read_anew(scripts):
    scripts.say("set", "a", 0, "A")
    assert scripts.say(known=7)[2:] == (0, "", {"a": (1, "A")})


def test_another_epoch_is_not_taken_for_no_schedules(scripts):
    scripts.redis.delete("{sluice}:epoch")
    assert scripts.say("set", "a", 0, "A") == [-1]
    assert not scripts.redis.exists("{sluice}:sd")


def test_what_is_put_back_takes_nobodys_place(scripts):
    scripts.say("set", "a", 0, "A")
    scripts.say("set", "b", 0, "B")
    scripts.say("del", "b", 2)
    words = ("restore", "a", "old A", "b", "old B", "c", "old C")
    assert scripts.say(*words)[4] == {"a": (1, "A"), "b": (3, ""), "c": (4, "old C")}
    assert scripts.say(*words)[0] == 4  # sent again
    assert scripts.redis.hget("{sluice}:sd", ":restored") is None
    assert scripts.say("restored", "0")[0] == 5
    assert scripts.say("restored", "0")[0] == 5  # sent again
    assert scripts.redis.hget("{sluice}:sd", ":restored") == "5"
    assert scripts.say("restored", "5", known=5) == (6, 6, 5, "done", {})
