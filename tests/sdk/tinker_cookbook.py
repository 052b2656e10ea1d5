# SPDX-License-Identifier: GPL-3.0-or-later
"""Loops in the call pattern of tinker-cookbook, without the cookbook."""

import asyncio
import random

import tinker
from tinker import types

from harness.suite import check
from harness.tinker import PATTERN, adam, connect, datum, lora, near, now, prompt, rest, session_of, tensor, unload, weighted

LINES = [b"the cat sat on the mat. ", b"a dog ran in the park. ", b"the sun is in the sky. ", b"a bird sings to the sea. "]


def example(line):
    """Loss on the second half only, weights normalized per example."""
    tokens = list(line)
    scored = len(tokens) // 2
    weights = [0.0] * (len(tokens) - 1 - scored) + [1.0 / scored] * scored
    return datum(tokens[:-1], weights, targets=tokens[1:])


@check("TK21_13")
def TK21_13_a_supervised_loop(t):
    named = {"display_name": "sl-test"} if t.version == "0.38.0" else {}
    service = connect(t, user_metadata={"recipe_name": "sl", "git_rev": "1"}, **named)

    async def go():
        client = await service.create_lora_training_client_async(base_model=t.backend.base_model, rank=16, seed=1,
                                                                 user_metadata={"renderer_name": "role_colon"})
        data = [example(line) for line in LINES]
        rows, saves, pending = [], [], None

        async def finish(row):
            index, forward, update = row
            metrics = (await forward).metrics
            step = (await update).metrics or {}
            rows.append({"step": index, "train_mean_nll": metrics["loss:sum"] / len(data), **step})

        for index in range(8):
            rate = 0.004 * (1 - index / 10)
            # The next batch goes out before the previous one is read.
            submitted = (index, await client.forward_backward_async(data, "cross_entropy"),
                         await client.optim_step_async(adam(rate)))
            if pending:
                await finish(pending)
            pending = submitted
            if index % 4 == 3:
                name = f"{index:06d}"
                state, weights = await asyncio.gather(client.save_state_async(name, ttl_seconds=604800),
                                                      client.save_weights_for_sampler_async(name, ttl_seconds=604800))
                saves.append(((await state).path, (await weights).path))
                sampler = await client.save_weights_and_get_sampling_client_async()
                scores = await asyncio.gather(*(sampler.compute_logprobs_async(prompt(line)) for line in LINES))
                t.assertTrue(all(len(score) == len(line) for score, line in zip(scores, LINES)))
        await finish(pending)
        final = (await (await client.save_state_async("final"))).path
        return client, rows, saves, final

    client, rows, saves, final = asyncio.run(go())
    t.assertEqual([row["step"] for row in rows], list(range(8)))
    t.assertLess(rows[-1]["train_mean_nll"], 0.8 * rows[0]["train_mean_nll"])
    t.assertIn("grad_norm", rows[0])
    # Resuming: the run of the last checkpoint's path, its renderer, then a client from its state.
    found = now(rest(t).get_training_run_by_tinker_path(final))
    t.assertEqual(found.user_metadata["renderer_name"], "role_colon")
    other = now(connect(t).create_training_client_from_state_with_optimizer(final))
    t.cleanup(unload, t, other.model_id)
    data = [example(line) for line in LINES]
    a = other.forward(data, "cross_entropy").result().metrics["loss:sum"]
    b = client.forward(data, "cross_entropy").result().metrics["loss:sum"]
    t.assertAlmostEqual(a, b, delta=1e-5)
    expiries = {row.checkpoint_id: row.expires_at for row in now(rest(t).list_checkpoints(client.model_id)).checkpoints}
    t.assertIsNone(expiries["weights/final"])
    t.assertIsNotNone(expiries["weights/000003"])


@check("TK21_13", "TK21_06")
def TK21_13_a_policy_gradient_loop(t):
    """Reward: the letter e. Groups of samples, centred advantages, importance sampling."""
    service = connect(t)
    client = lora(t, service, rank=16)
    start = list(b"the cat ")
    rewards = []
    for step in range(6):
        sampler = now(client.save_weights_and_get_sampling_client())
        result = sampler.sample(prompt(start), 8, types.SamplingParams(max_tokens=8, seed=step, stop=[])).result(60)
        scores = [sum(token == ord("e") for token in sequence.tokens) / 8 for sequence in result.sequences]
        rewards.append(sum(scores) / len(scores))
        data = []
        for sequence, score in zip(result.sequences, scores):
            whole = start + list(sequence.tokens)
            padding = [0.0] * (len(start) - 1)
            data.append(datum(whole[:-1], targets=whole[1:], logprobs=tensor(padding + list(sequence.logprobs)),
                              advantages=tensor(padding + [score - rewards[-1]] * len(sequence.tokens))))
        output = client.forward_backward(data, "importance_sampling")
        client.optim_step(adam(0.005)).result(60)
        # On policy: every ratio is 1, so the loss is minus the sum of advantages.
        total = sum(sum(row.loss_fn_inputs["advantages"].data) for row in data)
        t.assertAlmostEqual(output.result(60).metrics["loss:sum"], -total, delta=1e-2)
    t.assertGreater(max(rewards[3:]), rewards[0])


@check("TK21_13")
def TK21_13_the_loss_of_rl_recipes_says_what_to_use(t):
    """Their default loss has no public formula: the answer names importance_sampling."""
    client = lora(t, rank=4)
    tokens = PATTERN[:10]
    data = [datum(tokens, logprobs=tensor([-1.0] * 10), advantages=tensor([1.0] * 10))]
    with t.assertRaises(tinker.RequestFailedError) as caught:
        client.forward_backward(data, "stable_reinforce", {"kl_coeff": 0.1}).result()
    t.assertIn("importance_sampling", str(caught.exception))
