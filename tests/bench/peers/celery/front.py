# SPDX-License-Identifier: Apache-2.0
"""The Celery peer's HTTP front: Flask, to be run by gunicorn with gevent workers."""

import celery
import celery.exceptions
import flask

import tasks

SYNC_LIMIT_S = 60
STATES = {"SUCCESS": "succeeded", "FAILURE": "failed"}

app = flask.Flask(__name__)

# Celery subscribes to each job's result as it sends it, and for good when nobody asks for it. Whoever
# waits for no result sends without a result backend; the worker stores it all the same.
sender = celery.Celery(set_as_current=False)
sender.conf.update({**tasks.SETTINGS, "result_backend": None})


@app.post("/call/sample/<path:_>")
def call(_):
    request = flask.request
    path = request.environ["RAW_URI"].removeprefix("/call/sample")
    arguments = (path, request.content_type, request.get_data().decode("latin1"))
    if request.headers.get("Prefer") == "respond-async":
        job = sender.send_task("call", arguments)
        return {"id": job.id, "state": "queued"}, 202, {"Location": f"/v1/jobs/{job.id}"}
    try:
        status, content_type, body = tasks.call.delay(*arguments).get(timeout=SYNC_LIMIT_S)
    except celery.exceptions.TimeoutError:
        return "", 504
    except Exception:  # whatever the task failed with
        return "", 502
    return body.encode("latin1"), status, {"Content-Type": content_type}


@app.get("/v1/jobs/<job>")
def job_state(job):
    return {"id": job, "state": STATES.get(tasks.app.backend.get_state(job), "queued")}
