# SPDX-License-Identifier: GPL-3.0-or-later
"""Completions: DeploymentSampler, the Tinker-shaped sampling client, streams on the wire."""

import json

import httpx

from harness.fireworks import (Datum, ModelInput, SamplingParams, ask, deployments, running_deployment, sampler, sdk, syncer, tensor,
                               train_a_step, trainer, unique)
from harness.suite import check

PROMPT = list(b"the quick brown")


def deployed(t):
    """One deployment for the whole file: (training client, name)."""
    kept = t.backend.__dict__.setdefault("kept_sampling", {})
    if not kept:
        job = t.backend.create_job()
        from harness.fireworks import service
        client = service(t, job).create_training_client(base_model=t.backend.base_model, lora_rank=0)
        train_a_step(client)
        deploy = deployments(t)
        name = unique("sampling")
        deploy.create_or_get(sdk.DeploymentConfig(deployment_id=name, base_model=t.backend.base_model,
                                                  hot_load_trainer_job=f"accounts/{t.backend.account}/rlorTrainerJobs/{job}"))
        deploy.wait_for_ready(name, timeout_s=30, poll_interval_s=0.1)
        kept.update(name=name, job=job, identity=syncer(t, client, deploy, name).save_and_hotload("served"))
    return kept


def sample(t, n=1, **named):
    made = sampler(t, deployed(t)["name"])
    return ask(made, made.sample_with_prompt_tokens(PROMPT, n=n, **{"max_tokens": 8, **named}))


def stream(t, body, headers=None, expect=200):
    body = {"model": f"accounts/{t.backend.account}/deployments/{deployed(t)['name']}", "prompt": PROMPT, "max_tokens": 4, **body}
    answer = t.backend.http("POST", "/inference/v1/completions", body, headers)
    t.assertEqual(answer.status, expect, answer)
    return answer


def events_of(answer):
    text = answer.body.decode()
    assert text.endswith("\n\n"), text[-80:]
    return [line[6:] for block in text.split("\n\n") for line in block.split("\n") if line.startswith("data: ")]


@check("GW9_10")
def GW7_39_sample_with_prompt_tokens(t):
    one = sample(t)[0]
    t.assertEqual(one.full_tokens[: len(PROMPT)], PROMPT)
    t.assertEqual((one.prompt_len, one.completion_len), (len(PROMPT), len(one.full_tokens) - len(PROMPT)))
    t.assertIn(one.finish_reason, ("stop", "length"))
    t.assertIsNone(one.inference_logprobs)


def GW7_39_logprobs_are_one_a_token(t):
    one = sample(t, logprobs=True)[0]
    t.assertEqual(len(one.inference_logprobs), one.completion_len)
    t.assertEqual(len(one.sampling_logprobs), one.completion_len)
    t.assertTrue(all(value < 0 for value in one.inference_logprobs))
    for raw, sampled in zip(one.inference_logprobs, one.sampling_logprobs):
        t.assertAlmostEqual(raw, sampled, delta=1e-4)


def GW7_39_temperature_changes_only_the_sampling_logprob(t):
    one = sample(t, logprobs=True, temperature=0.5, seed=1)[0]
    t.assertTrue(any(abs(a - b) > 1e-3 for a, b in zip(one.inference_logprobs, one.sampling_logprobs)))


def GW7_39_echo_covers_the_prompt(t):
    one = sample(t, logprobs=True, echo=True)[0]
    t.assertTrue(one.logprobs_echoed)
    t.assertEqual(one.full_tokens[: len(PROMPT)], PROMPT)
    t.assertEqual(len(one.inference_logprobs), len(one.full_tokens) - 1)


def GW7_39_logprobs_agree_with_forward(t):
    kept = deployed(t)
    from harness.fireworks import service
    client = service(t, kept["job"]).create_training_client(base_model=t.backend.base_model, lora_rank=0)
    # The fresh model is the base model: compare against a deployment that never loaded anything.
    deploy, name = running_deployment(t, kept["job"])
    one = ask(made := sampler(t, name), made.sample_with_prompt_tokens(PROMPT, max_tokens=8, logprobs=True, echo=True))[0]
    data = Datum(model_input=ModelInput.from_ints(one.full_tokens[:-1]),
                 loss_fn_inputs={"target_tokens": tensor(one.full_tokens[1:], "int64")})
    own = client.forward([data], "cross_entropy").result().loss_fn_outputs[0]["logprobs"].data
    for a, b in zip(own, one.inference_logprobs):
        t.assertAlmostEqual(a, b, delta=1e-3)


def GW7_39_max_seq_len_filters(t):
    t.assertEqual(sample(t, max_seq_len=len(PROMPT)), [])
    t.assertTrue(sample(t, max_seq_len=200))


def GW7_39_string_stops(t):
    greedy = sample(t, temperature=0.0, max_tokens=24)[0]
    text = bytes(token for token in greedy.full_tokens[len(PROMPT) :] if token < 256).decode("latin-1")
    t.assertGreater(len(text), 3)
    stopped = sample(t, temperature=0.0, max_tokens=24, stop=[text[2]])[0]
    t.assertEqual(stopped.finish_reason, "stop")
    t.assertLess(stopped.completion_len, greedy.completion_len)


def GW7_40_n_samples(t):
    found = sample(t, n=4, temperature=1.0)
    t.assertEqual(len(found), 4)
    t.assertGreater(len({tuple(one.full_tokens) for one in found}), 1)


