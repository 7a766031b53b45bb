# SPDX-License-Identifier: Apache-2.0
"""The scripts of the registry at run time on a real Redis: overlay.lua (what was said over HTTP, with its revision), register.lua
and govern.lua (an older revision is refused; paused, draining), and what claims and the sweep make of it."""
import pytest

from test_recovery import Recovery
from test_walk import store  # noqa: F401

TWO = "a\thttp://a\t2\nb\thttp://b\t2\n"


class Registry(Recovery):
    def __init__(self, port):
        super().__init__(port)
        self.redis.set("{sluice}:epoch", "e1")

    def overlay(self, *words, known="", epoch="e1"):
        """(changed, revision, fields)"""
        row = self.raw("overlay", 2, "{sluice}:put", "{sluice}:epoch", known, epoch, *map(str, words))
        if len(row) == 1:
            return row
        fields = dict(zip(row[3::2], row[4::2]))
        fields.pop(":rev", None)
        return row[0], row[1], fields

    def govern(self, revision, paused="", drain="", up=""):
        more = ["up", up] if up else []
        return self("govern", "rv", revision, "paused", paused, "drain", drain, *more)

    def register(self, revision, instances=TWO, limit=4):
        return self("register", "{}", instances, limit, "rv", revision)


@pytest.fixture
def scripts(store):  # noqa: F811
    return Registry(store)


def test_each_change_has_a_revision_and_sent_again_it_is_none(scripts):
    assert scripts.overlay() == (0, 0, {})
    assert scripts.overlay("set", "t erp", "{}") == (1, 1, {"t erp": "{}"})
    assert scripts.overlay("set", "t erp", "{}") == (0, 1, {"t erp": "{}"})
    assert scripts.overlay("nx", "t erp", "[]", "set", "i erp a", "A")[:2] == (1, 2)
    assert scripts.overlay(known="2") == (0, 2, {})  # no newer: not given again
    assert scripts.overlay(known="1")[2] == {"t erp": "{}", "i erp a": "A"}
    assert scripts.overlay("atleast", "", 7)[1] == 7
    assert scripts.overlay("atleast", "", 3)[1] == 7


def test_another_epoch_is_not_taken_for_an_empty_overlay(scripts):
    scripts.overlay("set", "t erp", "{}")
    scripts.redis.delete("{sluice}:epoch", "{sluice}:put")
    assert scripts.overlay() == [-1]
    assert scripts.overlay("set", "t erp", "{}") == [-1]


def test_what_is_said_of_a_tenant_is_dropped_with_it(scripts):
    scripts.overlay("set", "t erp", "{}", "set", "i erp a", "A", "set", "p erp", "n", "set", "t erp-2", "{}", "ttl", "erp a", 9999)
    assert scripts.overlay("drop", "erp", "")[2] == {"t erp-2": "{}"}


def test_an_instance_lapses_only_when_its_time_is_over(scripts):
    scripts.overlay("set", "i t a", "A", "ttl", "t a", 60000)
    assert scripts.overlay("lapse", "t a", "")[0] == 0
    assert "d t a" not in scripts.overlay()[2]
    scripts.redis.hset("{sluice}:put", "e t a", 1)
    assert scripts.overlay("lapse", "t a", "")[2]["d t a"] == "ttl"
    # Put again meanwhile: it stays.
    scripts.overlay("set", "i t a", "A", "del", "d t a", "", "ttl", "t a", 60000)
    assert scripts.overlay("gone", "t a", "")[0] == 0
    scripts.redis.hset("{sluice}:put", "e t a", 1)
    scripts.overlay("lapse", "t a", "")
    assert scripts.overlay("gone", "t a", "")[2] == {}


def test_a_refresh_is_no_change(scripts):
    revision = scripts.overlay("set", "i t a", "A", "ttl", "t a", 1000)[1]
    assert scripts.overlay("set", "i t a", "A", "ttl", "t a", 60000)[:2] == (0, revision)


def test_the_newest_word_stands(scripts):
    assert scripts.register(5) == [1]
    assert scripts.register(4, "b\thttp://b\t1\n") == [-2, 5]
    assert scripts.govern(4, paused="late") == [-2, 5]
    assert scripts("register", "", "", 0, "rv", 4) == [-2, 5]
    row = scripts.redis.hgetall("{t}:t")
    assert row["il"] == TWO and "paused" not in row
    assert scripts.register(5) == [0] and scripts.govern(5, paused="now") == [1]
    assert scripts.govern(5, paused="now") == [0]


