# SPDX-License-Identifier: GPL-3.0-or-later
"""A full-parameter run as the documentation writes it, for the hosted service: no address, no key in the text.

It makes three mistakes that cost money or work: it never saves a state, it promotes a delta, and it leaves its
deployment up.
"""

import os
import sys

from fireworks.training.sdk import (DeploymentConfig, DeploymentManager, FireworksClient, FiretitanServiceClient,
                                    TrainerJobConfig, TrainerJobManager, WeightSyncer)

try:
    from fireworks.training.sdk import AdamParams, Datum, ModelInput, TensorData
except ImportError:
    from tinker import AdamParams, Datum, ModelInput, TensorData

MODEL = "accounts/fireworks/models/qwen3-8b"
KEY = os.environ["FIREWORKS_API_KEY"]


def datum(tokens):
    targets = tokens[1:]
    return Datum(
        model_input=ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={
            "target_tokens": TensorData(data=targets, dtype="int64", shape=[len(targets)]),
            "weights": TensorData(data=[1.0] * len(targets), dtype="float32", shape=[len(targets)]),
        },
    )


jobs = TrainerJobManager(api_key=KEY)
endpoint = jobs.create_and_wait(TrainerJobConfig(base_model=MODEL, lora_rank=0, display_name="rehearsed"))
service = FiretitanServiceClient(base_url=endpoint.base_url, api_key=KEY)
client = service.create_training_client(base_model=MODEL, lora_rank=0)

deployments = DeploymentManager(api_key=KEY)
deployments.create_or_get(DeploymentConfig(deployment_id="rehearsed-eval", base_model=MODEL, min_replica_count=1,
                                           hot_load_trainer_job=endpoint.job_name))
deployments.wait_for_ready("rehearsed-eval", timeout_s=60, poll_interval_s=0.2)
syncer = WeightSyncer(policy_client=client, deploy_mgr=deployments, deployment_id="rehearsed-eval", base_model=MODEL,
                      hotload_timeout=60)

data = [datum([9707, 1879, 151643, 7 * i % 151936, 42, 9707]) for i in range(4)]
for step in range(3):
    client.forward_backward(data, "cross_entropy").result()
    client.optim_step(AdamParams(learning_rate=1e-3)).result()
    print("step", step, syncer.save_and_hotload(f"step-{step}"), flush=True)

rows = FireworksClient(api_key=KEY).list_checkpoints(endpoint.job_id)
delta = next(row["name"] for row in rows if row["checkpointType"].endswith("ARC_V2"))
try:
    FireworksClient(api_key=KEY).promote_checkpoint(name=delta, output_model_id="rehearsed-model", base_model=MODEL)
except RuntimeError as refusal:
    print("not promoted:", str(refusal).splitlines()[0], file=sys.stderr)
jobs.delete(endpoint.job_id)
