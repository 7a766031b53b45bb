# SPDX-License-Identifier: Apache-2.0
"""The checker of a chaos run. Pure: a history in, a list of violations out; see check().

A history is a dict:
  answers    one a request: what load.py logged at its sending and its answer, merged
  receipts   the tenants' ledger
  records    {job's id: the fields of its record in Redis, "ttl_ms": -1 if it stays}
  results    {job's id: {"status", "sha", "text"}}, the stored answers
  state      {tenant: {"t": counters, "s": slots, "u", "w", "h", "o": names, "b": {name: bytes},
             "k": {key: [name, ttl_ms]}, "dead": [workers]}}
  queues     {queue: (ready, unacknowledged)};   shelf_copies  {tenant: [job's ids in its shelf queue]}
  leases     {worker: counter or "dead"};  workers  how many live
  policies   {tenant: "hold" | "retry"};  limits {tenant: {"tenant": n, "instance": n, "customer": n: calls at a time,
             "rate": [calls, ms, burst]}}, each may be absent
  rests      [[tenant or instance, from ms, to ms]]: a tenant that was paused, an instance that was drained
  schedules  {name: {"tenant", "step_ms", "cursor_ms"}}
  kills      [(port of an ingress, from ms, to ms)]: when it was killed, or stopped in order

A rule is a function of Seen that yields violations; each has the name of what it proves.
"""
import re
from collections import Counter, defaultdict
from datetime import datetime
from types import SimpleNamespace

FINAL = ("succeeded", "failed", "expired", "canceled")
# What every answer of Sluice's own may be, by what was asked. The tenant's own (404, 503) come without.
PROBLEMS = {503: {"unavailable", "overloaded", "queue_full", "outcome_unknown", "draining"},
            502: {"tenant_unreachable", "call_in_doubt"}, 504: {"sync_timeout"},
            409: {"key_in_progress", "expired", "canceled", "not_cancelable"}}
# A 503 of another type promises that the job did not run and never will.
UNKNOWN = ("outcome_unknown", "draining")
# Of an attempt that provably never left (common/httpc/httpc.c).
UNSENT = ("not_sent", "connect_refused", "connect_timeout", "resolve_failed")
RULES = []
# A dead worker's slot is free so long after its claim at the earliest: the tenants' total_s.
SLOT_MS = 5000
# Redis's clock and the tenants' are one machine's; both round to milliseconds.
CLOCK_MS = 3


def rule(function):
    RULES.append(function)
    return function


def violation(name, what, **evidence):
    return {"rule": name, "what": what, **evidence}


class Seen:
    """A history, with what several rules look up."""

    def __init__(self, history):
        self.__dict__.update(history)
        # A dispatcher that looks whether an instance is back sends HEAD / of no job.
        self.strays = [r for r in self.receipts if r["job"] is None and (r["method"], r["path"]) != ("HEAD", "/")]
        self.receipts = [r for r in self.receipts if r["job"] is not None]
        self.receipts_of = defaultdict(list)
        self.receipts_by_nonce = defaultdict(list)
        for receipt in self.receipts:
            self.receipts_of[receipt["job"]].append(receipt)
            self.receipts_by_nonce[nonce_in(receipt["path"])].append(receipt)
        for found in self.receipts_of.values():
            found.sort(key=lambda r: (r["attempt"], r["time"]))
        self.answers_by_nonce = defaultdict(list)
        for answer in self.answers:
            self.answers_by_nonce[nonce_in(answer["path"])].append(answer)
        self.cancels = {a["what"].split()[1] for a in self.answers if a["what"].startswith("cancel")}
        self.with_deadline = {a.get("job") for a in self.answers if a["ttl"]}
        self.sync_only = self._sync_only()

    def _sync_only(self):
        """Jobs that nobody was ever given a 202 for: their callers' deadlines may end them."""
        given = {a.get("job") for a in self.answers if a.get("status") == 202}
        return {a.get("job") for a in self.answers} - given

    def submits(self):
        return [a for a in self.answers if a["what"] == "submit"]

    def policy(self, job):
        return self.policies[job.partition(".")[0]]

    def evidence(self, job):
        """All that is known of a job."""
        return {"job": job, "record": self.records.get(job), "receipts": self.receipts_of.get(job, []),
                "answers": [a for a in self.answers if a.get("job") == job]}


