# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling clients: tokens, logprobs, stops, seeds, the weights that answer."""

import asyncio
import math
import pickle
import threading

import tinker
from tinker import types

from harness.suite import check
from harness.tinker import (PATTERN, adam, connect, datum, logprobs, lora, loss_of, near, now, prompt, rest, session_of, step,
                            weighted)
from harness.wire import Refused, Wire

PROMPT = PATTERN[:12]


def params(max_tokens=8, **named):
    return types.SamplingParams(max_tokens=max_tokens, **named)


def learned(t, service=None):
    """A client that knows PATTERN well enough for its samples to differ from the base model's."""
    client = lora(t, service, rank=16, seed=2)
    for _ in range(12):
        step(client, [weighted(PATTERN * 2)], 0.004)
    return client


def sampler_of(t, client):
    return now(client.save_weights_and_get_sampling_client())


def base_sampler(t, service=None):
    return now((service or connect(t)).create_sampling_client(base_model=t.backend.base_model))


def sample(client, tokens=None, n=1, limit=8, include_prompt_logprobs=False, topk_prompt_logprobs=0, more=None, **named):
    return client.sample(prompt(tokens or PROMPT), n, params(limit, **named), include_prompt_logprobs=include_prompt_logprobs,
                         topk_prompt_logprobs=topk_prompt_logprobs, **(more or {})).result(60)


@check("TK21_06", "TK21_13")
def X_sampled_logprobs_agree_with_the_trainer(t):
    client = learned(t)
    sampler = sampler_of(t, client)
    result = sample(sampler, n=2, limit=12, seed=5)
    for sequence in result.sequences:
        t.assertEqual(len(sequence.tokens), len(sequence.logprobs))
        whole = PROMPT + list(sequence.tokens)
        forward = logprobs(client.forward([datum(whole[:-1], targets=whole[1:])], "cross_entropy").result())
        near(t, list(sequence.logprobs), forward[len(PROMPT) - 1:], 1e-3)
        scored = sampler.compute_logprobs(prompt(whole)).result(60)
        t.assertEqual(len(scored), len(whole))
        t.assertIsNone(scored[0])
        near(t, list(scored[1:]), forward, 1e-3)


@check("TK21_06")
def X_n_samples_differ_and_a_seed_repeats_them(t):
    sampler = base_sampler(t)
    one, two, other = (sample(sampler, n=4, limit=10, seed=seed) for seed in (7, 7, 8))
    tokens = [[list(s.tokens) for s in result.sequences] for result in (one, two, other)]
    t.assertEqual(len(tokens[0]), 4)
    t.assertEqual(tokens[0], tokens[1])
    t.assertNotEqual(tokens[0], tokens[2])
    t.assertEqual(len({tuple(row) for row in tokens[0]}), 4)
    near(t, one.sequences[0].logprobs, two.sequences[0].logprobs, 0)
    big = sample(sampler, limit=4, seed=2 ** 62 + 5)
    t.assertEqual(list(big.sequences[0].tokens), list(sample(sampler, limit=4, seed=2 ** 62 + 5).sequences[0].tokens))


def X_without_a_seed_samples_vary(t):
    sampler = base_sampler(t)
    seen = {tuple(sample(sampler, limit=10).sequences[0].tokens) for _ in range(4)}
    t.assertGreater(len(seen), 1)


def X_greedy_forms_agree(t):
    sampler = sampler_of(t, learned(t))
    greedy = sample(sampler, temperature=0.0)
    for named in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 0.0, "seed": 9}):
        t.assertEqual(list(sample(sampler, **named).sequences[0].tokens), list(greedy.sequences[0].tokens), named)
    best = sample(sampler, limit=1, include_prompt_logprobs=True, topk_prompt_logprobs=1, tokens=PROMPT +
                  [greedy.sequences[0].tokens[0]])
    t.assertEqual(best.topk_prompt_logprobs[-1][0][0], greedy.sequences[0].tokens[0])


