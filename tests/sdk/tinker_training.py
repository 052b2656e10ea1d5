# SPDX-License-Identifier: GPL-3.0-or-later
"""forward, forward_backward, optim_step: losses, gradients, chunks, order."""

import math
import time

import tinker

from harness.suite import check
from harness.tinker import PATTERN, adam, connect, datum, logprobs, lora, loss_of, near, prompt, step, tensor, weighted
from harness.wire import Wire, json_datum

TEXT = list(b"a small model learns this line by heart")


def pair(t, **named):
    """Two clients with equal weights."""
    service = connect(t)
    return lora(t, service, seed=21, **named), lora(t, service, seed=21, **named)


def same_next_loss(t, one, two, data, within=1e-4):
    for client in (one, two):
        client.optim_step(adam(0.005)).result()
    t.assertAlmostEqual(loss_of(one, data), loss_of(two, data), delta=within)


@check("TK21_01", "TK21_13")
def TR_C06_forward_leaves_gradients_alone(t):
    one, two = pair(t)
    data = [weighted(TEXT)]
    first = one.forward_backward(data, "cross_entropy").result()
    two.forward_backward(data, "cross_entropy").result()
    for _ in range(2):
        seen = two.forward(data, "cross_entropy").result()
    t.assertEqual(seen.metrics["loss:sum"], first.metrics["loss:sum"])
    near(t, logprobs(seen), logprobs(first), 1e-6)
    same_next_loss(t, one, two, data, 1e-6)


def TR_C06_two_calls_equal_one_on_both(t):
    one, two = pair(t)
    a, b = weighted(TEXT), weighted(PATTERN)
    one.forward_backward([a, b], "cross_entropy").result()
    two.forward_backward([a], "cross_entropy").result()
    two.forward_backward([b], "cross_entropy").result()
    same_next_loss(t, one, two, [a, b])


def TR_C06_a_step_takes_the_gradients_away(t):
    one, two = pair(t)
    data = [weighted(TEXT)]
    for client in (one, two):
        step(client, data)
    before = loss_of(one, data)
    # Nothing accumulated: weights move by the moments alone, like those of a model that saw a zero gradient.
    one.optim_step(adam()).result()
    two.forward_backward([datum(TEXT, [0.0] * len(TEXT))], "cross_entropy").result()
    two.optim_step(adam()).result()
    t.assertAlmostEqual(loss_of(one, data), loss_of(two, data), delta=1e-6)
    t.assertNotEqual(loss_of(one, data), before)


@check("TR_C08")
def TK21_05_weights_of_any_sign_and_size(t):
    one, two = pair(t)
    weights = [0.5 * (index % 5) - 1.0 for index in range(len(TEXT))]
    output = one.forward_backward([datum(TEXT, weights)], "cross_entropy").result()
    expected = -sum(w * lp for w, lp in zip(weights, logprobs(output)))
    t.assertAlmostEqual(output.metrics["loss:sum"], expected, delta=1e-3)
    # No normalization: twice the weights, twice the loss and the gradient.
    twice = two.forward_backward([datum(TEXT, [2 * w for w in weights])], "cross_entropy").result()
    t.assertAlmostEqual(twice.metrics["loss:sum"], 2 * expected, delta=2e-3)
    zero = two.forward([datum(TEXT, [0.0] * len(TEXT))], "cross_entropy").result()
    t.assertEqual(zero.metrics["loss:sum"], 0)


def TK21_05_missing_weights_are_ones(t):
    client = lora(t)
    bare = client.forward([datum(TEXT)], "cross_entropy").result()
    ones = client.forward([weighted(TEXT)], "cross_entropy").result()
    t.assertEqual(bare.metrics["loss:sum"], ones.metrics["loss:sum"])
    t.assertAlmostEqual(bare.metrics["loss:sum"], -sum(logprobs(bare)), delta=1e-3)


@check("TR_C07", "TK21_01")
def TR_C07_candidates_per_position(t):
    """(N, K) targets: the loss is the weighted sum over candidates; logprobs come back dense."""
    client = lora(t)
    n, k = 6, 3
    tokens = TEXT[:n]
    targets = [(7 * i + 31 * j) % 256 for i in range(n) for j in range(k)]
    weights = [0.25 * j for i in range(n) for j in range(k)]
    output = client.forward([tinker.Datum(model_input=prompt(tokens), loss_fn_inputs={
        "target_tokens": tensor(targets, "int64", [n, k]), "weights": tensor(weights, "float32", [n, k])})],
        "cross_entropy").result()
    found = output.loss_fn_outputs[0]["logprobs"]
    t.assertEqual(list(found.shape), [n, k])
    t.assertAlmostEqual(output.metrics["loss:sum"], -sum(w * lp for w, lp in zip(weights, found.data)), delta=1e-3)
    single = client.forward([datum(tokens, targets=targets[0::k])], "cross_entropy").result()
    near(t, list(found.data)[0::k], logprobs(single), 1e-5)


