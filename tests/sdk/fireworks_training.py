# SPDX-License-Identifier: GPL-3.0-or-later
"""forward, forward_backward, losses, optim_step."""

import math
import time

from harness.fireworks import (AdamParams, Datum, ModelInput, RequestFailedError, TensorData, datum, datums, loss_of, rl_datum,
                               sdk, tensor, train_a_step, trainer)
from harness.suite import check


def S21_forward_gives_logprobs_of_every_token(t):
    _, client = trainer(t)
    data = datums(3)
    result = client.forward(data, "cross_entropy").result()
    t.assertEqual(len(result.loss_fn_outputs), 3)
    total = 0.0
    for one, output in zip(data, result.loss_fn_outputs):
        logprobs = output["logprobs"]
        t.assertEqual(list(logprobs.shape), [len(one.loss_fn_inputs["target_tokens"].data)])
        t.assertTrue(all(value < 0 for value in logprobs.data))
        total -= sum(logprobs.data)
    t.assertAlmostEqual(result.metrics["loss:sum"], total, delta=1e-3)


@check("FW21_01")
def S21_no_target_tokens_is_refused_in_words(t):
    _, client = trainer(t)
    bare = Datum(model_input=ModelInput.from_ints([1, 2, 3]), loss_fn_inputs={"weights": tensor([1.0, 1.0, 1.0])})
    for call in (client.forward, client.forward_backward):
        with t.assertRaises(RequestFailedError) as caught:
            call([bare], "cross_entropy").result()
        t.assertIn("target_tokens", str(caught.exception))
        t.assertEqual(str(caught.exception.category.value).lower(), "user")
    t.assertGreater(loss_of(client), 0)


def FW21_01_every_user_error_comes_in_the_future(t):
    """And the same client trains on afterwards."""
    _, client = trainer(t)
    tokens = list(range(5, 12))

    def one(targets, model_input=None, **inputs):
        return Datum(model_input=ModelInput.from_ints(model_input or tokens),
                     loss_fn_inputs={"target_tokens": tensor(targets, "int64"), **inputs})

    bad = [
        ([one(tokens[:-1])], "cross_entropy", None),
        ([one([t.backend.vocab_size] * len(tokens))], "cross_entropy", None),
        ([one([-1] * len(tokens))], "cross_entropy", None),
        ([one(tokens, [t.backend.vocab_size] * len(tokens))], "cross_entropy", None),
        ([one(tokens, weights=tensor([1.0]))], "cross_entropy", None),
        ([one(tokens)], "no_such_loss", None),
        ([one(tokens)], "importance_sampling", None),
        ([one(tokens)], "cross_entropy", {"no_such_key": 1.0}),
        ([one(tokens)], "cross_entropy", {"output": "embedding"}),
    ]
    for data, loss, config in bad:
        with t.assertRaises(RequestFailedError, msg=f"{loss} {config} {data}") as caught:
            client.forward_backward(data, loss, config).result()
        t.assertEqual(str(caught.exception.category.value).lower(), "user", caught.exception)
        t.assertGreater(len(str(caught.exception)), 20)
    before = loss_of(client)
    train_a_step(client)
    t.assertLess(loss_of(client), before)


@check("FW21_11")
def FW21_11_a_request_fails_as_a_whole(t):
    _, clean = trainer(t)
    _, mixed = trainer(t)
    tokens = list(range(5, 12))
    bad = Datum(model_input=ModelInput.from_ints(tokens), loss_fn_inputs={"target_tokens": tensor(tokens[:-1], "int64")})
    with t.assertRaises(RequestFailedError):
        mixed.forward_backward([datum(), bad], "cross_entropy").result()
    train_a_step(clean)
    train_a_step(mixed)
    t.assertEqual(loss_of(clean), loss_of(mixed))


@check("TR_C09")
def TR_C09_metric_keys(t):
    _, client = trainer(t)
    result = client.forward_backward(datums(), "cross_entropy").result()
    t.assertIn("loss:sum", result.metrics)
    # The client adds this one itself.
    t.assertEqual(result.metrics["response_tokens"], 46.0)
    for key in set(result.metrics) - {"response_tokens"}:
        t.assertEqual(key.count(":"), 1, key)
    step = client.optim_step(AdamParams(), emit_grad_norm_metrics="detailed").result()
    t.assertGreater(step.metrics["grad_norm"], 0)


@check("TR_C06")
def S21_forward_leaves_gradients_alone(t):
    _, plain = trainer(t)
    _, looking = trainer(t)
    plain.forward_backward(datums(), "cross_entropy").result()
    looking.forward_backward(datums(), "cross_entropy").result()
    looking.forward(datums(4), "cross_entropy").result()
    for client in (plain, looking):
        client.optim_step(AdamParams(learning_rate=1e-3)).result()
    t.assertEqual(loss_of(plain), loss_of(looking))