def nonce_in(path):
    found = re.match(r"/w/([^?]*)", path or "")
    return found.group(1) if found else path


def rows_of(record):
    """{attempt: its row}: instance, start, end, status, error."""
    found = {}
    for field, value in record.items():
        if re.fullmatch(r"a\d+", field):
            instance, start, end, status, error = (value.split("\t") + [""] * 5)[:5]
            found[int(field[1:])] = SimpleNamespace(instance=instance, start=int(start), end=int(end), status=status,
                                                    error=error)
    return found


# --- nothing lost ---


@rule
def accepted_is_kept(seen):
    """Every 202 has a record; it ended, or it waits for a person; nothing but what was asked for ended it."""
    for answer in seen.submits():
        if answer.get("status") != 202:
            continue
        job = answer.get("job")
        record = seen.records.get(job)
        if answer.get("id_said") != job:
            yield violation("accepted_is_kept", "the 202's body and header name two jobs", answer=answer)
        if record is None:
            yield violation("accepted_is_kept", "a 202 without a record", **seen.evidence(job))
        elif record["st"] == "canceled" and job not in seen.cancels:
            yield violation("accepted_is_kept", f"a 202 was canceled ({record.get('er')})", **seen.evidence(job))
        elif record["st"] == "expired" and job not in seen.with_deadline:
            yield violation("accepted_is_kept", "a 202 without a deadline expired", **seen.evidence(job))


@rule
def every_job_ended(seen):
    for job, record in seen.records.items():
        if record["st"] not in FINAL and record["st"] != "in_doubt":
            yield violation("every_job_ended", f"still {record['st']}", **seen.evidence(job))
        elif record["st"] == "in_doubt" and seen.policy(job) == "retry" and record.get("ex", "0") == "0":
            # (Past its deadline nothing is sent again: "deadline passed, an attempt in doubt: in_doubt, shelve".)
            yield violation("every_job_ended", f"in doubt ({record.get('er')}) where the policy is retry",
                            **seen.evidence(job))


@rule
def success_has_a_receipt(seen):
    for job, record in seen.records.items():
        if record["st"] == "succeeded" and not seen.receipts_of.get(job):
            yield violation("success_has_a_receipt", "the tenant never saw it", **seen.evidence(job))


@rule
def receipts_have_records(seen):
    for receipt in seen.strays:
        yield violation("receipts_have_records", "a receipt without a job", receipt=receipt)
    for job, receipts in seen.receipts_of.items():
        record = seen.records.get(job)
        if record is None:
            yield violation("receipts_have_records", "a receipt of a job without a record", **seen.evidence(job))
        elif record["st"] in ("expired", "canceled") and (record["st"] == "canceled" and job not in seen.cancels
                                                          or record["st"] == "expired"):
            yield violation("receipts_have_records", f"{record['st']}, and sent", **seen.evidence(job))
        elif max(r["attempt"] for r in receipts) > int(record["n"]):
            yield violation("receipts_have_records", "an attempt that the record does not know", **seen.evidence(job))


# --- nothing done twice ---


@rule
def an_attempt_is_sent_once(seen):
    for job, receipts in seen.receipts_of.items():
        for attempt, count in Counter(r["attempt"] for r in receipts).items():
            if count > 1:
                yield violation("an_attempt_is_sent_once", f"attempt {attempt} was received {count} times",
                                **seen.evidence(job))


@rule
def no_silent_repeat(seen):
    """Under hold an attempt is followed by another only when it was answered."""
    for job, receipts in seen.receipts_of.items():
        if seen.policy(job) != "hold" or job not in seen.records:
            continue
        rows = rows_of(seen.records[job])
        for receipt in receipts[:-1]:
            row = rows.get(receipt["attempt"])
            if row is None or row.status == "":
                yield violation("no_silent_repeat", f"attempt {receipt['attempt']} was in doubt, and another was sent",
                                **seen.evidence(job))


