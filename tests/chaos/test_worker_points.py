# SPDX-License-Identifier: Apache-2.0
"""The worker's rows of points.yaml."""
from points import point

HOLD = {"in_doubt": {"policy": "hold"}}
LEASE = {"worker": {"lease_s": 2}}


def config(stack, **tenant):
    return {**stack.sample_config(**tenant), **LEASE}


@point("worker_claim_answer_lost")
def test_a_claim_whose_answer_is_lost_is_asked_again_with_its_token(make_stack, seam):
    stack = make_stack(lambda s: config(s, **HOLD))
    seam.arm(stack, "worker-1")
    job = stack.submit(path="/once").json()["id"]
    assert stack.wait_job(job)["state"] == "succeeded"
    assert len(stack.job(job)["attempts"]) == 1
    assert len(stack.receipts(path="/once")) == 1