def TR_C06_two_batches_are_their_concatenation(t):
    _, one = trainer(t)
    _, two = trainer(t)
    data = datums(4)
    one.forward_backward(data, "cross_entropy").result()
    two.forward_backward(data[:2], "cross_entropy").result()
    two.forward_backward(data[2:], "cross_entropy").result()
    for client in (one, two):
        client.optim_step(AdamParams(learning_rate=1e-3)).result()
    t.assertAlmostEqual(loss_of(one), loss_of(two), delta=1e-4 * loss_of(one))


@check("TR_C04")
def TR_C04_more_than_one_chunk(t):
    """1030 datums go as two requests of one call; the step is over all of them."""
    _, client = trainer(t)
    data = [datum(b"abcd") for _ in range(1030)]
    pending = client.forward_backward(data, "cross_entropy")
    step = client.optim_step(AdamParams(learning_rate=1e-3), emit_grad_norm_metrics="basic")
    result = pending.result()
    t.assertEqual(len(result.loss_fn_outputs), 1030)
    _, single = trainer(t)
    single.forward_backward([datum(b"abcd")], "cross_entropy").result()
    alone = single.optim_step(AdamParams(learning_rate=1e-3), emit_grad_norm_metrics="basic").result().metrics["grad_norm"]
    t.assertAlmostEqual(step.result().metrics["grad_norm"] / alone, 1030, delta=1)


def TR_C08_negative_and_fractional_weights(t):
    """No normalization by the sum of weights, no sign rule: w and -w cancel."""
    _, client = trainer(t)
    text = b"hello world"
    plus = [0.25, -1.5, 3.0, 0.5, -0.75, 1.0, 2.0, 0.0, -2.0, 0.125]
    result = client.forward_backward([datum(text, plus)], "cross_entropy").result()
    logprobs = result.loss_fn_outputs[0]["logprobs"].data
    t.assertAlmostEqual(result.metrics["loss:sum"], -sum(w * lp for w, lp in zip(plus, logprobs)), delta=1e-3)
    client.forward_backward([datum(text, [-w for w in plus])], "cross_entropy").result()
    before = loss_of(client)
    step = client.optim_step(AdamParams(learning_rate=1e-3), emit_grad_norm_metrics="basic").result()
    t.assertLess(step.metrics["grad_norm"], 1e-3)
    t.assertAlmostEqual(loss_of(client), before, delta=0.05 * before)


@check("TR_C24", "TR_C10")
def TR_C24_tensors_without_shape_and_with_integers(t):
    _, client = trainer(t)
    tokens = list(b"hello world")
    data = [Datum(model_input=ModelInput.from_ints(tokens[:-1]),
                  loss_fn_inputs={"target_tokens": TensorData(data=tokens[1:], dtype="int64"),
                                  "weights": TensorData(data=[1] * 10, dtype="float32")})]
    shaped = client.forward([datum(bytes(tokens))], "cross_entropy").result()
    bare = client.forward(data, "cross_entropy").result()
    t.assertEqual(bare.metrics["loss:sum"], shaped.metrics["loss:sum"])


def TR_C08_candidates_of_every_position(t):
    """(N, K) targets: K weighted candidates a position; logprobs come back (N, K)."""
    _, client = trainer(t)
    tokens = [10, 11, 12]
    data = [Datum(model_input=ModelInput.from_ints(tokens),
                  loss_fn_inputs={"target_tokens": TensorData(data=[11, 20, 12, 21, 13, 22], dtype="int64", shape=[3, 2]),
                                  "weights": TensorData(data=[1.0, 0.0, 0.5, 0.5, 0.0, 2.0], dtype="float32", shape=[3, 2])})]
    result = client.forward_backward(data, "cross_entropy").result()
    logprobs = result.loss_fn_outputs[0]["logprobs"]
    t.assertEqual(list(logprobs.shape), [3, 2])
    lp = list(logprobs.data)
    t.assertAlmostEqual(result.metrics["loss:sum"], -(lp[0] + 0.5 * lp[2] + 0.5 * lp[3] + 2.0 * lp[5]), delta=1e-3)


