# SPDX-License-Identifier: Apache-2.0
"""The Celery peer's task, a call of the tenant, and the settings that both sides share.

Environment: RABBITMQ_URL, REDIS_URL; the worker's also TENANT_URL, CONCURRENCY (256).
"""

import functools
import os

import celery
import urllib3

CONCURRENCY = int(os.environ.get("CONCURRENCY", "256"))

SETTINGS = {
    "broker_url": os.environ["RABBITMQ_URL"],
    "result_backend": os.environ["REDIS_URL"],
    "task_default_queue": "celery.sample",
    # Messages are persistent by default; accepted means that the broker has said so.
    "broker_transport_options": {"confirm_publish": True},
    # Connections that greenlets of one process publish on at a time.
    "broker_pool_limit": 32,
    # A call whose worker dies comes again, as with the other peers.
    "task_acks_late": True,
    # No limit: with gevent, Celery sends what was acknowledged only when another message comes, or after
    # two seconds; once a limit's worth is unacknowledged, none comes, and it stands still till then.
    "worker_prefetch_multiplier": 0,
    "result_expires": 3600,
}


class App(celery.Celery):
    """Has one result backend, whose connections are pooled.

    Celery 5.2 makes one for each thread; with gevent that is for each task and each request, which reads
    the entry points of all installed packages and connects to Redis anew (later releases have the
    setting result_backend_thread_safe for that).
    """

    @functools.cached_property
    def backend(self):
        return self._get_backend()


app = App("peer")
app.conf.update(SETTINGS)

# One pool for all of a worker's greenlets; without retries, as with the other peers.
http = urllib3.PoolManager(maxsize=CONCURRENCY, retries=False)


@app.task(name="call", bind=True)
def call(self, path, content_type, body):
    """Calls the tenant. Bodies are latin1 in JSON, which carries any byte."""
    headers = {"Idempotency-Key": self.request.id}
    if content_type:
        headers["Content-Type"] = content_type
    answer = http.request("POST", os.environ["TENANT_URL"] + path, body=body.encode("latin1"), headers=headers)
    return answer.status, answer.headers.get("Content-Type", ""), answer.data.decode("latin1")
