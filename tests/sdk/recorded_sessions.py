# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions that record.py records: one walk through each SDK's calls. Runs inside an SDK's environment."""

import os
import sys
import warnings

TEXT = b"the quick brown fox jumps over the lazy dog"


def fireworks(name, url, account, base_model, key):
    import asyncio

    sys.path[0] = os.path.dirname(os.path.abspath(__file__))
    from harness.fireworks import AdamParams, datum, sdk

    jobs = sdk.TrainerJobManager(api_key=key, base_url=url)
    endpoint = jobs.create_and_wait(sdk.TrainerJobConfig(base_model=base_model, requested_job_id=name, display_name="recorded",
                                                         max_context_length=64), poll_interval_s=0.2)
    service = sdk.FiretitanServiceClient(base_url=endpoint.base_url, api_key=key)
    client = service.create_training_client(base_model=base_model, lora_rank=0, user_metadata={"run": "recorded"})
    data = [datum(TEXT[:16]), datum(TEXT[8:20])]
    client.get_info()
    client.forward(data, "cross_entropy").result()
    first, second = client.forward_backward(data, "cross_entropy"), client.forward_backward(data[:1], "cross_entropy")
    step = client.optim_step(AdamParams(learning_rate=1e-3), sdk.GradAccNormalization.NUM_LOSS_TOKENS, "basic")
    for future in (first, second, step):
        future.result()
    client.save_state("step-1").result()
    base = client.save_weights_for_sampler_ext("step-1", checkpoint_type="base")
    client.forward_backward(data, "cross_entropy").result()
    client.optim_step(AdamParams(learning_rate=1e-3)).result()
    delta = client.save_weights_for_sampler_ext("step-2", checkpoint_type="delta")
    client.list_checkpoints()
    client.load_state_with_optimizer("step-1").result()
    client.load_state(client.resolve_checkpoint_path("step-1", source_job_id=name)).result()

    rows = sdk.FireworksClient(api_key=key, base_url=url).list_checkpoints(name)
    deploy = sdk.DeploymentManager(api_key=key, base_url=url)
    deploy.create_or_get(sdk.DeploymentConfig(deployment_id=name, base_model=base_model,
                                              hot_load_trainer_job=endpoint.job_name))
    deploy.wait_for_ready(name, poll_interval_s=0.2)
    deploy.hotload_and_wait(name, base_model, base.snapshot_name, timeout_seconds=30)
    deploy.hotload_and_wait(name, base_model, delta.snapshot_name, timeout_seconds=30,
                            incremental_snapshot_metadata={"previous_snapshot_identity": base.snapshot_name,
                                                           "compression_format": "arc_v2", "checksum_format": "alder32"})
    sampler = sdk.DeploymentSampler(inference_url=url, model=f"accounts/{account}/deployments/{name}", api_key=key)
    asyncio.run(sampler.sample_with_prompt_tokens(list(TEXT[:8]), n=1, max_tokens=4, logprobs=True, seed=1))
    row = next(row for row in rows if row["promotable"])
    sdk.FireworksClient(api_key=key, base_url=url).promote_checkpoint(name=row["name"], output_model_id=name,
                                                                      base_model=base_model)
    deploy.scale_to_zero(name)
    deploy.delete(name)

    lora = jobs.create_and_wait(sdk.TrainerJobConfig(base_model=base_model, requested_job_id=name + "-lora", lora_rank=4),
                                poll_interval_s=0.2)
    adapter = sdk.FiretitanServiceClient(base_url=lora.base_url, api_key=key).create_training_client(
        base_model=base_model, lora_rank=4, seed=1)
    adapter.forward_backward(data, "cross_entropy").result()
    adapter.optim_step(AdamParams(learning_rate=1e-3)).result()
    adapter.save_weights_for_sampler_ext("adapter", checkpoint_type="base")
    jobs.delete(name)
    jobs.delete(name + "-lora")


def tinker(name, url, account, base_model, key):
    import tinker as sdk
    from tinker import types

    warnings.simplefilter("ignore")

    def now(value):
        return value.result() if hasattr(type(value), "result") else value

    def datum(text):
        tokens = list(text)
        return types.Datum(model_input=types.ModelInput.from_ints(tokens[:-1]),
                           loss_fn_inputs={"target_tokens": types.TensorData(data=tokens[1:], dtype="int64",
                                                                             shape=[len(tokens) - 1]),
                                           "weights": types.TensorData(data=[1.0] * (len(tokens) - 1), dtype="float32",
                                                                       shape=[len(tokens) - 1])})

    service = sdk.ServiceClient(base_url=url, api_key="tml-" + key)
    now(service.get_server_capabilities())
    client = now(service.create_lora_training_client(base_model=base_model, rank=4, seed=1))
    data = [datum(TEXT[:16]), datum(TEXT[8:20])]
    now(client.get_info())
    client.forward(data, "cross_entropy").result()
    pending = client.forward_backward(data, "cross_entropy")
    step = client.optim_step(types.AdamParams(learning_rate=1e-3))
    pending.result(), step.result()
    state = client.save_state("step-1").result().path
    client.load_state_with_optimizer(state).result()
    path = client.save_weights_for_sampler("step-1").result().path
    params = types.SamplingParams(max_tokens=4, temperature=0.7, seed=1)
    prompt = types.ModelInput.from_ints(list(TEXT[:8]))
    for sampler in (now(service.create_sampling_client(model_path=path)), now(service.create_sampling_client(base_model=base_model)),
                    now(client.save_weights_and_get_sampling_client())):
        sampler.sample(prompt=prompt, num_samples=2, sampling_params=params, include_prompt_logprobs=True).result()
        sampler.compute_logprobs(prompt).result()
    rest = service.create_rest_client()
    run = now(rest.list_training_runs()).training_runs[0].training_run_id
    now(rest.get_training_run(run))
    now(rest.list_checkpoints(run))
    now(rest.delete_checkpoint(run, "weights/step-1"))


def main():
    family, name, url, account, base_model = sys.argv[1:6]
    {"fireworks": fireworks, "tinker": tinker}[family](name, url, account, base_model, os.environ["DESK_KEY"])
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