def policy(t, loss, config, expected, advantages=(1.0, -0.5, 0.0, 2.0, 1.0, -1.0, 0.5, 0.25, -0.25, 1.5, 0.75)):
    """Every ratio is 1 here, so the losses have closed forms; `expected` gets (advantages, logprobs)."""
    _, client = trainer(t)
    data, logprobs = rl_datum(client, list(advantages))
    result = client.forward_backward([data], loss, config).result()
    t.assertAlmostEqual(result.metrics["loss:sum"], expected(advantages, logprobs), delta=2e-3, msg=loss)
    for key in set(result.metrics) - {"response_tokens"}:
        t.assertEqual(key.count(":"), 1, key)
    t.assertTrue(all(math.isfinite(value) for value in result.metrics.values()))
    step = client.optim_step(AdamParams(learning_rate=1e-3), emit_grad_norm_metrics="basic").result()
    t.assertGreater(step.metrics["grad_norm"], 0)
    return result


def X_loss_importance_sampling(t):
    policy(t, "importance_sampling", None, lambda a, lp: -sum(a))


def X_loss_ppo(t):
    policy(t, "ppo", {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}, lambda a, lp: -sum(a))


def X_loss_cispo(t):
    policy(t, "cispo", {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2},
           lambda a, lp: -sum(x * y for x, y in zip(a, lp)))


def X_loss_dro(t):
    policy(t, "dro", {"beta": 0.05}, lambda a, lp: -sum(x * y for x, y in zip(a, lp)))


def X_loss_dapo(t):
    policy(t, "dapo", {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2, "eps_clip_c": 3.0}, lambda a, lp: -sum(a))


def X_loss_gspo(t):
    policy(t, "gspo", {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}, lambda a, lp: -sum(a))


@check(versions=["1.2.30"])
def X_losses_of_unknown_formula_name_the_alternative(t):
    """dppo has no published formula: refused in the future, with a loss that can be used instead."""
    _, client = trainer(t)
    data, _ = rl_datum(client, [1.0] * 11)
    with t.assertRaises(RequestFailedError) as caught:
        client.forward_backward([data], "dppo").result()
    t.assertRegex(str(caught.exception), "ppo|importance_sampling|forward_backward_custom")
    with t.assertRaises((RequestFailedError, ValueError, RuntimeError)):
        client.forward_backward([data], "reinforce").result()
    t.assertGreater(loss_of(client), 0)


@check("FW21_06", versions=["1.2.30"])
def FW21_06_config_of_every_type_parses(t):
    """1.2.30 keeps Python types: what the server refuses it refuses by name, not by type."""
    _, client = trainer(t)
    data, _ = rl_datum(client, [1.0] * 11)
    client.forward_backward([data], "ppo", {"clip_low_threshold": 0, "clip_high_threshold": 2}).result()
    for config in ({"flag": True}, {"s": "x"}, {"n": 3}):
        with t.assertRaises(RequestFailedError) as caught:
            client.forward_backward([data], "ppo", config).result()
        t.assertIn(next(iter(config)), str(caught.exception))
    t.assertGreater(loss_of(client), 0)


def S23_normalizations(t):
    """The sum is divided before the step: by loss tokens, by sequences, or not at all."""
    norms = {}
    data = [datum(weights=[1.0] * 10 + [0.0] * 13), datum()]
    for name in ("none", "num_sequences", "num_loss_tokens", None):
        _, client = trainer(t)
        client.forward_backward(data, "cross_entropy").result()
        step = client.optim_step(AdamParams(learning_rate=1e-3), grad_accumulation_normalization=name,
                                 emit_grad_norm_metrics="basic").result()
        norms[name] = step.metrics["grad_norm"]
    t.assertAlmostEqual(norms[None], norms["none"], delta=1e-6 * norms["none"])
    t.assertAlmostEqual(norms["none"] / norms["num_sequences"], 2, delta=1e-3)
    t.assertAlmostEqual(norms["none"] / norms["num_loss_tokens"], 33, delta=1e-2)


def S23_normalization_over_micro_batches(t):
    _, client = trainer(t)
    for one in datums(3):
        client.forward_backward([one], "cross_entropy").result()
    summed = client.optim_step(AdamParams(), sdk.GradAccNormalization.NUM_SEQUENCES, "basic").result().metrics["grad_norm"]
    _, plain = trainer(t)
    for one in datums(3):
        plain.forward_backward([one], "cross_entropy").result()
    raw = plain.optim_step(AdamParams(), None, "basic").result().metrics["grad_norm"]
    t.assertAlmostEqual(raw / summed, 3, delta=1e-3)


def S23_unknown_normalization_never_leaves_the_client(t):
    _, client = trainer(t)
    with t.assertRaisesRegex(ValueError, "num_loss_tokens"):
        client.optim_step(AdamParams(), grad_accumulation_normalization="zzz")


def S23_step_without_gradients(t):
    _, client = trainer(t)
    before = loss_of(client)
    client.optim_step(AdamParams(learning_rate=1e-2)).result()
    t.assertEqual(loss_of(client), before)