@check("GW9_10")
def GW9_10_seed_temperature_top_k_top_p(t):
    def tokens(**named):
        return sample(t, **named)[0].full_tokens
    t.assertEqual(tokens(seed=7), tokens(seed=7))
    t.assertEqual(tokens(temperature=0.0), tokens(temperature=0.0))
    t.assertEqual(tokens(temperature=1.0, top_k=1, seed=3), tokens(temperature=0.0))
    t.assertEqual(tokens(temperature=1.0, top_p=1e-6, seed=4), tokens(temperature=0.0))


@check("GW9_10")
def GW9_10_the_answer_names_the_weights(t):
    answer = stream(t, {"stream": False}).json()
    t.assertIn(deployed(t)["identity"], json.dumps(answer))
    events = events_of(stream(t, {"stream": True, "raw_output": True}))
    t.assertIn(deployed(t)["identity"], events[0])


@check("FW21_10")
def FW21_10_streams_are_strict(t):
    answer = stream(t, {"stream": True, "raw_output": True, "logprobs": True, "perf_metrics_in_response": True, "echo": True})
    t.assertTrue(answer.headers["Content-Type"].startswith("text/event-stream"))
    events = events_of(answer)
    t.assertEqual(events[-1], "[DONE]")
    chunks = [json.loads(event) for event in events[:-1]]
    t.assertIn([chunk["choices"][0].get("finish_reason") for chunk in chunks if chunk["choices"]][-1], ("stop", "length"))
    raw = next(chunk["choices"][0]["raw_output"] for chunk in chunks if chunk["choices"] and chunk["choices"][0].get("raw_output"))
    t.assertEqual(raw["completion_token_ids"][: len(PROMPT)], PROMPT)
    content = [one for chunk in chunks if chunk["choices"] and chunk["choices"][0].get("logprobs")
               for one in chunk["choices"][0]["logprobs"]["content"]]
    t.assertEqual(len(content), len(raw["completion_token_ids"]))


def FW21_10_unknown_fields_of_the_vendor_are_refused_in_their_words(t):
    answer = stream(t, {"routing_matrix_format": "parquet_v1"}, expect=400)
    t.assertEqual(answer.json()["error"]["code"], "invalid_request_error")
    t.assertIn("Extra inputs are not permitted, field: 'routing_matrix_format'", answer.json()["error"]["message"])


def GW7_41_request_id_is_echoed(t):
    answer = stream(t, {}, {"x-request-id": "0123456789abcdef0123456789abcdef"})
    t.assertEqual(answer.headers["x-request-id"], "0123456789abcdef0123456789abcdef")


@check(faults=[{"route": "POST /inference/*", "nth": 1, "action": "status", "status": 503}])
def GW7_42_transient_failures_are_retried(t):
    t.assertEqual(len(sample(t)), 1)


def GW7_42_bad_requests_fail_at_once(t):
    deploy, name = running_deployment(t, t.backend.create_job())
    made = sampler(t, name)
    with t.assertRaises(httpx.HTTPStatusError) as caught:
        ask(made, made.sample_with_prompt_tokens([t.backend.vocab_size + 5], max_tokens=4))
    t.assertEqual(caught.exception.response.status_code, 400)


def GW7_42_unknown_deployment_is_404_not_5xx(t):
    answer = t.backend.http("POST", "/inference/v1/completions", {"model": f"accounts/{t.backend.account}/deployments/none",
                                                                  "prompt": PROMPT, "max_tokens": 1})
    t.assertEqual(answer.status, 404, answer)


def GW7_43_server_metrics(t):
    made = sampler(t, deployed(t)["name"])
    result, metrics = ask(made, made.async_completions_stream(PROMPT, max_tokens=4, raw_output=True))
    t.assertEqual(metrics.prompt_tokens if metrics.prompt_tokens is not None else len(PROMPT), len(PROMPT))
    t.assertEqual(result["usage"]["completion_tokens"], len(result["choices"][0]["raw_output"]["completion_token_ids"]))
    t.assertTrue(metrics)


def sampling_client(t):
    kept = deployed(t)
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    sync = syncer(t, client, deploy, name)
    sync.save_and_hotload("one")
    made = sync.get_sampling_client()
    t.cleanup(made.close)
    return client, made


def X_tinker_shaped_sampling_client(t):
    client, made = sampling_client(t)
    answer = made.sample(prompt=ModelInput.from_ints(PROMPT), num_samples=2,
                         sampling_params=SamplingParams(max_tokens=6, temperature=1.0, seed=1),
                         include_prompt_logprobs=True).result()
    t.assertEqual(len(answer.sequences), 2)
    for one in answer.sequences:
        t.assertEqual(len(one.tokens), len(one.logprobs))
        t.assertIn(str(getattr(one.stop_reason, "value", one.stop_reason)), ("stop", "length"))
    t.assertEqual(len(answer.prompt_logprobs), len(PROMPT))
    t.assertIsNone(answer.prompt_logprobs[0])
    logprobs = made.compute_logprobs(ModelInput.from_ints(PROMPT)).result()
    data = Datum(model_input=ModelInput.from_ints(PROMPT[:-1]), loss_fn_inputs={"target_tokens": tensor(PROMPT[1:], "int64")})
    own = client.forward([data], "cross_entropy").result().loss_fn_outputs[0]["logprobs"].data
    for a, b in zip(own, logprobs[1:]):
        t.assertAlmostEqual(a, b, delta=1e-3)


def X_text_prompts_and_chat(t):
    answer = stream(t, {"prompt": "the quick", "stream": False}).json()
    t.assertIsInstance(answer["choices"][0]["text"], str)
    alias = t.backend.http("POST", "/v1/completions", {"model": f"accounts/{t.backend.account}/deployments/{deployed(t)['name']}",
                                                       "prompt": "the quick", "max_tokens": 2})
    t.assertEqual(alias.status, 200)