def X_top_k_and_top_p_keep_to_the_likely(t):
    sampler = base_sampler(t)
    top = sample(sampler, limit=1, include_prompt_logprobs=True, topk_prompt_logprobs=3, tokens=PROMPT + [32])
    allowed = {token for token, _ in top.topk_prompt_logprobs[-1]}
    for seed in range(10):
        t.assertIn(sample(sampler, limit=1, top_k=3, seed=seed).sequences[0].tokens[0], allowed)


def X_stop_strings_and_stop_tokens(t):
    sampler = sampler_of(t, learned(t))
    free = sample(sampler, limit=24, temperature=0.0)
    t.assertEqual(free.sequences[0].stop_reason, "length")
    text = bytes(token for token in free.sequences[0].tokens if token < 256)
    word = text[4:7].decode("latin-1")
    t.assertTrue(word.isascii(), text)
    for stop in (word, [word, "never-this"]):
        cut = sample(sampler, limit=24, temperature=0.0, stop=stop).sequences[0]
        t.assertEqual(cut.stop_reason, "stop")
        got = bytes(token for token in cut.tokens if token < 256)
        end = text.index(text[4:7]) + 3
        # The stop string is part of the answer, and the answer ends with it.
        t.assertEqual(got, text[:end])
    token = free.sequences[0].tokens[5]
    cut = sample(sampler, limit=24, temperature=0.0, stop=[token]).sequences[0]
    t.assertEqual(cut.stop_reason, "stop")
    t.assertEqual(list(cut.tokens), list(free.sequences[0].tokens)[:list(free.sequences[0].tokens).index(token) + 1])
    never = sample(sampler, limit=24, temperature=0.0, stop=[])
    t.assertEqual(len(never.sequences[0].tokens), 24)


def X_max_tokens_and_lengths(t):
    sampler = base_sampler(t)
    for limit in (1, 5, 17):
        result = sample(sampler, limit=limit, stop=[])
        t.assertEqual(len(result.sequences[0].tokens), limit)
        t.assertEqual(result.sequences[0].stop_reason, "length")


def X_prompt_logprobs_only_when_asked(t):
    sampler = base_sampler(t)
    bare = sample(sampler)
    t.assertIsNone(bare.prompt_logprobs)
    t.assertIsNone(bare.topk_prompt_logprobs)
    full = sample(sampler, include_prompt_logprobs=True)
    t.assertEqual(len(full.prompt_logprobs), len(PROMPT))
    t.assertIsNone(full.prompt_logprobs[0])
    t.assertTrue(all(value <= 0 for value in full.prompt_logprobs[1:]))


def X_top_k_of_every_prompt_position(t):
    sampler = base_sampler(t)
    result = sample(sampler, include_prompt_logprobs=True, topk_prompt_logprobs=5)
    rows = result.topk_prompt_logprobs
    t.assertEqual(len(rows), len(PROMPT))
    t.assertIsNone(rows[0])
    for position, row in enumerate(rows[1:], 1):
        t.assertEqual(len(row), 5)
        values = [value for _, value in row]
        t.assertEqual(values, sorted(values, reverse=True))
        t.assertLessEqual(sum(map(math.exp, values)), 1 + 1e-4)
        for token, value in row:
            if token == PROMPT[position]:
                t.assertAlmostEqual(value, result.prompt_logprobs[position], delta=1e-4)


@check(versions=["0.38.0"])
def X_top_k_of_every_sampled_position(t):
    sampler = base_sampler(t)
    result = sample(sampler, limit=6, seed=3, more={"topk_sample_logprobs": 4})
    sequence = result.sequences[0]
    t.assertEqual(len(sequence.topk_logprobs), len(sequence.tokens))
    for token, value, row in zip(sequence.tokens, sequence.logprobs, sequence.topk_logprobs):
        t.assertEqual(len(row), 4)
        found = dict(row)
        if token in found:
            t.assertAlmostEqual(found[token], value, delta=1e-4)