@check("TK21_01")
def TR_C07_sparse_targets_are_densified(t):
    client = lora(t)
    tokens = TEXT[:2]
    if t.version == "0.23.0":
        sparse = {name: tinker.TensorData(data=values, dtype=dtype, shape=[2, 6], sparse_crow_indices=[0, 1, 2],
                                          sparse_col_indices=[0, 0])
                  for name, values, dtype in (("target_tokens", [98, 99], "int64"), ("weights", [1.0, 0.5], "float32"))}
    else:
        sparse = {name: tinker.TensorData(values, dtype, [2, 6], [0, 1, 2], [0, 0])
                  for name, values, dtype in (("target_tokens", [98, 99], "int64"), ("weights", [1.0, 0.5], "float32"))}
    output = client.forward([tinker.Datum(model_input=prompt(tokens), loss_fn_inputs=sparse)], "cross_entropy").result()
    found = output.loss_fn_outputs[0]["logprobs"]
    t.assertEqual(list(found.shape), [2, 6])
    plain = client.forward([datum(tokens, [1.0, 0.5], targets=[98, 99])], "cross_entropy").result()
    near(t, [found.data[0], found.data[6]], logprobs(plain), 1e-5)
    t.assertAlmostEqual(output.metrics["loss:sum"], plain.metrics["loss:sum"], delta=1e-4)
    # What is not listed is token 0 with weight 0.
    zero = client.forward([datum(tokens, targets=[0, 0])], "cross_entropy").result()
    near(t, list(found.data)[1:6], [logprobs(zero)[0]] * 5, 1e-5)


def RL(tokens, sampled, advantages, **more):
    return datum(tokens, None, logprobs=tensor(sampled), advantages=tensor(advantages), **more)


def rl_case(t, client):
    """Tokens, the model's logprobs, logprobs as if sampled by an older model, advantages."""
    tokens = TEXT[:12]
    lp = logprobs(client.forward([datum(tokens)], "cross_entropy").result())
    sampled = [value + 0.15 * ((index % 5) - 2) for index, value in enumerate(lp)]
    advantages = [0.0, 1.0, -0.5, 2.0, 0.25, -1.0, 1.5, 0.5, -2.0, 1.0, 0.0, -0.75]
    return tokens, lp, sampled, advantages


def clamp(value, low, high):
    return min(max(value, low), high)


FORMULAS = {
    # name → (config, loss of one token from lp, q, A)
    "importance_sampling": ({}, lambda lp, q, a: -math.exp(lp - q) * a),
    "ppo": ({"clip_low_threshold": 0.8, "clip_high_threshold": 1.2},
            lambda lp, q, a: -min(math.exp(lp - q) * a, clamp(math.exp(lp - q), 0.8, 1.2) * a)),
    "cispo": ({"clip_low_threshold": 0.8, "clip_high_threshold": 1.2},
              lambda lp, q, a: -clamp(math.exp(lp - q), 0.8, 1.2) * lp * a),
    "dro": ({"beta": 0.05}, lambda lp, q, a: -(lp * a - 0.5 * 0.05 * (lp - q) ** 2)),
}


def X_policy_losses_have_their_values(t):
    client = lora(t)
    tokens, lp, sampled, advantages = rl_case(t, client)
    data = [RL(tokens, sampled, advantages)]
    for name, (config, formula) in FORMULAS.items():
        output = client.forward_backward(data, name, config or None).result()
        expected = sum(formula(*row) for row in zip(lp, sampled, advantages))
        t.assertAlmostEqual(output.metrics["loss:sum"], expected, delta=2e-3, msg=name)
        near(t, logprobs(output), lp, 1e-5)


GRADIENTS = {
    "importance_sampling": ({}, lambda lp, q, a: -math.exp(lp - q) * a),
    "ppo": ({"clip_low_threshold": 0.8, "clip_high_threshold": 1.2},
            lambda lp, q, a: 0.0 if (a >= 0 and math.exp(lp - q) > 1.2) or (a < 0 and math.exp(lp - q) < 0.8)
            else -math.exp(lp - q) * a),
    "cispo": ({"clip_low_threshold": 0.8, "clip_high_threshold": 1.2},
              lambda lp, q, a: -clamp(math.exp(lp - q), 0.8, 1.2) * a),
    "dro": ({"beta": 0.05}, lambda lp, q, a: -(a - 0.05 * (lp - q))),
}