@rule
def one_attempt_at_a_time(seen):
    """An attempt is received after its own claim, after the end of those before, and before its own end."""
    for job, receipts in seen.receipts_of.items():
        rows = rows_of(seen.records.get(job, {}))
        for receipt in receipts:
            row = rows.get(receipt["attempt"])
            if row is None:
                continue
            if receipt["time"] < row.start - CLOCK_MS:
                yield violation("one_attempt_at_a_time", f"attempt {receipt['attempt']} was received before its claim",
                                **seen.evidence(job))
            if receipt["time"] > row.end + CLOCK_MS:
                yield violation("one_attempt_at_a_time", f"attempt {receipt['attempt']} was received after its end",
                                **seen.evidence(job))
            for n, other in rows.items():
                if n < receipt["attempt"] and receipt["time"] < other.end - CLOCK_MS:
                    yield violation("one_attempt_at_a_time",
                                    f"attempt {receipt['attempt']} was received before the end of {n}",
                                    **seen.evidence(job))


def lines_of(seen):
    """{(tenant, ordering key): [(begin, end, job)]} of what was begun, by begin."""
    found = defaultdict(list)
    for job, record in seen.records.items():
        rows = rows_of(record)
        if record.get("ok") and rows:
            found[job.partition(".")[0], record["ok"]].append(
                (min(r.start for r in rows.values()), max(r.end for r in rows.values()), job))
    return {line: sorted(jobs) for line, jobs in found.items()}


@rule
def jobs_of_a_line_do_not_overlap(seen):
    """The next of an ordering key begins when the one before it has ended, with all its attempts."""
    for (tenant, ok), jobs in lines_of(seen).items():
        for before, after in zip(jobs, jobs[1:]):
            if after[0] < before[1] - CLOCK_MS:
                yield violation("jobs_of_a_line_do_not_overlap", f"two jobs of {tenant}'s {ok!r} at a time",
                                jobs=[seen.evidence(before[2]), seen.evidence(after[2])])


@rule
def a_line_keeps_its_order(seen):
    """What was sent after another of its key had its 202 begins after it; what is delayed has its place when it is due."""
    given = {a.get("job"): a for a in seen.submits() if a.get("status") == 202 and a["kind"] != "delayed"}
    for (tenant, ok), jobs in lines_of(seen).items():
        last_sent = None  # of those that began before: whoever was sent last
        for begin, _, job in jobs:
            answer = given.get(job)
            if answer is None:
                continue
            if last_sent is not None and answer["answered"] < last_sent["at"]:
                yield violation("a_line_keeps_its_order", f"a job of {tenant}'s {ok!r} was overtaken",
                                jobs=[seen.evidence(job), seen.evidence(last_sent["job"])])
            if last_sent is None or answer["at"] > last_sent["at"]:
                last_sent = answer


@rule
def what_was_not_sent_never_arrived(seen):
    """An attempt whose record says that it never left has no receipt: it is sent again under any policy."""
    for job, receipts in seen.receipts_of.items():
        rows = rows_of(seen.records.get(job, {}))
        for receipt in receipts:
            row = rows.get(receipt["attempt"])
            if row is not None and row.error in UNSENT:
                yield violation("what_was_not_sent_never_arrived", f"attempt {receipt['attempt']} was {row.error}",
                                **seen.evidence(job))


@rule
def one_key_one_job(seen):
    jobs = defaultdict(set)
    for receipt in seen.receipts:
        jobs[receipt["job"].partition(".")[0], receipt["key"]].add(receipt["job"])
    for (tenant, key), found in jobs.items():
        if len(found) > 1:
            yield violation("one_key_one_job", f"{len(found)} jobs of key {key} at {tenant} were sent",
                            jobs=[seen.evidence(j) for j in sorted(found)])


@rule
def the_right_request(seen):
    """What a tenant received under a job's id is what that job's caller sent."""
    for job, receipts in seen.receipts_of.items():
        if len({(r["method"], r["path"], r["query"], r["body_bytes"], r["key"]) for r in receipts}) > 1:
            yield violation("the_right_request", "the attempts of a job differ", **seen.evidence(job))
    for answer in seen.submits():
        for receipt in seen.receipts_of.get(answer.get("job"), []):
            path = receipt["path"] + ("?" + receipt["query"] if receipt["query"] else "")
            if path != answer["path"] or receipt["body_bytes"] != len(answer["body"].encode()):
                yield violation("the_right_request", "the job named is another request's", answer=answer,
                                receipt=receipt)


