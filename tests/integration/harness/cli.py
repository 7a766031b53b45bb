# SPDX-License-Identifier: Apache-2.0
"""The command `sluice` on a running stack, run as a person would."""
import json
import os
import re
import subprocess

OK, FAILED, USAGE, REFUSED, UNAVAILABLE, IN_DOUBT, TIMEOUT, BROKEN = range(8)


class Cli:
    def __init__(self, stack):
        self.program = stack.binaries / "sluice"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
        self.env.update(SLUICE_INGRESS_URL=stack.ingress_url,
                        SLUICE_DISPATCHER_URL=stack.dispatcher_url)

    def command(self, *words):
        return [str(self.program), *map(str, words)]

    def run(self, *words, code=OK, stdin=b"", env=None):
        """stdout as bytes; the exit code is as it must be."""
        return self.both(*words, code=code, stdin=stdin, env=env)[0]

    def both(self, *words, code=OK, stdin=b"", env=None):
        done = subprocess.run(self.command(*words), input=stdin, capture_output=True, timeout=60,
                              env={**self.env, **(env or {})}, check=False)
        assert done.returncode == code, (words, done)
        return done.stdout, done.stderr.decode()

    def text(self, *words, **options):
        return self.run(*words, **options).decode()

    def json(self, *words, **options):
        return json.loads(self.run(*words, "--json", **options))

    def submit(self, *words, **options):
        job_id = self.text("submit", "sample", *words, **options)
        assert re.fullmatch(r"sample\.[a-z2-7]{26}\n", job_id)
        return job_id.strip()


def fields(text):
    """The pairs of a job's view."""
    head = text.partition("\n\n")[0]
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in head.splitlines())