@check("TK21_05")
def X_policy_losses_have_their_gradients(t):
    """A step of the loss equals a step of cross_entropy with weights −∂loss/∂logprob."""
    for name, (config, gradient) in GRADIENTS.items():
        one, two = pair(t)
        tokens, lp, sampled, advantages = rl_case(t, one)
        one.forward_backward([RL(tokens, sampled, advantages)], name, config or None).result()
        two.forward_backward([datum(tokens, [-gradient(*row) for row in zip(lp, sampled, advantages)])],
                             "cross_entropy").result()
        same_next_loss(t, one, two, [weighted(tokens)])


def X_thresholds_per_token(t):
    client = lora(t)
    tokens, lp, sampled, advantages = rl_case(t, client)
    low = [0.9 if index % 2 else 0.5 for index in range(len(tokens))]
    high = [1.1 if index % 2 else 1.5 for index in range(len(tokens))]
    output = client.forward([RL(tokens, sampled, advantages, clip_low_threshold=tensor(low), clip_high_threshold=tensor(high))],
                            "ppo").result()
    expected = sum(-min(math.exp(p - q) * a, clamp(math.exp(p - q), lo, hi) * a)
                   for p, q, a, lo, hi in zip(lp, sampled, advantages, low, high))
    t.assertAlmostEqual(output.metrics["loss:sum"], expected, delta=2e-3)


def X_default_thresholds_of_ppo(t):
    client = lora(t)
    tokens, _, sampled, advantages = rl_case(t, client)
    data = [RL(tokens, sampled, advantages)]
    named = client.forward(data, "ppo", {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}).result()
    t.assertEqual(client.forward(data, "ppo").result().metrics["loss:sum"], named.metrics["loss:sum"])


def X_gspo_uses_the_ratio_of_the_sequence(t):
    client = lora(t)
    tokens, lp, sampled, advantages = rl_case(t, client)
    config = {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}
    output = client.forward([RL(tokens, sampled, advantages)], "gspo", config).result()
    active = [index for index, a in enumerate(advantages) if a != 0]
    ratio = math.exp(sum(lp[i] - sampled[i] for i in active) / len(active))
    expected = sum(-min(ratio * advantages[i], clamp(ratio, 0.8, 1.2) * advantages[i]) for i in active)
    t.assertAlmostEqual(output.metrics["loss:sum"], expected, delta=2e-3)
    mask = [1.0 if index >= 6 else 0.0 for index in range(len(tokens))]
    masked = client.forward([RL(tokens, sampled, advantages, sequence_ratio_mask=tensor(mask))], "gspo", config).result()
    ratio = math.exp(sum(m * (p - q) for m, p, q in zip(mask, lp, sampled)) / sum(mask))
    expected = sum(-min(ratio * a, clamp(ratio, 0.8, 1.2) * a) for a in advantages)
    t.assertAlmostEqual(masked.metrics["loss:sum"], expected, delta=2e-3)


@check("TK21_13")
def X_a_loss_without_a_public_formula_names_the_alternative(t):
    client = lora(t)
    tokens, _, sampled, advantages = rl_case(t, client)
    for name in ("stable_reinforce", "nonsense"):
        with t.assertRaises(tinker.RequestFailedError) as caught:
            client.forward_backward([RL(tokens, sampled, advantages)], name).result()
        t.assertEqual(str(caught.exception.category), "user")
        t.assertIn("importance_sampling", str(caught.exception))
    step(client, [weighted(tokens)])


def X_an_unknown_option_of_a_loss(t):
    client = lora(t)
    tokens, _, sampled, advantages = rl_case(t, client)
    with t.assertRaises(tinker.RequestFailedError) as caught:
        client.forward([RL(tokens, sampled, advantages)], "ppo", {"clip_lo": 0.8}).result()
    t.assertEqual(str(caught.exception.category), "user")
    t.assertIn("clip_lo", str(caught.exception))