@check(versions=["0.38.0"])
def X_the_last_prompt_positions_alone(t):
    sampler = base_sampler(t)
    full = sample(sampler, include_prompt_logprobs=True, topk_prompt_logprobs=2)
    part = sample(sampler, include_prompt_logprobs=True, topk_prompt_logprobs=2, more={"prompt_logprobs_last_n": 3})
    t.assertEqual(part.prompt_logprobs[:-3], [None] * (len(PROMPT) - 3))
    near(t, part.prompt_logprobs[-3:], full.prompt_logprobs[-3:], 1e-5)
    t.assertEqual(part.topk_prompt_logprobs[:-3], [None] * (len(PROMPT) - 3))
    t.assertEqual(part.topk_prompt_logprobs[-1][0][0], full.topk_prompt_logprobs[-1][0][0])
    scored = sampler.compute_logprobs(prompt(PROMPT), prompt_logprobs_last_n=2).result(60)
    near(t, scored[-2:], full.prompt_logprobs[-2:], 1e-5)


@check(versions=["0.38.0"])
def X_logprobs_of_named_tokens(t):
    sampler = base_sampler(t)
    n = len(PROMPT)
    ids = [[PROMPT[row + 1], -1 if row % 2 else 101] for row in range(n - 1)]
    wanted = types.TensorData(data=[value for row in ids for value in row], dtype="int64", shape=[n - 1, 2])
    result = sample(sampler, include_prompt_logprobs=True, topk_prompt_logprobs=0, more={"target_prompt_logprobs": wanted})
    found = result.target_prompt_logprobs
    t.assertEqual(list(found.shape), [n - 1, 2])
    near(t, list(found.data)[0::2], result.prompt_logprobs[1:], 1e-4)
    for row in range(n - 1):
        value = list(found.data)[2 * row + 1]
        if row % 2:
            t.assertEqual(value, 0.0)
        else:
            t.assertLess(value, 0)


@check(versions=["0.38.0"])
def X_alternatives_to_prompt_tokens(t):
    sampler = base_sampler(t)
    n = len(PROMPT)
    result = sample(sampler, limit=1, seed=4, more={"prompt_alt_tokens_k": 3})
    drawn = result.prompt_alt_tokens
    t.assertEqual(list(drawn.tokens.shape), [n - 1, 3])
    t.assertEqual(list(drawn.logprobs.shape), [n - 1, 3])
    t.assertTrue(all(0 <= token < t.backend.vocab_size for token in drawn.tokens.data))
    t.assertTrue(all(value <= 0 for value in drawn.logprobs.data))
    # The logprob of a drawn token is what scoring it gives.
    row = n - 2
    scored = sampler.compute_logprobs(prompt(PROMPT[:-1] + [drawn.tokens.data[3 * row]])).result(60)
    t.assertAlmostEqual(scored[-1], drawn.logprobs.data[3 * row], delta=1e-3)


@check("TK21_13")
def X_a_snapshot_stays_when_training_goes_on(t):
    client = learned(t)
    old = sampler_of(t, client)
    before = old.compute_logprobs(prompt(PROMPT)).result(60)
    for _ in range(3):
        step(client, [weighted(list(b"quite another text, again"))], 0.004)
    near(t, old.compute_logprobs(prompt(PROMPT)).result(60)[1:], before[1:], 1e-6)
    new = sampler_of(t, client)
    after = new.compute_logprobs(prompt(PROMPT)).result(60)
    t.assertGreater(max(abs(a - b) for a, b in zip(after[1:], before[1:])), 1e-2)


@check("TK21_13")
def X_the_base_model_is_not_the_trained_one(t):
    service = connect(t)
    client = learned(t, service)
    base = base_sampler(t, service)
    trained = sampler_of(t, client)
    a = base.compute_logprobs(prompt(PROMPT)).result(60)
    b = trained.compute_logprobs(prompt(PROMPT)).result(60)
    t.assertGreater(sum(b[1:]), sum(a[1:]))
    fresh = lora(t, service)
    near(t, a[1:], logprobs(fresh.forward([datum(PROMPT[:-1], targets=PROMPT[1:])], "cross_entropy").result()), 1e-3)


