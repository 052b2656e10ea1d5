# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses computed by the client (needs PyTorch there): the same next loss as their built-in twins."""

import tinker

from harness import twins
from harness.suite import check
from harness.tinker import PATTERN, adam, connect, datum, logprobs, lora, loss_of, near, now, prompt, tensor, weighted

DATA = [weighted(twins.TOKENS)]


def pair(t):
    service = connect(t)
    return lora(t, service, seed=21), lora(t, service, seed=21)


def compare(t, name):
    one, two = pair(t)
    for index in range(3):
        lp = logprobs(one.forward([datum(twins.TOKENS)], "cross_entropy").result())
        sampled = [value + shift for value, shift in zip(lp, twins.SHIFTS)]
        inputs = {} if name == "cross_entropy" else {"logprobs": tensor(sampled), "advantages": tensor(twins.ADVANTAGES)}
        weights = twins.WEIGHTS if name == "cross_entropy" else None
        built_in = one.forward_backward([datum(twins.TOKENS, weights, **inputs)], name, twins.CONFIG[name]).result()
        # A bare datum: the loss carries its own inputs.
        custom = two.forward_backward_custom([datum(twins.TOKENS)], twins.twin(name, sampled))
        result = custom.result()
        t.assertAlmostEqual(result.metrics["mine"], built_in.metrics["loss:sum"], delta=2e-3, msg=f"{name}, step {index}")
        for client in (one, two):
            client.optim_step(adam(0.005)).result()
        t.assertAlmostEqual(loss_of(one, DATA), loss_of(two, DATA), delta=1e-4, msg=f"{name}, step {index}")


@check("S22", label="torch")
def TK21_05_custom_cross_entropy(t):
    compare(t, "cross_entropy")


@check("S22", label="torch")
def TK21_05_custom_importance_sampling(t):
    compare(t, "importance_sampling")


@check("S22", label="torch")
def TK21_05_custom_ppo(t):
    compare(t, "ppo")


@check("S22", label="torch")
def TK21_05_custom_cispo(t):
    compare(t, "cispo")


@check("S22", label="torch")
def TK21_05_custom_dro(t):
    compare(t, "dro")


@check("TR_C08", label="torch")
def TK21_05_several_datums_and_their_metrics(t):
    client = lora(t)
    data = [datum(twins.TOKENS), datum(PATTERN)]

    def loss(data, logprobs):
        value = -logprobs[0].sum() - 2 * logprobs[1].sum()
        return value, {"pairs": 2.0}

    result = client.forward_backward_custom(data, loss).result()
    t.assertEqual(result.metrics["pairs"], 2.0)
    t.assertIn("loss:sum", result.metrics)
    if t.version == "0.38.0":
        t.assertIn("surrogate_loss:sum", result.metrics)
    client.optim_step(adam()).result()


@check(label="torch")
def TK21_05_two_thousand_datums(t):
    """More than one chunk: all numbers of the call are taken at once."""
    client = lora(t, rank=4)
    data = [datum([97, 98]) for _ in range(1030)]

    def loss(data, logprobs):
        import torch
        return -torch.stack([row.sum() for row in logprobs]).sum(), {}

    before = loss_of(client, [datum([97, 98])])
    custom = client.forward_backward_custom(data, loss)
    update = client.optim_step(adam(0.002))
    custom.result(60)
    update.result(60)
    t.assertLess(loss_of(client, [datum([97, 98])]), before)


@check(label="torch", versions=["0.38.0"])
def TK21_05_candidates_per_position(t):
    """(N, K) logprobs reach the loss and its gradients come back in that shape."""
    client = lora(t)
    n, k = 6, 3
    targets = [(7 * i + 31 * j) % 256 for i in range(n) for j in range(k)]
    data = [tinker.Datum(model_input=prompt(twins.TOKENS[:n]), loss_fn_inputs={"target_tokens": tensor(targets, "int64", [n, k])})]
    seen = []

    def loss(data, logprobs):
        seen.append(tuple(logprobs[0].shape))
        return -logprobs[0][:, 1].sum(), {}

    single = [datum(twins.TOKENS[:n], targets=targets[1::k])]
    before = loss_of(client, single)
    client.forward_backward_custom(data, loss).result()
    client.optim_step(adam()).result()
    t.assertEqual(seen, [(n, k)])
    t.assertLess(loss_of(client, single), before)


@check(label="torch", versions=["0.38.0"])
def TK21_05_a_traced_loss_runs_in_the_client(t):
    service = connect(t)
    client = lora(t, service)

    def neg(logprobs, weights):
        value = -(logprobs * weights).sum()
        return value, {"custom/neg:sum": value}

    handle = service.create_custom_loss(neg, input_ranks={"logprobs": 1, "weights": 1}).result(30)
    result = client.forward_backward_custom(DATA, handle).result(30)
    t.assertAlmostEqual(result.metrics["custom/neg:sum"], loss_of(client, DATA), delta=1e-2)


@check(label="torch")
def TK21_05_a_loss_that_raises(t):
    client = lora(t)

    def loss(data, logprobs):
        raise ZeroDivisionError("in the user's loss")

    with t.assertRaises(ZeroDivisionError):
        client.forward_backward_custom(DATA, loss).result()
    # The server is none the wiser: another client of the same service trains on.
    other = lora(t)
    other.forward_backward(DATA, "cross_entropy").result()
    other.optim_step(adam()).result()


@check("TR_C07", label="torch")
def TR_C07_sparse_tensors_from_torch(t):
    import torch
    client = lora(t)
    targets = torch.zeros(4, 40, dtype=torch.int64)
    weights = torch.zeros(4, 40)
    for row in range(4):
        targets[row, row] = 97 + row
        weights[row, row] = 0.5
    data = tinker.Datum(model_input=prompt(twins.TOKENS[:4]), loss_fn_inputs={
        "target_tokens": tinker.TensorData.from_torch_sparse(targets), "weights": tinker.TensorData.from_torch_sparse(weights)})
    t.assertIsNotNone(data.loss_fn_inputs["weights"].sparse_crow_indices)
    output = client.forward([data], "cross_entropy").result()
    found = output.loss_fn_outputs[0]["logprobs"].to_torch()
    t.assertEqual(tuple(found.shape), (4, 40))
    plain = client.forward([datum(twins.TOKENS[:4], [0.5] * 4, targets=[97, 98, 99, 100])], "cross_entropy").result()
    t.assertAlmostEqual(output.metrics["loss:sum"], plain.metrics["loss:sum"], delta=1e-4)
    near(t, [float(found[row, row]) for row in range(4)], logprobs(plain), 1e-5)
