# SPDX-License-Identifier: Apache-2.0
"""Schedules that were put over HTTP, and pauses, outlive a store that lost everything: a journal on disk, and a person's word."""
import subprocess
from signal import SIGKILL

import pytest

from harness import wait_until
from harness.load import config_of, together
from test_schedules_put import Schedules, every_second, yearly
from test_tenants import Registry, instance


def with_disk(stack):
    return config_of(stack, {"sample": {}}, {"filed": yearly(path="/filed")}, worker={"lease_s": 2},
                     dispatcher={"state_dir": str(stack.directory / "state"), "leader_lease_s": 3})


@pytest.fixture
def stack(make_stack):
    return make_stack(with_disk)


@pytest.fixture
def schedules(stack):
    return Schedules(stack)


def snapshot(stack, name="dispatcher"):
    return stack.http.get(stack[name].url + "/health", timeout=20).json()["snapshot"]


def kept(schedules=0, state="kept"):
    return {"tenants": 0, "instances": 0, "schedules": schedules, "state": state}


def restore(stack, query="", name="dispatcher"):
    answer = stack.http.post(stack[name].url + "/v1/registry/restore" + query, timeout=60)
    assert answer.status_code == 200, answer.text
    return {key: sorted(value) if isinstance(value, list) else value for key, value in answer.json().items()}


def restored(done, names=(), paused=()):
    return {"tenants": [], "instances": [], "draining": [], "removed": [], "paused": [], "schedules": sorted(names),
            "paused_schedules": sorted(paused), "done": done}


def forget(stack, expected, names=("dispatcher",)):
    stack.redis.flushall()
    for name in names:
        wait_until(lambda n=name: snapshot(stack, n) == expected, 20, f"{name} has seen the loss")


def journal(stack):
    return stack.directory / "state" / "schedules.journal"


def test_what_the_store_lost_is_put_back_by_a_persons_word(stack, schedules):
    documents = {"a": every_second("/a"), "b": yearly(), "c": yearly()}
    for name, document in documents.items():
        schedules.put(name, document)
    schedules.put("a", every_second("/a2"), status=200)
    schedules.delete("c")
    wait_until(lambda: stack.receipts(path="/a2"), 20, "it fires")
    assert snapshot(stack) == kept()
    lost = kept(2, "not restored")
    forget(stack, lost)
    stack.restart("dispatcher")
    wait_until(lambda: schedules.names() == ["filed"], 20, "nothing comes back by itself")
    assert snapshot(stack) == lost
    assert restore(stack, "?dry_run=1") == restored("nothing", "ab")
    assert snapshot(stack) == lost and not schedules.has("a")
    assert restore(stack) == restored("restored", "ab")
    assert snapshot(stack) == kept() and schedules.names() == ["a", "b", "filed"]
    fired = len(stack.receipts(path="/a2"))
    wait_until(lambda: len(stack.receipts(path="/a2")) > fired, 30, "it fires again")
    # What was put back is what a second loss takes.
    forget(stack, lost)
    assert restore(stack, "?discard=1") == restored("discarded", "ab")
    assert snapshot(stack) == kept() and schedules.names() == ["filed"]
    stack.restart("dispatcher")
    assert snapshot(stack) == kept()


def test_a_schedule_comes_back_with_its_tenant(stack, schedules):
    registry = Registry(stack)
    registry.put("mine", {"instances": [instance(stack)]}, status=201)
    schedules.put("a", every_second("/mine", tenant="mine"))
    wait_until(lambda: stack.receipts(path="/mine"), 20, "it fires")
    forget(stack, {**kept(1, "not restored"), "tenants": 1})
    assert restore(stack) == {**restored("restored", "a"), "tenants": ["mine"]}
    assert snapshot(stack) == kept()
    fired = len(stack.receipts(path="/mine"))
    wait_until(lambda: len(stack.receipts(path="/mine")) > fired, 40, "it fires again")


