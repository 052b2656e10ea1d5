# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies and answers as bytes: protobuf, zstd, JSON, futures. The SDK makes and reads some of them."""

import json
import struct
import threading
import time

from harness.suite import check
from harness.tinker import PATTERN, near
from harness.wire import (FLOAT32, INT64, Connection, Refused, Wire, every, field, fields, first, json_datum, json_tensor,
                          proto_datum, proto_output, proto_request, sparse, tensor)

TEXT = list(b"bytes on a wire")
PROTO = {"Content-Type": "application/x-protobuf"}


def model(t, **named):
    wire = Wire(t.backend)
    t.cleanup(wire.finish)
    wire.create(rank=4, **named)
    return wire


def ask(wire, body, headers=None, accept="application/x-protobuf"):
    request = wire.call("forward_backward", body, {**PROTO, **(headers or {})})["request_id"]
    return proto_output(wire.retrieve(request, accept))


def inputs(targets, weights=None, shape=None):
    found = {"target_tokens": tensor(targets, INT64, shape)}
    if weights is not None:
        found["weights"] = tensor(weights, FLOAT32, shape)
    return found


TARGETS = TEXT[1:] + TEXT[:1]


@check("TK21_02")
def TK21_01_protobuf_equals_json(t):
    wire = model(t)
    weights = [0.5 * (index % 3) for index in range(len(TEXT))]
    plain = wire.forward([json_datum(TEXT, weights=weights)])
    metrics, outputs = ask(wire, proto_request(wire.model, 50, [proto_datum(TEXT, inputs(TARGETS, weights))], forward_only=True))
    t.assertEqual(metrics["loss:sum"], plain["metrics"]["loss:sum"])
    near(t, outputs[0]["logprobs"][0], plain["loss_fn_outputs"][0]["logprobs"]["data"], 1e-6)
    t.assertEqual(outputs[0]["logprobs"][1], [len(TEXT)])
    # The same without forward_only takes part in the next step.
    before = wire.loss([json_datum(TEXT)])
    ask(wire, proto_request(wire.model, 51, [proto_datum(TEXT, inputs(TARGETS))]))
    wire.seq = 60
    wire.optim_step()
    t.assertLess(wire.loss([json_datum(TEXT)]), before)


def TK21_01_shapes_in_protobuf(t):
    wire = model(t)
    n, k = 5, 3
    targets = [(11 * i + 7 * j) % 256 for i in range(n) for j in range(k)]
    dense = proto_datum(TEXT[:n], inputs(targets, [1.0] * (n * k), [n, k]))
    metrics, outputs = ask(wire, proto_request(wire.model, 1, [proto_datum(TEXT, inputs(TARGETS)), dense,
                                                               proto_datum(TEXT[:3], inputs(TARGETS[:3]))], forward_only=True))
    t.assertEqual([row["logprobs"][1] for row in outputs], [[len(TEXT)], [n, k], [3]])
    total = -sum(sum(row["logprobs"][0]) for row in outputs)
    t.assertAlmostEqual(metrics["loss:sum"], total, delta=1e-2)
    csr = proto_datum(TEXT[:2], {"target_tokens": sparse([98, 99], [0, 1, 2], [0, 0], [2, 6], INT64),
                                 "weights": sparse([1.0, 0.5], [0, 1, 2], [0, 0], [2, 6], FLOAT32)})
    metrics, outputs = ask(wire, proto_request(wire.model, 2, [csr], forward_only=True))
    t.assertEqual(outputs[0]["logprobs"][1], [2, 6])
    values = outputs[0]["logprobs"][0]
    t.assertAlmostEqual(metrics["loss:sum"], -(values[0] + 0.5 * values[6]), delta=1e-3)


def TK21_01_both_forms_of_the_configuration(t):
    wire = model(t)
    lp = wire.forward([json_datum(TEXT)])["loss_fn_outputs"][0]["logprobs"]["data"]
    datum = proto_datum(TEXT, {"target_tokens": tensor(TARGETS, INT64), "logprobs": tensor([v - 0.5 for v in lp], FLOAT32),
                               "advantages": tensor([1.0] * len(TEXT), FLOAT32)})

    def loss(seq, config, config2):
        return ask(wire, proto_request(wire.model, seq, [datum], "ppo", config, True, config2))[0]["loss:sum"]

    low = {"clip_low_threshold": 0.9, "clip_high_threshold": 1.1}
    high = {"clip_low_threshold": 0.5, "clip_high_threshold": 1.5}
    t.assertEqual(loss(10, low, None), loss(11, None, low))
    # The newer map is preferred when both are there.
    t.assertEqual(loss(12, low, high), loss(13, high, None))
    t.assertNotEqual(loss(14, low, None), loss(15, high, None))
    with t.assertRaises(Refused) as caught:
        loss(16, None, {"clip_low_threshold": "low"})
    t.assertEqual(caught.exception.category, "user")