@check("TR_C15")
def X_bad_data_is_a_user_error_that_names_the_datum(t):
    client = lora(t)
    n = len(TEXT)
    bad = {
        "target_tokens": [tinker.Datum(model_input=prompt(TEXT), loss_fn_inputs={"weights": tensor([1.0] * n)})],
        "300": [datum(TEXT, targets=[300] * n)],
        "-5": [datum(TEXT, targets=[-5] * n)],
        "999": [datum([999] + TEXT[1:], targets=TEXT)],
        str(n): [datum(TEXT, targets=TEXT[:-1])],
        "weights": [datum(TEXT, [1.0] * (n - 1))],
    }
    for word, data in bad.items():
        with t.assertRaises(tinker.RequestFailedError) as caught:
            client.forward_backward([weighted(), *data], "cross_entropy").result()
        t.assertEqual(str(caught.exception.category), "user", word)
        t.assertIn(word, str(caught.exception))
        t.assertIn("datum 1", str(caught.exception).lower(), word)
    with t.assertRaises(tinker.RequestFailedError) as caught:
        client.forward_backward([weighted()], "ppo").result()
    t.assertIn("logprobs", str(caught.exception))
    step(client, [weighted()])


def X_images_are_refused_in_words(t):
    client = lora(t)
    image = tinker.types.ImageChunk(data=b"\x89PNG", format="png", expected_tokens=1)
    data = tinker.Datum(model_input=tinker.ModelInput(chunks=[image]), loss_fn_inputs={"target_tokens": tensor([1], "int64")})
    with t.assertRaises(tinker.RequestFailedError) as caught:
        client.forward([data], "cross_entropy").result()
    t.assertEqual(str(caught.exception.category), "user")
    t.assertIn("image", str(caught.exception).lower())


def X_several_text_chunks_are_one_input(t):
    client = lora(t)
    halves = tinker.ModelInput(chunks=[tinker.EncodedTextChunk(tokens=TEXT[:9]), tinker.EncodedTextChunk(tokens=TEXT[9:])])
    data = tinker.Datum(model_input=halves, loss_fn_inputs={"target_tokens": tensor(TEXT[1:] + TEXT[:1], "int64")})
    t.assertEqual(loss_of(client, [data]), loss_of(client, [datum(TEXT)]))


@check("TK21_01", "TK21_05")
def TR_C09_metric_keys(t):
    client = lora(t)
    tokens, _, sampled, advantages = rl_case(t, client)
    for name, data in (("cross_entropy", [weighted(tokens)]), ("ppo", [RL(tokens, sampled, advantages)]),
                       ("importance_sampling", [RL(tokens, sampled, advantages)])):
        wire = Wire(t.backend)
        t.cleanup(wire.finish)
        wire.create()
        raw = json_datum(tokens, logprobs={"data": sampled, "dtype": "float32"}, advantages={"data": advantages, "dtype": "float32"})
        if name == "cross_entropy":
            raw = json_datum(tokens)
        metrics = wire.forward_backward([raw], name)["metrics"]
        t.assertIn("loss:sum", metrics)
        for key in metrics:
            t.assertEqual(key.count(":"), 1, key)
            t.assertIn(key.split(":")[1], ("mean", "sum", "min", "max", "slack", "unique"), key)
        output = client.forward_backward(data, name).result()
        t.assertIn("loss:sum", output.metrics)
    t.assertIn("grad_norm", client.optim_step(adam()).result().metrics)


@check("TK21_01", "TK21_08")
def TR_C04_chunks_of_one_call(t):
    """2100 datums are three requests, the first one sent last: one step over all gradients."""
    one, two = pair(t)
    data = [datum([97 + index % 20, 98, 99], [1.0, 0.0, 0.5]) for index in range(2100)]
    whole = one.forward_backward(data, "cross_entropy").result()
    t.assertEqual(len(whole.loss_fn_outputs), len(data))
    parts = 0.0
    for begin in range(0, len(data), 700):
        parts += two.forward_backward(data[begin:begin + 700], "cross_entropy").result().metrics["loss:sum"]
    t.assertAlmostEqual(whole.metrics["loss:sum"], parts, delta=abs(parts) * 1e-5)
    single = one.forward([data[1500]], "cross_entropy").result()
    near(t, logprobs(whole, 1500), logprobs(single), 1e-5)
    same_next_loss(t, one, two, data[:20])


def TK21_04_a_bad_datum_at_the_end_of_1025(t):
    client = lora(t)
    data = [datum([97, 98]) for _ in range(1024)] + [datum([97, 98], targets=[9999, 1])]
    with t.assertRaises(tinker.RequestFailedError) as caught:
        client.forward_backward(data, "cross_entropy").result(60)
    t.assertEqual(str(caught.exception.category), "user")
    client.optim_step(adam()).result(60)
    t.assertGreater(loss_of(client, [weighted()]), 0)


