# SPDX-License-Identifier: GPL-3.0-or-later
"""Custom losses; they need PyTorch on the client, so they run under label torch."""

import math

from harness.fireworks import AdamParams, Datum, datum, datums, loss_of, rl_datum, tensor, trainer
from harness.suite import check

TORCH = {"label": "torch"}


def stepped(client):
    client.optim_step(AdamParams(learning_rate=1e-3)).result()
    return loss_of(client)


def without_weights(data):
    return [Datum(model_input=one.model_input, loss_fn_inputs={"target_tokens": one.loss_fn_inputs["target_tokens"]})
            for one in data]


@check(**TORCH)
def S22_custom_loss_with_metrics(t):
    _, client = trainer(t)

    def mine(data, logprobs):
        loss = -sum(lp.sum() for lp in logprobs)
        return loss, {"mine": float(loss)}

    result = client.forward_backward_custom(datums(), mine).result()
    t.assertIn("mine", result.metrics)
    t.assertAlmostEqual(result.metrics["mine"], loss_of(client), delta=1e-3)


@check(**TORCH)
def S22_twin_of_cross_entropy(t):
    """-sum(w · lp) by hand gives the gradients of the built-in loss: the next loss is the same within 1e-4."""
    weights = [0.5, -1.0, 2.0, 0.25] + [1.0] * 19
    _, built = trainer(t)
    built.forward_backward([datum(weights=weights)], "cross_entropy").result()
    _, custom = trainer(t)
    import torch

    def mine(data, logprobs):
        return -(torch.tensor(weights) * logprobs[0]).sum(), {}

    custom.forward_backward_custom(without_weights([datum()]), mine).result()
    t.assertAlmostEqual(stepped(built), stepped(custom), delta=1e-4)


def twin(t, loss, config, formula):
    """The custom loss gets (lp, q, a) tensors of the one datum."""
    import torch
    advantages = [1.0, -0.5, 0.0, 2.0, 1.0, -1.0, 0.5, 0.25, -0.25, 1.5, 0.75]
    _, built = trainer(t)
    data, logprobs = rl_datum(built, advantages)
    q = [lp + shift for lp, shift in zip(logprobs, [0.3, -0.4, 0.0, 0.1, -0.1, 0.5, -0.5, 0.2, -0.2, 0.05, -0.6])]
    data = Datum(model_input=data.model_input, loss_fn_inputs={**data.loss_fn_inputs, "logprobs": tensor(q)})
    first = built.forward_backward([data], loss, config).result().metrics["loss:sum"]
    _, custom = trainer(t)
    seen = []

    def mine(_, lps):
        value = formula(torch, lps[0], torch.tensor(q), torch.tensor(advantages))
        seen.append(float(value))
        return value, {}

    custom.forward_backward_custom(without_weights([data]), mine).result()
    t.assertAlmostEqual(first, seen[0], delta=2e-3)
    after = stepped(built), stepped(custom)
    t.assertTrue(all(math.isfinite(value) for value in after))
    t.assertAlmostEqual(after[0], after[1], delta=1e-4)


@check(**TORCH)
def S22_twin_of_importance_sampling(t):
    twin(t, "importance_sampling", None, lambda torch, lp, q, a: -(torch.exp(lp - q) * a).sum())


@check(**TORCH)
def S22_twin_of_ppo(t):
    def formula(torch, lp, q, a):
        ratio = torch.exp(lp - q)
        return -torch.minimum(ratio * a, torch.clamp(ratio, 0.8, 1.2) * a).sum()
    twin(t, "ppo", {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}, formula)


@check(**TORCH)
def S22_twin_of_cispo(t):
    def formula(torch, lp, q, a):
        return -(torch.clamp(torch.exp(lp - q), 0.8, 1.2).detach() * lp * a).sum()
    twin(t, "cispo", {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}, formula)


@check(**TORCH)
def S22_twin_of_dro(t):
    twin(t, "dro", {"beta": 0.05}, lambda torch, lp, q, a: -(lp * a - 0.5 * 0.05 * (lp - q) ** 2).sum())


@check(**TORCH)
def S22_what_the_client_refuses(t):
    _, client = trainer(t)
    data, _ = rl_datum(client, [1.0] * 11)
    with t.assertRaises(ValueError):
        client.forward_backward_custom([data], lambda d, lps: (lps[0].sum(), {}))


@check(versions=["1.2.30"], **TORCH)
def S22_precomputed_forward(t):
    _, client = trainer(t)
    data = datums()
    ahead = client.forward(data, "cross_entropy").result()
    result = client.forward_backward_custom(data, lambda d, lps: (-sum(lp.sum() for lp in lps), {"mine": 1.0}),
                                            precomputed_forward=ahead).result()
    t.assertEqual(result.metrics["mine"], 1.0)
    before = loss_of(client)
    t.assertLess(stepped(client), before)


@check("TR_C07", **TORCH)
def TR_C07_two_dimensional_torch_tensors(t):
    """The client turns a thin 2-D tensor into sparse CSR; the answer is dense."""
    import torch

    from harness.fireworks import ModelInput, TensorData
    _, client = trainer(t)
    targets = torch.zeros((3, 8), dtype=torch.int64)
    weights = torch.zeros((3, 8))
    for i in range(3):
        targets[i, i] = 40 + i
        weights[i, i] = 1.0
    data = Datum(model_input=ModelInput.from_ints([39, 40, 41]),
                 loss_fn_inputs={"target_tokens": TensorData.from_torch(targets), "weights": TensorData.from_torch(weights)})
    result = client.forward_backward([data], "cross_entropy").result()
    logprobs = result.loss_fn_outputs[0]["logprobs"]
    t.assertEqual(list(logprobs.shape), [3, 8])
    t.assertAlmostEqual(result.metrics["loss:sum"], -sum(logprobs.data[i * 8 + i] for i in range(3)), delta=1e-3)
