# SPDX-License-Identifier: Apache-2.0
"""The job scripts (common/store/lua) as functions of Redis, put together as common/store/scripts.c does."""
import os
import re
from pathlib import Path

STORE = Path(__file__).resolve().parents[3] / "common/store"
LUA = STORE / "lua"
# One call of these is about many jobs: a number of arguments before those of each, and an array of answers.
FOR_MANY = set(re.findall(r'^SCRIPT\(\w+, "(\w+)\.lua", "[^"]*", \w+, MANY,', (STORE / "scripts.def").read_text(), re.M))


def text_of(path):
    """A script as the store would load it: without the lines of rules that $SLUICE_BREAK takes out."""
    broken = os.environ.get("SLUICE_BREAK", "").split(",")

    def is_out(line):
        mark = re.search(r"-- BREAK:(\w+)$", line)
        return mark is not None and mark.group(1) in broken

    return "".join("\n" if is_out(line) else f"{line}\n" for line in path.read_text().splitlines())


def library(path):
    """The function that a script is, named like its file."""
    own = text_of(path)
    parts = ["_call.lua", "_common.lua", *re.findall(r"^-- with: (\S+)$", own, re.M)]
    call = "call_many(args, one)" if path.stem in FOR_MANY else "call_one(one)"
    return (f"#!lua name={path.stem}\nlocal KEYS, ARGV\n" + "".join(text_of(path.parent / part) for part in parts) +
            f"local function one()\n{own}end\nredis.register_function{{function_name='{path.stem}', flags={{'allow-oom'}}, "
            f"callback=function(keys, args)\nKEYS, ARGV = keys, args\nreturn {call}\nend}}\n")


def load(redis, lua=LUA):
    for file in lua.glob("[!_]*.lua"):
        redis.execute_command("FUNCTION", "LOAD", "REPLACE", library(file))


def call(redis, script, n_keys, *words):
    """About one job."""
    if script not in FOR_MANY:
        return redis.execute_command("FCALL", script, n_keys, *words)
    args = words[n_keys:]
    answer = redis.execute_command("FCALL", script, n_keys, *words[:n_keys], len(args), *args)[0]
    if isinstance(answer, Exception):
        raise answer
    return answer