def test_what_was_put_or_deleted_since_the_loss_stands(stack, schedules):
    for name in "abc":
        schedules.put(name, yearly())
    forget(stack, kept(3, "not restored"))
    wait_until(lambda: schedules.ask("PUT", "/a", json=every_second("/new")).status_code == 201, 20)
    wait_until(lambda: schedules.ask("PUT", "/b", json=yearly()).status_code == 201, 20)
    schedules.delete("b")
    assert restore(stack, "?dry_run=1") == restored("nothing", "c")
    stack["dispatcher"].kill(SIGKILL)
    stack.start("dispatcher")
    assert snapshot(stack) == kept(1, "not restored")
    assert restore(stack) == restored("restored", "c")
    assert schedules.names() == ["a", "c", "filed"]
    assert schedules.get("a")["path"] == "/new"


def test_a_second_loss_before_the_word_adds_to_the_first(stack, schedules):
    for name in "ab":
        schedules.put(name, yearly())
    forget(stack, kept(2, "not restored"))
    wait_until(lambda: schedules.ask("PUT", "/a", json=yearly(path="/second")).status_code == 201, 20)
    wait_until(lambda: schedules.ask("PUT", "/d", json=yearly()).status_code == 201, 20)
    forget(stack, kept(3, "not restored"))
    stack.restart("dispatcher")
    assert restore(stack) == restored("restored", "abd")
    assert schedules.get("a")["path"] == "/second"


def test_a_pause_comes_back_with_its_schedule(stack, schedules):
    schedules.put("a", every_second("/a"))
    schedules.put("b", yearly())
    for name in ("a", "b", "filed"):
        schedules.ask("POST", f"/{name}/pause", 200, json={"note": f"note of {name}"})
    schedules.ask("POST", "/b/resume", 200)
    forget(stack, kept(2, "not restored"))
    wait_until(lambda: schedules.names() == ["filed"], 20)
    assert schedules.get("filed")["paused"] is None
    assert restore(stack) == restored("restored", "ab", ["a", "filed"])
    assert {n: (schedules.get(n)["paused"] or {}).get("note") for n in ("a", "b", "filed")} == {
        "a": "note of a", "b": None, "filed": "note of filed"}
    before = len(stack.receipts(path="/a"))
    schedules.put("witness", every_second("/witness"))
    wait_until(lambda: stack.receipts(path="/witness"), 30)
    assert len(stack.receipts(path="/a")) == before
    # A pause that a person took back since the loss stays taken back.
    forget(stack, kept(3, "not restored"))
    wait_until(lambda: schedules.ask("POST", "/filed/resume").status_code == 200, 20)
    assert restore(stack)["paused_schedules"] == ["a"]
    assert schedules.get("filed")["paused"] is None and schedules.get("a")["paused"]["note"] == "note of a"


def test_what_was_answered_is_on_disk(stack, schedules):
    """Killed right behind the answer, and the store empty when it comes back."""
    for turn in range(5):
        schedules.put(f"s{turn}", yearly())
        stack["dispatcher"].kill(SIGKILL)
        stack.redis.flushall()
        stack.start("dispatcher")
        wait_until(lambda n=turn + 1: snapshot(stack) == kept(n, "not restored"), 20)
        assert restore(stack) == restored("restored", [f"s{n}" for n in range(turn + 1)])
    schedules.delete("s0")
    stack["dispatcher"].kill(SIGKILL)
    stack.redis.flushall()
    stack.start("dispatcher")
    wait_until(lambda: snapshot(stack) == kept(4, "not restored"), 20, "what was deleted is not lost")