@check("TK21_13", "TK21_03")
def X_sampling_from_saved_weights(t):
    service = connect(t)
    client = learned(t, service)
    path = client.save_weights_for_sampler("served").result().path
    expected = sampler_of(t, client).compute_logprobs(prompt(PROMPT)).result(60)
    for sampler in (now(client.create_sampling_client(path)), now(service.create_sampling_client(model_path=path)),
                    now(connect(t).create_sampling_client(model_path=path))):
        near(t, sampler.compute_logprobs(prompt(PROMPT)).result(60)[1:], expected[1:], 1e-5)
        t.assertEqual(sampler.get_base_model(), t.backend.base_model)


def X_weights_that_do_not_exist(t):
    service = connect(t)
    with t.assertRaises((tinker.BadRequestError, tinker.NotFoundError, tinker.RequestFailedError)) as caught:
        sampler = now(service.create_sampling_client(model_path="tinker://nobody:train:0/sampler_weights/none"))
        sample(sampler)
    t.assertIn("nobody:train:0", str(caught.exception))
    with t.assertRaises((tinker.BadRequestError, tinker.NotFoundError, tinker.RequestFailedError)):
        sample(now(service.create_sampling_client(base_model="nobody/nothing")))


def X_sampler_names_its_weights(t):
    service = connect(t)
    client = learned(t, service)
    path = client.save_weights_for_sampler("which").result().path
    sampler = now(service.create_sampling_client(model_path=path))
    found = rest(t).get_sampler(sampler._sampling_session_id).result(30)
    t.assertEqual(found.base_model, t.backend.base_model)
    t.assertEqual(found.model_path, path)


def X_bad_requests_are_user_errors(t):
    sampler = base_sampler(t)
    for tokens, named, word in (([999], {}, "999"), (PROMPT, {"temperature": -1.0}, "temperature"),
                                (PROMPT, {"top_p": 2.0}, "top_p"), ([97] * 100_000, {}, "100000")):
        with t.assertRaises((tinker.RequestFailedError, tinker.BadRequestError)) as caught:
            sample(sampler, tokens=tokens, **named)
        t.assertIn(word, str(caught.exception).replace("topP", "top_p"))
    t.assertEqual(len(sample(sampler, limit=3, stop=[]).sequences[0].tokens), 3)


@check("TK21_08")
def TK21_08_64_outstanding_samples(t):
    sampler = base_sampler(t)
    futures = [sampler.sample(prompt(PROMPT), 1, params(6, seed=index, stop=[])) for index in range(64)]
    rows = [future.result(90).sequences[0] for future in futures]
    t.assertTrue(all(len(row.tokens) == 6 for row in rows))
    again = sample(sampler, limit=6, seed=17, stop=[])
    t.assertEqual(list(rows[17].tokens), list(again.sequences[0].tokens))


def TK21_06_sequence_ids_on_the_wire(t):
    wire = Wire(t.backend)
    session = wire.call("create_sampling_session", {"session_id": wire.session, "sampling_session_seq_id": 0,
                                                    "base_model": t.backend.base_model, "type": "create_sampling_session"})
    t.assertEqual(session["sampling_session_id"], f"{wire.session}:sample:0")
    body = {"num_samples": 3, "prompt": {"chunks": [{"tokens": PROMPT, "type": "encoded_text"}]},
            "sampling_params": {"max_tokens": 4, "temperature": 1.0, "top_k": -1, "top_p": 1.0},
            "sampling_session_id": session["sampling_session_id"], "seq_id": 966634389000000000, "type": "sample"}
    first = wire.call("asample", body)
    t.assertEqual(len(first["sample_sequence_ids"]), 3)
    t.assertEqual(len(set(first["sample_sequence_ids"])), 3)
    for _ in range(2):
        again = wire.call("asample", body)
        t.assertEqual((again["request_id"], again["sample_sequence_ids"]), (first["request_id"], first["sample_sequence_ids"]))
    # Not generated twice: both retrievals give the same unseeded sequences.
    one, two = (wire.retrieve(first["request_id"]) for _ in range(2))
    t.assertEqual(one, two)
    t.assertEqual(len(one["sequences"]), 3)
    other = wire.call("asample", {**body, "seq_id": 966634389000000001})
    t.assertNotEqual(other["request_id"], first["request_id"])
    # A session is made once for its number.
    again = wire.call("create_sampling_session", {"session_id": wire.session, "sampling_session_seq_id": 0,
                                                  "base_model": t.backend.base_model, "type": "create_sampling_session"})
    t.assertEqual(again, session)