@rule
def limits_hold(seen):
    for receipt in seen.receipts:
        if receipt["dropped"]:
            yield violation("limits_hold", f"{receipt['instance']} had more calls than its limit",
                            **seen.evidence(receipt["job"]),
                            near=[r for r in seen.receipts if r["instance"] == receipt["instance"]
                                  and abs(r["time"] - receipt["time"]) < 10000])


def claims_of(seen):
    """{tenant: [(start, the row, job)]} of every attempt that was begun, by start."""
    found = defaultdict(list)
    for job, record in seen.records.items():
        for row in rows_of(record).values():
            found[job.partition(".")[0]].append((row.start, row, job))
    return {tenant: sorted(rows, key=lambda r: (r[0], r[2])) for tenant, rows in found.items()}


def _most_at_once(rows):
    """The most of these rows that ran together, and the instant. Who ends makes room for who begins in the same millisecond."""
    n, most, at = 0, 0, None
    for instant, step in sorted([(r.start, 1) for r in rows] + [(r.end, -1) for r in rows]):
        n += step
        if n > most:
            most, at = n, instant
    return most, at


@rule
def answered_calls_keep_their_limits(seen):
    """By the records: an answered attempt has its slot from its claim to its end, if that is no longer than a slot lives."""
    customers = {a.get("job"): a.get("customer") for a in seen.answers if a.get("customer")}
    for tenant, rows in claims_of(seen).items():
        limits = seen.limits.get(tenant, {})
        groups = {("tenant", tenant): [], **{("instance", r.instance): [] for _, r, _ in rows},
                  **{("customer", c): [] for c in customers.values()}}
        for _, row, job in rows:
            if row.status == "" or not row.start < row.end <= row.start + SLOT_MS:
                continue
            for group in (("tenant", tenant), ("instance", row.instance), ("customer", customers.get(job))):
                if group in groups:
                    groups[group].append(row)
        for (what, name), group in groups.items():
            most, at = _most_at_once(group)
            if most > limits.get(what, most):
                yield violation("answered_calls_keep_their_limits", f"{tenant}: {what} {name} had {most} calls at once",
                                at=at, rows=[vars(r) for r in group if r.start <= at < r.end])


@rule
def rates_hold(seen):
    """By the claims' instants, which are Redis's: no burst above what the rate allows."""
    for tenant, rows in claims_of(seen).items():
        if "rate" not in seen.limits.get(tenant, {}):
            continue
        limit, period_ms, burst = seen.limits[tenant]["rate"]
        gap, paid_till = period_ms / limit, 0
        for start, _, job in rows:
            if paid_till - start > (burst - 1) * gap + CLOCK_MS:
                yield violation("rates_hold", f"{tenant} got a call before its time", **seen.evidence(job))
            paid_till = max(paid_till, start) + gap


@rule
def what_cools_is_left_alone(seen):
    """After a 503 with Retry-After nothing is claimed for its instance until that is over."""
    asked = {a.get("job"): int(re.search(r"retry_after=(\d+)", a["path"]).group(1)) * 1000
             for a in seen.submits() if "retry_after=" in a["path"]}
    for tenant, rows in claims_of(seen).items():
        for _, cooled, job in rows:
            if job not in asked or cooled.status != "503":
                continue
            for start, row, other in rows:
                if row.instance == cooled.instance and cooled.end < start < cooled.end + asked[job] - CLOCK_MS:
                    yield violation("what_cools_is_left_alone", f"{row.instance} got a call while it cools",
                                    job=other, answered=vars(cooled), begun=vars(row))


@rule
def who_rests_gets_nothing(seen):
    """Nothing is claimed of a paused tenant, and for a drained instance, from the answer to that word to the next one."""
    for tenant, rows in claims_of(seen).items():
        for name, since, until in seen.rests:
            for start, row, job in rows:
                if name in (tenant, row.instance) and since + CLOCK_MS < start < until - CLOCK_MS:
                    yield violation("who_rests_gets_nothing", f"{name} rests, and {job} was begun", **seen.evidence(job))


# --- what callers heard ---


