# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Fireworks test files share: clients over a backend, datums, small measurements."""

import asyncio
import contextlib
import uuid
import warnings

from fireworks.training import sdk

try:  # 1.2.30 carries the types itself, 1.2.3 takes them from tinker
    from fireworks.training.sdk import AdamParams, Datum, ModelInput, RequestFailedError, SamplingParams, TensorData
    from fireworks.training.sdk import APIStatusError, TrainingError
except ImportError:
    from tinker import AdamParams, APIStatusError, Datum, ModelInput, RequestFailedError, SamplingParams, TensorData
    from tinker import TinkerError as TrainingError

__all__ = ["AdamParams", "APIStatusError", "Datum", "ModelInput", "RequestFailedError", "SamplingParams", "TensorData",
           "TrainingError", "sdk", "service", "trainer", "datum", "datums", "rl_datum", "manager", "deployments", "control",
           "loss_of", "tensor", "train_a_step", "deprecations", "unique", "running_deployment", "syncer", "sampler", "ask"]

TEXT = b"the quick brown fox jumps over the lazy dog and runs away from it"


def unique(stem):
    return f"{stem}-{uuid.uuid4().hex[:6]}"


def service(t, job, **named):
    client = sdk.FiretitanServiceClient(base_url=t.backend.trainer_url(job), api_key=t.backend.key, **named)
    close = getattr(client, "close", None)
    if close is not None:
        t.cleanup(close)
    return client


def trainer(t, lora_rank=0, job=None, **named):
    """(job id, training client) of a fresh dedicated trainer."""
    if job is None:
        job = t.backend.create_job(lora_rank=lora_rank)
        t.cleanup(t.backend.delete_job, job)
    return job, service(t, job).create_training_client(base_model=t.backend.base_model, lora_rank=lora_rank, **named)


def tensor(values, dtype="float32"):
    return TensorData(data=list(values), dtype=dtype, shape=[len(values)])


def datum(text=TEXT[:24], weights=None):
    tokens = list(text)
    weights = [1.0] * (len(tokens) - 1) if weights is None else weights
    return Datum(model_input=ModelInput.from_ints(tokens[:-1]),
                 loss_fn_inputs={"target_tokens": tensor(tokens[1:], "int64"), "weights": tensor(weights)})


def datums(count=2, length=24):
    return [datum(TEXT[i % 8 : i % 8 + length]) for i in range(count)]


def rl_datum(client, advantages, text=TEXT[:12]):
    """A datum of a policy loss whose `logprobs` are those of the model itself, so that every ratio is 1."""
    base = datum(text)
    lp = client.forward([base], "cross_entropy").result().loss_fn_outputs[0]["logprobs"].data
    return Datum(model_input=base.model_input,
                 loss_fn_inputs={"target_tokens": base.loss_fn_inputs["target_tokens"], "logprobs": tensor(lp),
                                 "advantages": tensor(advantages)}), list(lp)


def loss_of(client, data=None):
    return client.forward(data or datums(), "cross_entropy").result().metrics["loss:sum"]


def train_a_step(client, data=None, lr=1e-3, **named):
    client.forward_backward(data or datums(), "cross_entropy").result()
    return client.optim_step(AdamParams(learning_rate=lr), **named).result()


def manager(t):
    return sdk.TrainerJobManager(api_key=t.backend.key, base_url=t.backend.url)


def control(t):
    return sdk.FireworksClient(api_key=t.backend.key, base_url=t.backend.url)


def deployments(t):
    return sdk.DeploymentManager(api_key=t.backend.key, base_url=t.backend.url)


def running_deployment(t, job, **named):
    """(manager, deployment id) of a deployment that follows the job's snapshots."""
    deploy = deployments(t)
    name = unique("dep")
    deploy.create_or_get(sdk.DeploymentConfig(
        deployment_id=name, base_model=t.backend.base_model,
        hot_load_trainer_job=f"accounts/{t.backend.account}/rlorTrainerJobs/{job}", **named))
    t.cleanup(deploy.delete, name)
    deploy.wait_for_ready(name, timeout_s=30, poll_interval_s=0.1)
    return deploy, name


def syncer(t, client, deploy, name, **named):
    return sdk.WeightSyncer(policy_client=client, deploy_mgr=deploy, deployment_id=name, base_model=t.backend.base_model,
                            hotload_timeout=30, **named)


def sampler(t, name):
    return sdk.DeploymentSampler(inference_url=t.backend.url, model=f"accounts/{t.backend.account}/deployments/{name}",
                                 api_key=t.backend.key)


def ask(made, coroutine):
    """Result of a DeploymentSampler's coroutine; its connections are closed in the same event loop."""
    async def run():
        try:
            return await coroutine
        finally:
            inner = getattr(made, "_async_client", None)
            if inner is not None:
                await inner.aclose()
    return asyncio.run(run())


@contextlib.contextmanager
def deprecations():
    """The DeprecationWarnings of a block, as texts."""
    texts = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts.extend(str(one.message) for one in caught if issubclass(one.category, DeprecationWarning))