def X_completions_of_many_samples_at_once(t):
    """retrieve_futures: a log of what has ended, acknowledged by its cursor."""
    wire = Wire(t.backend)
    session = wire.call("create_sampling_session", {"session_id": wire.session, "sampling_session_seq_id": 0,
                                                    "base_model": t.backend.base_model, "type": "create_sampling_session"})
    body = {"num_samples": 1, "prompt": {"chunks": [{"tokens": PROMPT, "type": "encoded_text"}]},
            "sampling_params": {"max_tokens": 2, "stop": []}, "sampling_session_id": session["sampling_session_id"], "type": "sample"}
    requests = {wire.call("asample", {**body, "seq_id": index})["request_id"] for index in range(5)}
    target = {"type": "sampling_session", "sampling_session_id": session["sampling_session_id"], "cloned_sampler_id": 0}
    seen, cursor = set(), 0
    while seen != requests:
        page = wire.call("retrieve_futures", {"target": target, "prev_cursor": cursor, "retrieved_request_ids": sorted(seen)})
        t.assertTrue(page["completions"])
        for row in page["completions"]:
            t.assertEqual(row["state"], "finished")
            t.assertIn("sequences", wire.retrieve(row["request_id"]))
            seen.add(row["request_id"])
        t.assertGreater(page["cursor"], cursor)
        cursor = page["cursor"]
    last = wire.call("retrieve_futures", {"target": target, "prev_cursor": cursor, "timeout": 0.0})
    t.assertEqual(last["completions"], [])


def X_copies_of_a_sampler_are_numbered(t):
    wire = Wire(t.backend)
    session = wire.call("create_sampling_session", {"session_id": wire.session, "sampling_session_seq_id": 0,
                                                    "base_model": t.backend.base_model, "type": "create_sampling_session"})
    body = {"sampling_session_id": session["sampling_session_id"], "type": "join_sampling_session"}
    counters = [wire.call("join_sampling_session", body)["client_counter"] for _ in range(3)]
    t.assertEqual(len(set(counters)), 3)
    t.assertTrue(all(counter >= 1 for counter in counters))


@check("TK21_02")
def TK21_02_results_by_accept(t):
    wire = Wire(t.backend)
    session = wire.call("create_sampling_session", {"session_id": wire.session, "sampling_session_seq_id": 0,
                                                    "base_model": t.backend.base_model, "type": "create_sampling_session"})
    body = {"num_samples": 1, "prompt": {"chunks": [{"tokens": PROMPT, "type": "encoded_text"}]}, "prompt_logprobs": True,
            "topk_prompt_logprobs": 2, "sampling_params": {"max_tokens": 3, "seed": 1, "stop": []},
            "sampling_session_id": session["sampling_session_id"], "seq_id": 0, "type": "sample"}
    request = wire.call("asample", body)["request_id"]
    plain = wire.retrieve(request)
    t.assertEqual(plain["type"], "sample")
    t.assertIsNone(plain["prompt_logprobs"][0])
    t.assertEqual(plain["sequences"][0]["stop_reason"], "length")
    from harness.wire import fields, first
    import struct
    message = fields(wire.retrieve(request, accept="application/x-protobuf"))
    sequence = fields(first(message, 1))
    t.assertEqual(list(struct.unpack("<3i", first(sequence, 2))), plain["sequences"][0]["tokens"])
    scores = struct.unpack(f"<{len(PROMPT)}f", first(message, 2))
    t.assertTrue(math.isnan(scores[0]))
    near(t, list(scores[1:]), plain["prompt_logprobs"][1:], 1e-6)
    top = fields(first(message, 3))
    t.assertEqual((first(top, 3), first(top, 4)), (2, len(PROMPT)))
    ids, values = struct.unpack(f"<{2 * len(PROMPT)}i", first(top, 1)), struct.unpack(f"<{2 * len(PROMPT)}f", first(top, 2))
    t.assertEqual((ids[:2], values[:2]), ((0, 0), (-99999.0, -99999.0)))