@rule
def answers_are_known(seen):
    """Each is a tenant's answer, a 202, or a problem of a known type; nobody is left without."""
    for answer in seen.answers:
        status, problem = answer.get("status"), answer.get("problem")
        if status is None or answer.get("why") == "timeout":
            yield violation("answers_are_known", "never answered", answer=answer)
        elif status == 0:
            if answer["why"].startswith("cut") and not _was_killed(seen, answer):
                yield violation("answers_are_known", "cut off, and its ingress was not killed", answer=answer)
        elif problem is None:
            wanted = (200, 202, 404, 503) if answer["what"] == "submit" else (200,)
            if status not in wanted:
                yield violation("answers_are_known", f"{status} without a problem document", answer=answer)
        elif problem not in PROBLEMS.get(status, ()):
            yield violation("answers_are_known", f"{status} {problem}", answer=answer)
        elif problem == "key_in_progress" and not answer["key"]:
            yield violation("answers_are_known", "key_in_progress, and it has no key", answer=answer)


def _was_killed(seen, answer):
    return any(port == answer["port"] and since - 200 <= answer["answered"] and until + 200 >= answer["at"]
               for port, since, until in seen.kills)


@rule
def a_callers_answer_is_the_tenants(seen):
    """What a waiting caller got is what the tenant gave for this very job, and is what is stored."""
    for answer in seen.submits():
        if answer.get("problem") or answer.get("status") in (None, 0, 202):
            continue
        job, name = answer.get("job"), "a_callers_answer_is_the_tenants"
        record, result = seen.records.get(job), seen.results.get(job)
        if record is None or not seen.receipts_of.get(job):
            yield violation(name, "an answer of a job without a record or receipt", answer=answer, **seen.evidence(job))
            continue
        if record["st"] == "in_doubt" or record.get("os") != str(answer["status"]):
            yield violation(name, "the record's outcome is another", answer=answer, **seen.evidence(job))
        if result is None or (result["status"], result["sha"]) != (answer["status"], answer["sha"]):
            yield violation(name, "the stored answer is another", answer=answer, result=result, **seen.evidence(job))
        for wrong in _wrong_words(answer, answer["text"], job):
            yield violation(name, wrong, answer=answer, **seen.evidence(job))


def _wrong_words(answer, text, job):
    """What in an answer of the sample tenant is not of this request."""
    if text.startswith("{\"failed\""):
        return
    if "offload_ms=" in answer["path"]:
        is_posted = "complete_at=" in answer["path"] and text == f'{{"posted":"{job}"}}'
        if not is_posted and (text != "{\"polled\": true}\n" or "location=no" in answer["path"]):
            yield "neither what a poll was answered nor what was posted for it"
        return
    if answer["body"]:
        if text != answer["body"]:
            yield "not the body that was sent"
        return
    found = dict(re.findall(r'"(job|path)": "([^"]*)"', text))
    if found.get("job") != job:
        yield f"the tenant's answer is of {found.get('job')}"
    if nonce_in(found.get("path")) != nonce_in(answer["path"]):
        yield f"the tenant's answer is of {found.get('path')}"


@rule
def stored_answers_are_the_tenants(seen):
    """Of every job that ended well, also where nobody waited."""
    by_job = {a.get("job"): a for a in seen.submits() if a.get("job")}
    for job, record in seen.records.items():
        if record["st"] != "succeeded" or job not in by_job:
            continue
        result = seen.results.get(job)
        if result is None:
            yield violation("stored_answers_are_the_tenants", "succeeded without an answer", **seen.evidence(job))
            continue
        if str(result["status"]) != record.get("os"):
            yield violation("stored_answers_are_the_tenants", "its status is not the outcome's", result=result,
                            **seen.evidence(job))
        for wrong in _wrong_words(by_job[job], result["text"], job):
            yield violation("stored_answers_are_the_tenants", wrong, result=result, **seen.evidence(job))


@rule
def a_refusal_is_for_ever(seen):
    """503 (but of UNKNOWN types): the job that it names, or that an unkeyed request would have made, never ran."""
    for answer in seen.submits():
        if answer.get("status") != 503 or not answer.get("problem") or answer["problem"] in UNKNOWN:
            continue
        job = answer.get("job")
        if job and seen.receipts_of.get(job):
            yield violation("a_refusal_is_for_ever", "refused, and ran", answer=answer, **seen.evidence(job))
        elif job and seen.records.get(job, {"st": "canceled"})["st"] not in ("canceled", "expired"):
            yield violation("a_refusal_is_for_ever", f"refused, and is {seen.records[job]['st']}", answer=answer,
                            **seen.evidence(job))
        others = seen.answers_by_nonce[nonce_in(answer["path"])]
        if all(a.get("why") == "refused" or a is answer for a in others) \
                and seen.receipts_by_nonce.get(nonce_in(answer["path"])):
            yield violation("a_refusal_is_for_ever", "refused, and its request was received", answer=answer)