def test_a_removed_tenant_does_not_come_back_by_an_older_word(scripts):
    scripts.register(5)
    assert scripts("register", "", "", 0, "rv", 6) == [1]
    assert scripts.register(5) == [-2, 6]
    assert scripts.redis.hget("{t}:t", "il") is None


def test_what_drains_gets_no_claim(scripts):
    scripts.register(1)
    scripts.govern(1, drain="a\n")
    for name in ("j", "k"):
        scripts.queued(name)
        assert scripts.claim(name, token=name)[2] == "b"
    scripts.queued("l")
    assert scripts.claim("l")[0] == "wait"
    scripts.govern(2)
    assert scripts.claim("l")[2] == "a"


def test_who_waits_is_woken_by_whatever_may_let_it_go(scripts):
    scripts.register(1)
    scripts.govern(1, paused="n")
    scripts.queued("j")
    assert scripts.claim("j")[:2] == ["wait", "paused"]
    listener = scripts.redis.pubsub()
    listener.subscribe("cw")
    listener.get_message(timeout=5)
    scripts.govern(2, paused="another note")
    assert listener.get_message(timeout=0.2) is None, "still paused"
    scripts.govern(3)
    assert listener.get_message(timeout=5)["data"] == "slot t"
    assert scripts.claim("j")[0] == "go"


def test_a_new_instance_is_taken_for_healthy(scripts):
    scripts.register(1)
    scripts("health", "a", "0", "b", "0")
    scripts.govern(2, up="b")
    scripts.queued("j")
    assert scripts.claim("j")[2] == "b"


def test_overdue_jobs_of_a_paused_tenant_expire(scripts):
    scripts.register(1)
    scripts.govern(1, paused="n")
    scripts("accept", "j", "", "fp", "normal", "async", 0, 60000, 0, "", 30000, 0)
    scripts("mark", 3600000, "j")
    scripts.age("j")
    assert scripts.sweep()["ended"] == 1
    scripts.expect("j", "expired")


def test_a_tenant_with_unended_jobs_is_not_removed(scripts):
    scripts.register(1)
    scripts.queued("j")
    assert scripts("register", "", "", 0, "rv", 2) == [-1]
    assert scripts.claim("j")[0] == "go"


def test_nothing_is_said_of_a_tenant_that_has_left_meanwhile(scripts):
    scripts.overlay("set", "t erp", "{}")
    scripts.overlay("drop", "erp", "")
    assert scripts.overlay("only", "t erp", "", "set", "i erp ghost", "A", "set", "p erp", "n")[2] == {}
    scripts.overlay("set", "t erp", "{}")
    assert "i erp a" in scripts.overlay("only", "t erp", "", "set", "i erp a", "A")[2]


def test_a_drained_instance_that_is_not_refreshed_leaves_too(scripts):
    scripts.overlay("set", "i t a", "A", "ttl", "t a", 1, "set", "d t a", "hand")
    scripts.redis.hset("{sluice}:put", "e t a", 1)
    assert scripts.overlay("lapse", "t a", "")[2]["d t a"] == "ttl"
    assert scripts.overlay("lapse", "t a", "")[0] == 0, "said again it changes nothing"
    assert scripts.overlay("gone", "t a", "")[2] == {}


def test_a_late_word_does_not_turn_the_index_back(scripts):
    """Who has seen the older version once would take it for what it has."""
    def index(version, revision):
        return scripts.raw("index", 2, "{sluice}:tenants", "{sluice}:revisions", "", "erp", version, revision)

    def stands():
        return scripts.redis.hget("{sluice}:tenants", "erp")

    assert index("three", 3) == [1] and index("four", 4) == [1]
    assert index("three", 3) == [0] and stands() == "four.4", "the later word"
    assert index("", 3) == [0] and index("four", 5) == [1] and stands() == "four.4", "unchanged, nobody need read it again"
    assert index("three", 6) == [1] and index("four", 7) == [1] and stands() == "four.7", "back again, it is another"
    assert index("", 8) == [1] and stands() is None
    assert index("again", 9) == [1]