def S23_adam_parameters_reach_the_engine(t):
    """Learning rate, weight decay and clipping each change the next loss."""
    def after(steps=2, **named):
        _, client = trainer(t)
        for _ in range(steps):
            client.forward_backward(datums(), "cross_entropy").result()
            client.optim_step(AdamParams(**{"learning_rate": 1e-3, **named})).result()
        return loss_of(client)
    base = after()
    t.assertEqual(base, after())
    for name, value in (("learning_rate", 2e-3), ("weight_decay", 50.0), ("beta1", 0.5), ("beta2", 0.5), ("eps", 1e-2)):
        t.assertNotEqual(base, after(**{name: value}), name)


def S24_core_calls_are_futures(t):
    _, client = trainer(t)
    pending = [client.forward_backward(datums(), "cross_entropy"), client.optim_step(AdamParams()),
               client.forward(datums(), "cross_entropy"), client.save_state("s24"), client.load_state_with_optimizer("s24")]
    for future in pending:
        t.assertTrue(hasattr(future, "result"))
    for future in pending:
        future.result()
    t.assertIsInstance(client.list_checkpoints(), list)
    t.assertTrue(client.save_weights_for_sampler_ext("s24", checkpoint_type="base").snapshot_name)


@check("TR_C02")
def FW21_09_submits_answer_at_once_and_polls_are_held(t):
    job, client = trainer(t)
    data = datums(64, 48)
    for _ in range(3):
        client.forward_backward(data, "cross_entropy")
    started = time.monotonic()
    body = {"forward_backward_input": {"data": [{"loss_fn_inputs": {"target_tokens": {"data": [2, 3], "dtype": "int64"}},
                                                 "model_input": {"chunks": [{"tokens": [1, 2], "type": "encoded_text"}]}}],
                                       "loss_fn": "cross_entropy"}, "model_id": client.model_id, "seq_id": 900}
    envelope = t.backend.trainer(job, "POST", "forward_backward", body)
    t.assertEqual(envelope.status, 200)
    t.assertLess(time.monotonic() - started, 0.5)
    polls = 0
    while True:
        result = t.backend.trainer(job, "POST", "retrieve_future", {"request_id": envelope.json()["request_id"]}).json()
        polls += 1
        if result.get("type") != "try_again":
            break
    t.assertLessEqual(polls, 1 + (time.monotonic() - started))
    t.assertIn("loss_fn_outputs", result)


def X_sixty_four_outstanding_futures(t):
    _, client = trainer(t)
    pending = [client.forward_backward([datum()], "cross_entropy") for _ in range(64)]
    t.assertEqual({round(future.result().metrics["loss:sum"], 4) for future in pending},
                  {round(pending[0].result().metrics["loss:sum"], 4)})
    step = client.optim_step(AdamParams(), sdk.GradAccNormalization.NUM_SEQUENCES, "basic").result()
    t.assertGreater(step.metrics["grad_norm"], 0)


def TR_C17_base_only_reference(t):
    job, client = trainer(t, lora_rank=4)
    reference = client.create_base_training_client(t.backend.base_model) if hasattr(client, "create_base_training_client") \
        else None
    t.assertIsNotNone(reference)
    before = loss_of(reference)
    t.assertAlmostEqual(before, loss_of(client), delta=1e-3)
    train_a_step(client, lr=1e-2)
    t.assertEqual(loss_of(reference), before)
    t.assertNotAlmostEqual(loss_of(client), before, delta=1e-3)
    with t.assertRaises(RequestFailedError) as caught:
        reference.forward_backward(datums(), "cross_entropy").result()
    t.assertEqual(str(caught.exception.category.value).lower(), "user")
    with t.assertRaises(RequestFailedError):
        reference.optim_step(AdamParams()).result()


@check("TR_C25")
def TR_C25_infinite_loss_is_a_failure_not_a_literal(t):
    _, client = trainer(t)
    base = datum(b"hello world!")
    data = Datum(model_input=base.model_input,
                 loss_fn_inputs={"target_tokens": base.loss_fn_inputs["target_tokens"],
                                 "logprobs": tensor([-3e38] * 11), "advantages": tensor([3e38] * 11)})
    with t.assertRaises(RequestFailedError):
        client.forward_backward([data], "importance_sampling").result()
    t.assertGreater(loss_of(client), 0)


def X_lora_learns(t):
    _, client = trainer(t, lora_rank=8)
    before = loss_of(client)
    for _ in range(3):
        train_a_step(client, lr=5e-3)
    t.assertLess(loss_of(client), before)
    _, biggest = trainer(t, lora_rank=128)
    train_a_step(biggest)
