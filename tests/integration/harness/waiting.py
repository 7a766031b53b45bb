# SPDX-License-Identifier: Apache-2.0
import time


def wait_until(predicate, timeout=15, what=None, every=0.02):
    """Returns the first true value of predicate(); AssertionError after `timeout` seconds.

    Connection errors count as "not yet", so that a process that comes up can be asked at once.
    """
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            last = predicate()
            if last:
                return last
        except (ConnectionError, TimeoutError, OSError) as error:
            last = error
        if time.monotonic() > end:
            name = what or getattr(predicate, "__name__", "it")
            raise AssertionError(f"{name}: not within {timeout} s; the last answer was {last!r}")
        time.sleep(every)
        every = min(every * 1.2, 0.25)