@rule
def an_error_tells_the_truth(seen):
    """What 502, 504 and 409 say of the job is so."""
    for answer in seen.submits():
        problem, job = answer.get("problem"), answer.get("job")
        record = seen.records.get(job)
        state = record["st"] if record else None
        wrong = None
        if problem in ("call_in_doubt", "tenant_unreachable") and record is None:
            wrong = "a job without a record"
        elif problem == "call_in_doubt" and (record.get("db") != "1" and not _was_in_doubt(record)):
            wrong = f"the record is {state}, and was never in doubt"
        elif problem == "tenant_unreachable" and (state != "failed" or seen.receipts_of.get(job)
                                                  and not _was_in_doubt(record)):
            wrong = f"the record is {state}, with {len(seen.receipts_of.get(job, []))} receipts"
        elif problem == "sync_timeout" and "was not started" in answer["detail"]:
            # ("It is not started yet, but others wait for it" promises nothing.)
            if state not in ("expired", None) or seen.receipts_of.get(job):
                wrong = f"said that it will not start; it is {state}"
        elif problem == "sync_timeout" and "has started" in answer["detail"] and (
                state in (None, "canceled") or state == "expired" and record["n"] == "0"):
            # (One that was claimed and provably never sent waits for another attempt; that may come too late.)
            wrong = f"said that it has started; it is {state}"
        elif problem in UNKNOWN and not job:
            wrong = f"{problem} without the job to ask for"
        elif problem == "draining" and (record is None or record.get("er") == "not_accepted"):
            wrong = f"said that the job goes on; it is {state}"
        elif problem in ("expired", "canceled") and state != problem:
            wrong = f"said {problem}; it is {state}"
        if wrong:
            yield violation("an_error_tells_the_truth", wrong, answer=answer, **seen.evidence(job))


def _was_in_doubt(record):
    return any(row.status == "" and row.error for row in rows_of(record).values())


@rule
def a_key_is_answered(seen):
    """Whoever repeats with its key hears of it in the end."""
    for answers in seen.answers_by_nonce.values():
        keyed = [a for a in answers if a["what"] == "submit" and a["key"]]
        if keyed and not any(a.get("status") not in (0, 503, None) and a.get("problem") != "key_in_progress"
                             or a.get("status") == 503 and not a.get("problem") for a in keyed):
            yield violation("a_key_is_answered", "repeated to the end, never told", answers=keyed)


@rule
def a_cancel_is_kept(seen):
    for answer in seen.answers:
        if not answer["what"].startswith("cancel") or answer.get("status") not in (200, 409):
            continue
        job = answer["what"].split()[1]
        state = seen.records.get(job, {}).get("st")
        if answer["status"] == 200 and (state != "canceled" or seen.receipts_of.get(job)):
            yield violation("a_cancel_is_kept", f"canceled, and is {state}", answer=answer, **seen.evidence(job))


# --- schedules ---


@rule
def a_timer_fires_once(seen):
    for name, schedule in seen.schedules.items():
        jobs = defaultdict(set)
        for receipt in seen.receipts:
            if receipt["schedule"] == name:
                jobs[_ms(receipt["scheduled_time"])].add(receipt["job"])
        for instant, found in jobs.items():
            if len(found) > 1:
                yield violation("a_timer_fires_once", f"{name} fired {len(found)} jobs at {instant}",
                                jobs=[seen.evidence(j) for j in sorted(found)])
        records = {job: r for job, r in seen.records.items() if r.get("sc") == name}
        if not jobs:
            yield violation("a_timer_fires_once", f"{name} never fired")
            continue
        wanted = range(min(jobs), schedule["cursor_ms"] + 1, schedule["step_ms"])
        missed = [i for i in wanted if i not in jobs]
        silent = [job for job in records if not seen.receipts_of.get(job)]
        if len(records) != len(wanted) or len(missed) > len(silent):
            yield violation("a_timer_fires_once", f"{name}: {len(wanted)} instants, {len(records)} jobs",
                            missed=missed[:20], without_receipt=[seen.evidence(j) for j in silent[:20]])