def test_a_torn_end_is_cut_and_an_unknown_file_moved_aside(stack, schedules):
    for name in "ab":
        schedules.put(name, yearly())
    stack["dispatcher"].kill(SIGKILL)
    with open(journal(stack), "ab") as file:
        file.write(b"\x40\0\0\0half a rec")
    stack.redis.flushall()
    stack.start("dispatcher")
    assert "journal_cut" in stack["dispatcher"].text()
    wait_until(lambda: snapshot(stack) == kept(2, "not restored"), 20)
    assert restore(stack, "?discard=1")["schedules"] == ["a", "b"]
    stack["dispatcher"].kill(SIGKILL)
    journal(stack).write_text("what is this")
    stack.start("dispatcher")
    assert "journal_unreadable" in stack["dispatcher"].text()
    assert journal(stack).with_name("schedules.journal.unreadable").read_text() == "what is this"
    schedules.put("c", yearly())
    forget(stack, kept(1, "not restored"))


def test_a_full_disk_is_said_and_written_later(stack, schedules):
    stack["dispatcher"].stop()
    state = stack.directory / "state"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", state], check=False).returncode != 0:
        pytest.skip("only root mounts a small disk")
    try:
        stack.start("dispatcher")
        full = state / "full"
        with pytest.raises(OSError):
            full.write_bytes(b"x" * 65536)
        names = [f"s{n}" for n in range(20)]  # more than the page that the file has already
        for name in names:
            schedules.put(name, yearly(path="/" + "p" * 500))
        assert snapshot(stack) == kept(0, "not written")
        assert "snapshot_failed" in stack["dispatcher"].text()
        full.unlink()
        wait_until(lambda: snapshot(stack) == kept(), 30, "there is room again")
        stack["dispatcher"].kill(SIGKILL)
        stack.redis.flushall()
        stack.start("dispatcher")
        wait_until(lambda: snapshot(stack) == kept(20, "not restored"), 20)
        assert restore(stack) == restored("restored", names)
    finally:
        stack["dispatcher"].stop()
        subprocess.run(["umount", "-l", state], check=True)


def second_dispatcher(stack):
    """With a folder of its own."""
    process = stack._daemon("dispatcher", 2)  # pylint: disable=protected-access
    process.env["SLUICE_CFG_DISPATCHER_STATE_DIR"] = str(stack.directory / "state-2")
    return process.start()


def test_one_word_is_for_all_dispatchers(stack, schedules):
    second = second_dispatcher(stack)
    both = ("dispatcher", "dispatcher-2")
    schedules.put("a", yearly())
    other = Schedules(stack, "dispatcher-2")
    wait_until(lambda: other.has("a"), 20, "the other has read it")
    other.put("b", yearly())
    wait_until(lambda: schedules.has("b"), 20)
    forget(stack, kept(2, "not restored"), both)
    assert restore(stack, name="dispatcher-2") == restored("restored", "ab")
    for name in both:
        wait_until(lambda n=name: snapshot(stack, n) == kept(), 20, f"{name} has heard the word")
    assert schedules.names() == ["a", "b", "filed"]
    # One that was down during loss and word hears it when it comes back.
    second.kill(SIGKILL)
    forget(stack, kept(2, "not restored"))
    assert restore(stack, "?discard=1")["schedules"] == ["a", "b"]
    second.start()
    wait_until(lambda: snapshot(stack, "dispatcher-2") == kept(), 20, "it has heard the word")
    assert other.names() == ["filed"]


def test_a_folder_belongs_to_one_dispatcher(stack):
    second = stack._daemon("dispatcher", 2)  # pylint: disable=protected-access
    second.start(wait=False)
    wait_until(lambda: not second.is_running, 20, "it does not start")
    assert "another process has it" in second.text()
    del stack.processes["dispatcher-2"]  # that it has ended is well


def test_ten_thousand_come_back(stack, schedules):
    names = [f"s{n:05d}" for n in range(10000)]
    together(16, lambda name: schedules.put(name, yearly()), names)
    forget(stack, kept(10000, "not restored"))
    stack.restart("dispatcher")
    assert len(restore(stack)["schedules"]) == 10000
    assert snapshot(stack) == kept()
    assert stack.redis.zcard("{sluice}:sr") == 10000
    stack.restart("dispatcher")
    assert snapshot(stack) == kept()