def TK21_01_the_examples_of_the_document(t):
    """131 bytes, plain and zstd, with the model id and number of this session put in."""
    try:
        import zstandard
    except ImportError:
        zstandard = None
    body = bytes.fromhex("""
        0a0a73313a747261696e3a30 1001 1a64 0a100a0e0a0c010000000200000003000000
        12300a0d7461726765745f746f6b656e73 121f0a18020000000000000003000000000000000400000000000000 18022201 03
        121e0a0777656967687473 12130a0c000000000000803f0000803f 18012201 03 220d63726f73735f656e74726f7079""")
    t.assertEqual(len(body), 131)
    # Our own encoder makes these bytes, so what it sends elsewhere is what the client sends.
    own = proto_request("s1:train:0", 1, [proto_datum([1, 2, 3], {"target_tokens": tensor([2, 3, 4], INT64),
                                                                  "weights": tensor([0.0, 1.0, 1.0], FLOAT32)})])
    t.assertEqual(own.hex(), body.hex())
    wire = model(t)
    tail = body[14:]
    named = field(1, wire.model) + field(2, 1) + tail
    metrics, outputs = ask(wire, named)
    t.assertEqual(outputs[0]["logprobs"][1], [3])
    t.assertAlmostEqual(metrics["loss:sum"], -sum(outputs[0]["logprobs"][0][1:]), delta=1e-3)
    if zstandard:
        packed = zstandard.ZstdCompressor().compress(field(1, wire.model) + field(2, 2) + tail + field(6, 1))
        again, _ = ask(wire, packed, {"Content-Encoding": "zstd"})
        t.assertEqual(again["loss:sum"], metrics["loss:sum"])


@check("TK21_01")
def TK21_01_zstd_bodies(t):
    import zstandard
    wire = model(t)
    data = [proto_datum(TEXT, inputs(TARGETS)) for _ in range(40)]
    plain, _ = ask(wire, proto_request(wire.model, 1, data, forward_only=True))
    for seq, level in ((2, 1), (3, 19)):
        packed = zstandard.ZstdCompressor(level=level).compress(proto_request(wire.model, seq, data, forward_only=True))
        found, _ = ask(wire, packed, {"Content-Encoding": "zstd"})
        t.assertEqual(found["loss:sum"], plain["loss:sum"])
    # A JSON body may be compressed as well, and a frame need not tell its size.
    packer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    body = json.dumps({"forward_backward_input": {"data": [json_datum(TEXT)], "loss_fn": "cross_entropy"}, "model_id": wire.model,
                       "seq_id": 4}).encode()
    packed = packer.compress(body) + packer.flush()
    request = wire.call("forward_backward", packed, {"Content-Encoding": "zstd"})["request_id"]
    t.assertIn("loss:sum", wire.retrieve(request)["metrics"])
    for broken in (packed[:-3], b"not zstd", packed + b"tail"):
        answer = wire.post("forward_backward", broken, {"Content-Encoding": "zstd"})
        t.assertEqual(answer.status, 400)
        t.assertTrue(answer.json())


@check("TR_C01")
def TK21_02_each_poll_gets_the_form_it_accepts(t):
    wire = model(t)
    request = wire.submit("forward_backward", {"forward_backward_input": {"data": [json_datum(TEXT)], "loss_fn": "cross_entropy"}})
    plain = wire.retrieve(request)
    for accept in ("application/x-protobuf", "application/x-protobuf, application/json"):
        metrics, outputs = proto_output(wire.retrieve(request, accept))
        t.assertEqual(metrics["loss:sum"], plain["metrics"]["loss:sum"])
        near(t, outputs[0]["logprobs"][0], plain["loss_fn_outputs"][0]["logprobs"]["data"], 1e-6)
    t.assertEqual(wire.retrieve(request), plain)
    # Failures are JSON whatever is accepted.
    bad = wire.submit("forward_backward", {"forward_backward_input": {"data": [json_datum([999])], "loss_fn": "cross_entropy"}})
    with t.assertRaises(Refused) as caught:
        wire.retrieve(bad, "application/x-protobuf")
    t.assertEqual((caught.exception.status, caught.exception.category), (200, "user"))
    # Results that have no protobuf form are JSON too.
    step = wire.submit("optim_step", {"adam_params": {"learning_rate": 0.01}, "type": "optim_step"})
    t.assertIn("metrics", wire.retrieve(step, "application/x-protobuf"))