def _ms(text):
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


# --- nothing left ---


@rule
def nothing_is_left_in_a_queue(seen):
    for queue, (ready, unacknowledged) in seen.queues.items():
        if (ready or unacknowledged) and not queue.endswith(".shelf"):
            yield violation("nothing_is_left_in_a_queue", f"{queue}: {ready} ready, {unacknowledged} unacknowledged")
    for tenant, state in seen.state.items():
        missing = {f"{tenant}.{name}" for name in state["h"]} - set(seen.shelf_copies.get(tenant, ()))
        if missing:
            yield violation("nothing_is_left_in_a_queue", f"{tenant}: on the shelf without a copy in its queue",
                            jobs=[seen.evidence(j) for j in sorted(missing)[:10]])


@rule
def nothing_is_left_in_a_slot(seen):
    for tenant, state in seen.state.items():
        counters = {f: int(float(v)) for f, v in state["t"].items() if f in ("c", "run") or f.startswith("c:")}
        for field, value in counters.items():
            if value != 0:
                yield violation("nothing_is_left_in_a_slot", f"{tenant}: {field} is {value}", slots=state["s"])
        if state["s"]:
            yield violation("nothing_is_left_in_a_slot", f"{tenant}: {len(state['s'])} slots", slots=state["s"])


@rule
def nothing_is_left_in_a_lease(seen):
    living = [w for w, v in seen.leases.items() if v != "dead"]
    if len(living) != seen.workers:
        yield violation("nothing_is_left_in_a_lease", f"{len(living)} leases of {seen.workers} workers", leases=living)


@rule
def the_shelf_is_right(seen):
    """What is in doubt is on the shelf, with its request; nothing else is but what was given up."""
    for tenant, state in seen.state.items():
        records = {j.partition(".")[2]: r for j, r in seen.records.items() if j.partition(".")[0] == tenant}
        doubtful = {n for n, r in records.items() if r["st"] == "in_doubt"}
        shelved = {n for n, r in records.items() if r.get("sh") == "1"}
        for what, one, other in (("in doubt and not on the shelf", doubtful, shelved),
                                 ("on the shelf by its record only", shelved, set(state["h"])),
                                 ("on the shelf without its record's word", set(state["h"]), shelved),
                                 ("on the shelf without its request", shelved, set(state["b"])),
                                 ("a request that is kept for nothing", set(state["b"]), shelved | set(state["o"])),
                                 ("unended and not in doubt", set(state["u"]), doubtful),
                                 ("in doubt, and not among the unended", doubtful, set(state["u"]))):
            for name in sorted(one - other):
                yield violation("the_shelf_is_right", what, **seen.evidence(f"{tenant}.{name}"))
        for what, found, wanted in (("ind", state["t"].get("ind", 0), len(doubtful)),
                                    ("sb", state["t"].get("sb", 0), sum(state["b"].values()))):
            if int(float(found)) != wanted:
                yield violation("the_shelf_is_right", f"{tenant}: {what} is {found}, not {wanted}")
        for what, key in (("the outbox", "o"), ("the delayed", "w")):
            if state[key]:
                yield violation("the_shelf_is_right", f"{tenant}: {what} still has {len(state[key])}",
                                jobs=[seen.evidence(f"{tenant}.{n}") for n in state[key][:10]])


@rule
def keys_are_kept_as_said(seen):
    """A key names a record; it stays as long as that is unended, or on the shelf, and no longer."""
    for tenant, state in seen.state.items():
        for key, (name, ttl_ms) in state["k"].items():
            record = seen.records.get(f"{tenant}.{name}")
            if record is None:
                yield violation("keys_are_kept_as_said", f"{tenant}: key {key} of a job without a record", name=name)
            elif (ttl_ms < 0) != (record["st"] not in FINAL):
                yield violation("keys_are_kept_as_said", f"a key of a {record['st']} job, for {ttl_ms} ms",
                                **seen.evidence(f"{tenant}.{name}"))


def check(history):
    """All violations of all rules."""
    seen = Seen(history)
    return [found for rule_ in RULES for found in rule_(seen)]