def test_the_journal_does_not_grow_for_ever(stack, schedules):
    """The same few schedules, replaced again and again."""
    text = "x" * 100000
    for n in range(80):
        schedules.ask("PUT", f"/s{n % 2}", json={**yearly(), "job": {"tenant": "sample", "request": {
            "path": "/big", "body": f"{n}{text}"}}})
    assert journal(stack).stat().st_size < 80 * 100000 * 0.7
    forget(stack, kept(2, "not restored"))
    assert restore(stack)["schedules"] == ["s0", "s1"]
    assert stack.redis.hget("{sluice}:sd", "s1").count("79xxx") == 1


def journalled_pause(stack, name):
    """Whether the last that the first dispatcher's journal says of the schedule's pause is that there is one."""
    data = (stack.directory / "state-dispatcher" / "schedules.journal").read_bytes()
    field = b"p " + name.encode()
    last = data.rfind(field)
    return last >= 0 and data[last - 11:last - 10] == b"S"


@pytest.mark.timeout_s(180)
def test_pauses_that_others_said_are_kept_too(make_stack):
    """Another dispatcher's, and one after a failure, that nobody showed here; and what another took back."""
    stack = make_stack(lambda s: config_of(s, {"sample": {}}, {}, worker={"lease_s": 2}, dispatcher={"leader_lease_s": 3}), dispatchers=2)
    stack["dispatcher"].env["SLUICE_CFG_DISPATCHER_STATE_DIR"] = str(stack.directory / "state-dispatcher")
    stack.restart("dispatcher")
    schedules, other = Schedules(stack), Schedules(stack, "dispatcher-2")
    for name in ("mine", "theirs", "both"):
        other.put(name, yearly())
    other.put("fails", {**every_second("/fails?status=404"), "pause_on_failure": True})
    wait_until(lambda: schedules.names() == ["both", "fails", "mine", "theirs"], 20)
    schedules.ask("POST", "/mine/pause", 200, json={"note": "mine"})
    schedules.ask("POST", "/both/pause", 200, json={"note": "both"})
    other.ask("POST", "/theirs/pause", 200, json={"note": "theirs"})
    other.ask("POST", "/both/resume", 200)
    wait_until(lambda: other.get("fails")["paused"], 30, "paused by its failure")
    wait_until(lambda: [journalled_pause(stack, n) for n in ("mine", "theirs", "both", "fails")] == [True, True, False, True],
               60, "the journal has heard of it")
    stack.redis.flushall()
    wait_until(lambda: snapshot(stack)["schedules"] == 4, 20, "the loss is seen")
    # With nothing in the store its pauses are lost, not taken back.
    assert restore(stack) == restored("restored", ["both", "fails", "mine", "theirs"], ["fails", "mine", "theirs"])
    assert {n: (schedules.get(n)["paused"] or {}).get("by") for n in ("both", "fails", "mine", "theirs")} == {
        "both": None, "fails": "failure", "mine": "operator", "theirs": "operator"}


def test_a_pause_that_the_store_forgot_is_not_taken_for_one_taken_back(stack, schedules):
    """It came back with the same epoch, but older: a fail-over, a backup that was put back."""
    schedules.put("a", yearly())
    schedules.ask("POST", "/a/pause", 200, json={"note": "not now"})
    stack.redis.hdel("{sample}:c", "a:paused")
    stack.kill("redis")
    stack.start("redis")
    wait_until(lambda: snapshot(stack) == kept(0, "not restored"), 40, "it is missed")
    assert schedules.get("a")["paused"] is None
    assert restore(stack) == restored("restored", (), ["a"])
    assert schedules.get("a")["paused"]["note"] == "not now" and snapshot(stack) == kept()