@check(faults=[{"route": "POST /api/v1/asample", "nth": 1, "action": "status", "status": 429, "retry_after": 0},
               {"route": "POST /api/v1/asample", "nth": 3, "action": "drop-reply"}])
def TR_C22_back_pressure_and_lost_answers_of_samples(t):
    sampler = base_sampler(t)
    t.assertEqual(len(sample(sampler, limit=4, stop=[]).sequences[0].tokens), 4)
    # The second one is generated although its answer is lost; the client asks again with the same number.
    t.assertEqual(len(sample(sampler, limit=4, stop=[]).sequences[0].tokens), 4)


@check(versions=["0.38.0"])
def X_a_handle_makes_a_copy_elsewhere(t):
    sampler = sampler_of(t, learned(t))
    expected = sampler.compute_logprobs(prompt(PROMPT)).result(60)
    copy = tinker.SamplingClient.from_sampler_handle(sampler.get_sampler_handle(), api_key=t.backend.tinker_key)
    near(t, copy.compute_logprobs(prompt(PROMPT)).result(60)[1:], expected[1:], 1e-6)


def X_a_pickled_client_samples(t):
    sampler = sampler_of(t, learned(t))
    expected = sampler.compute_logprobs(prompt(PROMPT)).result(60)
    copy = pickle.loads(pickle.dumps(sampler))
    near(t, copy.compute_logprobs(prompt(PROMPT)).result(60)[1:], expected[1:], 1e-6)


def X_sampling_goes_on_beside_training(t):
    """A long batch does not hold up samples of another model."""
    service = connect(t)
    client = lora(t, service, rank=4)
    sampler = base_sampler(t, service)
    sample(sampler)
    busy = [client.forward_backward([weighted(PATTERN * 4) for _ in range(16)], "cross_entropy") for _ in range(6)]
    result = sampler.sample(prompt(PROMPT), 1, params(4)).result(60)
    t.assertTrue(result.sequences)
    waiting = [not future.future().done() for future in busy]
    for future in busy:
        future.result(90)
    t.assertTrue(any(waiting), "the sample came after all training calls")


@check(versions=["0.38.0"])
def X_samples_of_a_loop_are_asynchronous(t):
    sampler = base_sampler(t)

    async def go():
        return await asyncio.gather(*(sampler.sample_async(prompt(PROMPT), 1, params(4, seed=index)) for index in range(8)))

    t.assertEqual(len(asyncio.run(go())), 8)


@check("TK21_12")
def TK21_12_a_cancelled_sample_frees_its_work(t):
    wire = Wire(t.backend)
    config = wire.post("client/dynamic_config", {"sdk_version": "0.38.0"})
    session = wire.call("create_sampling_session", {"session_id": wire.session, "sampling_session_seq_id": 0,
                                                    "base_model": t.backend.base_model, "type": "create_sampling_session"})
    body = {"num_samples": 64, "prompt": {"chunks": [{"tokens": PROMPT, "type": "encoded_text"}]},
            "sampling_params": {"max_tokens": 100, "stop": []}, "sampling_session_id": session["sampling_session_id"],
            "type": "sample"}
    long = [wire.call("asample", {**body, "seq_id": index})["request_id"] for index in range(8)]
    for request in long:
        answer = wire.post("cancel_future", {"request_id": request})
        t.assertIn(answer.status, (200, 202, 204))
    # Cancelling what has ended or never was is no error: it is a race that the client cannot avoid.
    t.assertIn(wire.post("cancel_future", {"request_id": "nobody"}).status, (200, 202, 204))
    short = wire.call("asample", {**body, "num_samples": 1, "seq_id": 100, "sampling_params": {"max_tokens": 2, "stop": []}})
    import time
    begin = time.monotonic()
    wire.retrieve(short["request_id"])
    t.assertLess(time.monotonic() - begin, 10)
    with t.assertRaises(Refused):
        wire.retrieve(long[-1])
    t.assertEqual(config.status, 200)