@check("TK21_01")
def TK21_01_the_sdk_reads_our_protobuf(t):
    """The official message classes parse what we send and give what we read."""
    if t.version != "0.38.0":
        from tinker.proto import tinker_public_pb2 as messages
    else:
        from tinker.proto import tinker_public_pb2 as messages
    wire = model(t)
    request = wire.call("forward_backward", proto_request(wire.model, 1, [proto_datum(TEXT, inputs(TARGETS))]), PROTO)["request_id"]
    raw = wire.retrieve(request, "application/x-protobuf")
    parsed = messages.ForwardBackwardOutput.FromString(raw)
    metrics, outputs = proto_output(raw)
    t.assertEqual(dict(parsed.metrics), metrics)
    t.assertEqual(parsed.loss_fn_outputs[0].num_datums, 1)
    batch = parsed.loss_fn_outputs[0].fields["logprobs"]
    t.assertEqual(list(struct.unpack(f"<{len(TEXT)}f", batch.data)), outputs[0]["logprobs"][0])
    t.assertEqual(parsed.loss_fn_output_type, "ArrayRecord")


def TR_C01_a_result_is_kept(t):
    wire = model(t)
    request = wire.submit("optim_step", {"adam_params": {"learning_rate": 0.01}, "type": "optim_step"})
    t.assertIsInstance(request, str)
    one = wire.retrieve(request)
    t.assertEqual([wire.retrieve(request) for _ in range(3)], [one] * 3)
    # A poll that was dropped with the answer on its way is asked again.
    slow = wire.submit("forward_backward", {"forward_backward_input": {"data": [json_datum(PATTERN * 4)] * 30,
                                                                       "loss_fn": "cross_entropy"}})
    poll = Connection(t.backend)
    poll.request("POST", "/api/v1/retrieve_future", {"request_id": slow, "allow_metadata_only": True})
    poll.close()
    t.assertIn("loss:sum", wire.retrieve(slow)["metrics"])


def TR_C03_a_repeated_submission_is_executed_once(t):
    one, two = model(t, seed=9), model(t, seed=9)
    body = {"forward_backward_input": {"data": [json_datum(TEXT)], "loss_fn": "cross_entropy"}, "seq_id": 1}
    requests = {one.call("forward_backward", {"model_id": one.model, **body},
                         {"X-Idempotency-Key": key})["request_id"] for key in ("a", "a", "b")}
    t.assertEqual(len(requests), 1)
    one.retrieve(requests.pop())
    two.run("forward_backward", body)
    step = {"adam_params": {"learning_rate": 0.002}, "type": "optim_step", "seq_id": 2}
    t.assertEqual(len({one.submit("optim_step", step) for _ in range(4)}), 1)
    two.run("optim_step", step)
    one.seq = two.seq = 2
    t.assertEqual(one.loss([json_datum(TEXT)]), two.loss([json_datum(TEXT)]))
    # Another body under a used number: refused, and neither 409 nor executed.
    answer = one.post("forward_backward", {"model_id": one.model, "seq_id": 1, "forward_backward_input": {
        "data": [json_datum(PATTERN)], "loss_fn": "cross_entropy"}})
    t.assertIn(answer.status, (200, 400))
    if answer.status == 200:
        with t.assertRaises(Refused):
            one.retrieve(answer.json()["request_id"])


@check("TR_C04")
def TR_C04_chunks_that_arrive_in_another_order(t):
    one, two = model(t, seed=9), model(t, seed=9)
    chunks = [[json_datum(TEXT), json_datum(PATTERN[:9])], [json_datum(PATTERN)], [json_datum(TEXT[:5])]]

    def submit(wire, index):
        return wire.submit("forward_backward", {"seq_id": index + 1, "forward_backward_input": {
            "data": chunks[index], "loss_fn": "cross_entropy"}})

    for wire, order in ((one, (1, 2, 0)), (two, (0, 1, 2))):
        requests = [submit(wire, index) for index in order]
        step = wire.submit("optim_step", {"seq_id": 4, "adam_params": {"learning_rate": 0.002}, "type": "optim_step"})
        for request in (*requests, step):
            wire.retrieve(request)
        wire.seq = 4
    t.assertEqual(one.loss([json_datum(TEXT)]), two.loss([json_datum(TEXT)]))