@check("TR_C02")
def TK21_08_64_outstanding_futures(t):
    """More than the client's own pool of connections; every future is polled at once."""
    client = lora(t, rank=4)
    data = [weighted(PATTERN[:8])]
    begin = time.monotonic()
    futures = []
    for _ in range(32):
        futures.append(client.forward_backward(data, "cross_entropy"))
        futures.append(client.optim_step(adam(0.002)))
    losses = [future.result(60).metrics["loss:sum"] for future in futures[0::2]]
    for future in futures[1::2]:
        future.result(60)
    t.assertLess(losses[-1], losses[0])
    t.assertLess(time.monotonic() - begin, 60)
    polls = [line for line in t.backend.log_text().splitlines() if "try_again" in line]
    t.assertEqual(polls, [])


def TR_C14_adam_moves_as_specified(t):
    """Two equal models, one with two half learning rates: not equal; with the same ones: equal bit by bit."""
    one, two = pair(t)
    data = [weighted(TEXT)]
    for _ in range(3):
        step(one, data, 0.004)
        step(two, data, 0.004)
    t.assertEqual(loss_of(one, data), loss_of(two, data))
    step(one, data, 0.004)
    step(two, data, 0.008)
    t.assertNotEqual(loss_of(one, data), loss_of(two, data))


def X_gradient_clipping_and_decay(t):
    client = lora(t)
    data = [weighted(TEXT)]
    client.forward_backward(data, "cross_entropy").result()
    free = client.optim_step(adam(0.001)).result().metrics["grad_norm"]
    t.assertGreater(free, 0)
    one, two = pair(t)
    for clip, client in ((0.0, one), (free / 100, two)):
        for _ in range(2):
            client.forward_backward(data, "cross_entropy").result()
            client.optim_step(adam(0.002, grad_clip_norm=clip)).result()
            client.forward_backward([weighted(PATTERN)], "cross_entropy").result()
            client.optim_step(adam(0.002, grad_clip_norm=clip)).result()
    t.assertNotEqual(loss_of(one, data), loss_of(two, data))
    one, two = pair(t)
    for decay, client in ((0.0, one), (0.5, two)):
        for _ in range(2):
            client.forward_backward(data, "cross_entropy").result()
            client.optim_step(adam(0.002, weight_decay=decay)).result()
    t.assertNotEqual(loss_of(one, data), loss_of(two, data))


def X_a_step_with_a_bad_value(t):
    wire = Wire(t.backend)
    t.cleanup(wire.finish)
    wire.create()
    from harness.wire import Refused
    for name, value in (("learning_rate", -1.0), ("beta1", 1.5), ("eps", -1.0)):
        with t.assertRaises(Refused) as caught:
            wire.run("optim_step", {"adam_params": {"learning_rate": 0.1, name: value}, "type": "optim_step"})
        t.assertEqual(caught.exception.category, "user")
        t.assertIn(name, caught.exception.body["error"])


@check("TR_C25")
def TR_C25_a_loss_that_is_not_finite_fails(t):
    client = lora(t)
    tokens = TEXT[:4]
    with t.assertRaises(tinker.RequestFailedError):
        client.forward_backward([RL(tokens, [-2000.0] * 4, [1.0] * 4)], "importance_sampling").result()
    step(client, [weighted()])


@check("TK21_13")
def X_a_model_learns(t):
    client = lora(t, rank=16)
    data = [weighted(PATTERN * 2)]
    first = step(client, data, 0.004).metrics["loss:sum"]
    for _ in range(15):
        last = step(client, data, 0.004).metrics["loss:sum"]
    t.assertLess(last, 0.7 * first)


@check("TR_C05", "TK21_08")
def TR_C05_a_failed_call_does_not_stall_the_next(t):
    client = lora(t)
    futures = []
    for index in range(6):
        bad = index % 2
        futures.append(client.forward_backward([datum(TEXT, targets=[999 if bad else 7] * len(TEXT))], "cross_entropy"))
    update = client.optim_step(adam())
    for index, future in enumerate(futures):
        if index % 2:
            with t.assertRaises(tinker.RequestFailedError):
                future.result(30)
        else:
            t.assertGreater(future.result(30).metrics["loss:sum"], 0)
    update.result(30)


def X_an_empty_call_is_refused_by_the_client(t):
    client = lora(t)
    with t.assertRaises(ValueError):
        client.forward_backward([], "cross_entropy").result()
    step(client, [weighted()])