def TR_C05_a_gap_stalls_nothing(t):
    wire = model(t)
    begin = time.monotonic()
    wire.run("optim_step", {"seq_id": 9, "adam_params": {"learning_rate": 0.01}, "type": "optim_step"})
    wire.run("forward_backward", {"seq_id": 30, "forward_backward_input": {"data": [json_datum(TEXT)], "loss_fn": "cross_entropy"}})
    t.assertLess(time.monotonic() - begin, 3)


def TR_C10_tensors_carry_three_keys(t):
    wire = model(t)
    for output in wire.forward([json_datum(TEXT), json_datum(PATTERN)])["loss_fn_outputs"]:
        for name, found in output.items():
            t.assertEqual(set(found), {"data", "dtype", "shape"}, name)
            t.assertIn(found["dtype"], ("float32", "int64"))
            size = 1
            for extent in found["shape"]:
                size *= extent
            t.assertEqual(size, len(found["data"]))


@check("TR_C24")
def TR_C24_a_tensor_without_shape_and_with_integers(t):
    wire = model(t)
    datum = {"model_input": {"chunks": [{"type": "encoded_text", "tokens": TEXT}]},
             "loss_fn_inputs": {"target_tokens": {"data": TARGETS, "dtype": "int64"},
                                "weights": {"data": [1] * len(TEXT), "dtype": "float32", "shape": None}}}
    t.assertEqual(wire.loss([datum]), wire.loss([json_datum(TEXT)]))


def TR_C11_every_refusal_has_a_body(t):
    wire = model(t)
    seen = set()
    for call, body in (("create_session", b"{"), ("create_model", b"[]"), ("forward", b"\xff\xfe"), ("optim_step", b"null"),
                       ("retrieve_future", b"{}"), ("retrieve_future", {"request_id": "nobody"}), ("get_info", {"model_id": 5}),
                       ("save_weights", {}), ("load_weights", {"path": 7}), ("asample", {}), ("create_sampling_session", {}),
                       ("weights_info", {}), ("session_heartbeat", {}), ("nothing_of_this_name", {})):
        answer = wire.post(call, body)
        seen.add(answer.status)
        t.assertIn(answer.status, (200, 400, 404), f"{call} {answer}")
        t.assertTrue(answer.json(), call)
        if answer.status != 200:
            t.assertTrue(answer.json().get("detail") or answer.json().get("error"), call)
    t.assertNotIn(409, seen)
    answer = t.backend.http("POST", "/api/v1/create_session", {"tags": []}, {"X-Api-Key": "wrong"})
    t.assertEqual(answer.status, 401)
    t.assertTrue(answer.json())


def TR_C05_a_request_of_an_unloaded_model(t):
    wire = model(t)
    wire.finish()
    with t.assertRaises(Refused) as caught:
        wire.optim_step()
    t.assertIn(caught.exception.status, (200, 400, 404))
    t.assertIn(wire.model, str(caught.exception))


def X_deprecated_and_unknown_fields_are_ignored(t):
    wire = model(t)
    wire.run("optim_step", {"adam_params": {"learning_rate": 0.01, "future_field": [1, {"a": None}]}, "type": "optim_step",
                            "something": {"deep": [[[]]]}})
    answer = wire.forward([{**json_datum(TEXT), "provenance": [{"x": 1}]}])
    t.assertIn("loss:sum", answer["metrics"])


@check("TK21_13")
def X_provenance_is_read_and_ignored(t):
    wire = model(t)
    span = field(1, field(1, "r1:0") + field(3, len(TEXT)))
    datum = proto_datum(TEXT, inputs(TARGETS)) + field(3, span) + field(4, span)
    metrics, _ = ask(wire, proto_request(wire.model, 1, [datum], forward_only=True))
    plain, _ = ask(wire, proto_request(wire.model, 2, [proto_datum(TEXT, inputs(TARGETS))], forward_only=True))
    t.assertEqual(metrics, plain)


@check(alone=True)
def TR_C02_a_poll_is_held_and_answered_with_try_again(t):
    """A request that takes longer than one poll: held 20 to 45 s, one answer a poll."""
    wire = model(t)
    data = [json_datum(list(range(32, 132)))] * 200
    requests = [wire.submit("forward_backward", {"forward_backward_input": {"data": data, "loss_fn": "cross_entropy"}})
                for _ in range(80)]
    begin = time.monotonic()
    answer = wire.post("retrieve_future", {"request_id": requests[-1], "allow_metadata_only": True})
    held = time.monotonic() - begin
    t.assertEqual(answer.json().get("type"), "try_again", f"after {held:.1f} s")
    t.assertEqual(answer.json()["request_id"], requests[-1])
    t.assertEqual(answer.json()["queue_state"], "active")
    t.assertTrue(20 <= held < 45, held)
