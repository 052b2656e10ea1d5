# SPDX-License-Identifier: GPL-3.0-or-later
"""What no well-behaved SDK can provoke at will: chunks out of order, repeats, gaps, odd numbers, lost deliveries.

Plain HTTP with the bodies that the SDKs send, beside an SDK client where one is useful.
"""

import http.client
import json
import socket
import threading
import time

from harness.fireworks import loss_of, datums, trainer
from harness.suite import check

CE = {"data": [{"loss_fn_inputs": {"target_tokens": {"data": [101, 102, 103], "dtype": "int64", "shape": [3]},
                                   "weights": {"data": [1.0, 0.5, 2.0], "dtype": "float32", "shape": [3]}},
                "model_input": {"chunks": [{"tokens": [100, 101, 102], "type": "encoded_text"}]}}], "loss_fn": "cross_entropy"}


class Wire:
    """A model of its own, driven by hand. Seq ids are the caller's."""

    def __init__(self, t, lora_config=None):
        self.t, self.backend = t, t.backend
        self.job = t.backend.create_job(lora_rank=(lora_config or {"rank": 0})["rank"])
        t.cleanup(t.backend.delete_job, self.job)
        self.session = self.call("create_session", {"tags": [], "user_metadata": {}, "sdk_version": "0.23.0",
                                                    "type": "create_session"}).json()["session_id"]
        self.model = self.wait(self.call("create_model", {"session_id": self.session, "model_seq_id": 0,
                                                          "base_model": t.backend.base_model,
                                                          "lora_config": lora_config or {"rank": 0},
                                                          "type": "create_model"}))["model_id"]

    def call(self, name, body, headers=None, timeout=60):
        return self.backend.trainer(self.job, "POST", name, body, headers, timeout)

    def submit(self, name, seq, body, headers=None):
        answer = self.call(name, {**body, "model_id": self.model, "seq_id": seq}, headers)
        self.t.assertEqual(answer.status, 200, answer)
        return answer.json()["request_id"]

    def fb(self, seq, data=None):
        return self.submit("forward_backward", seq, {"forward_backward_input": data or CE})

    def step(self, seq, lr=1e-3):
        return self.submit("optim_step", seq, {"adam_params": {"learning_rate": lr, "beta1": 0.9, "beta2": 0.95, "eps": 1e-12,
                                                               "weight_decay": 0.0, "grad_clip_norm": 0.0,
                                                               "emit_grad_norm_metrics": "basic"}, "type": "optim_step"})

    def poll(self, request_id, **named):
        return self.call("retrieve_future", {"request_id": request_id, "allow_metadata_only": True}, **named)

    def wait(self, envelope):
        request_id = envelope if isinstance(envelope, str) else envelope.json()["request_id"]
        self.t.assertIsInstance(request_id, str)
        while True:
            result = self.poll(request_id).json()
            if result.get("type") != "try_again":
                return result

    def loss(self, seq):
        return self.wait(self.submit("forward", seq, {"forward_input": CE}))["metrics"]["loss:sum"]


def scaled(weight):
    one = json.loads(json.dumps(CE))
    one["data"][0]["loss_fn_inputs"]["weights"]["data"] = [weight * value for value in (1.0, 0.5, 2.0)]
    return one


def TR_C01_results_are_kept(t):
    wire = Wire(t)
    request_id = wire.fb(1)
    t.assertIsInstance(request_id, str)
    first = wire.wait(request_id)
    t.assertEqual(wire.poll(request_id).json(), first)


@check("FW21_09")
def TR_C02_a_pending_poll_is_held(t):
    wire = Wire(t)
    big = {"data": [{"loss_fn_inputs": {"target_tokens": {"data": list(range(100)), "dtype": "int64"}},
                     "model_input": {"chunks": [{"tokens": list(range(100)), "type": "encoded_text"}]}}] * 64,
           "loss_fn": "cross_entropy"}
    last = [wire.fb(seq, big) for seq in range(1, 7)][-1]
    polls, started = 0, time.monotonic()
    while wire.poll(last).json().get("type") == "try_again":
        polls += 1
    t.assertLessEqual(polls, time.monotonic() - started + 1)


def TR_C03_the_same_submission_twice_runs_once(t):
    wire = Wire(t)
    one = wire.fb(1)
    t.assertEqual(wire.fb(1), one)
    t.assertEqual(wire.submit("forward_backward", 1, {"forward_backward_input": CE},
                              {"X-Idempotency-Key": "stainless-python-retry-other"}), one)
    twice = wire.wait(wire.step(2))["metrics"]["grad_norm"]
    other = Wire(t)
    other.fb(1)
    t.assertEqual(other.wait(other.step(2))["metrics"]["grad_norm"], twice)


def TR_C03_another_payload_under_the_same_number(t):
    """Never 409: the client would retry for minutes."""
    wire = Wire(t)
    wire.fb(1)
    answer = wire.call("forward_backward", {"forward_backward_input": scaled(3.0), "model_id": wire.model, "seq_id": 1})
    t.assertIn(answer.status, (200, 400))


@check("FW21_02")
def TR_C04_chunks_in_any_order(t):
    def after(order):
        wire = Wire(t)
        weights = {1: 0.3, 2: 1.7, 3: -0.9}
        pending = [wire.fb(seq, scaled(weights[seq])) for seq in order]
        wire.wait(wire.step(4))
        for request_id in pending:
            t.assertIn("loss_fn_outputs", wire.wait(request_id))
        return wire.loss(5)
    wanted = after([1, 2, 3])
    t.assertEqual(after([2, 3, 1]), wanted)
    t.assertEqual(after([3, 2, 1]), wanted)


def FW21_02_swapped_neighbors_then_a_step(t):
    def after(order):
        wire = Wire(t)
        for seq in order:
            wire.fb(seq, scaled(0.5 * seq))
        wire.wait(wire.step(3))
        return wire.loss(4)
    t.assertEqual(after([1, 2]), after([2, 1]))


def TR_C05_a_missing_number_stalls_nothing(t):
    wire = Wire(t)
    wire.wait(wire.fb(1))
    started = time.monotonic()
    wire.wait(wire.step(5))
    wire.wait(wire.fb(9))
    t.assertLess(time.monotonic() - started, 5)


@check("TR_C10")
def TR_C07_sparse_tensors(t):
    wire = Wire(t)
    data = {"data": [{"loss_fn_inputs": {
        "target_tokens": {"data": [101, 102], "dtype": "int64", "shape": [2, 6], "sparse_crow_indices": [0, 1, 2],
                          "sparse_col_indices": [0, 3]},
        "weights": {"data": [1.0, 2.0], "dtype": "float32", "shape": [2, 6], "sparse_crow_indices": [0, 1, 2],
                    "sparse_col_indices": [0, 3]}},
        "model_input": {"chunks": [{"tokens": [100, 101], "type": "encoded_text"}]}}], "loss_fn": "cross_entropy"}
    result = wire.wait(wire.fb(1, data))
    logprobs = result["loss_fn_outputs"][0]["logprobs"]
    t.assertEqual(set(logprobs), {"data", "dtype", "shape"})
    t.assertEqual((logprobs["shape"], len(logprobs["data"])), ([2, 6], 12))
    t.assertAlmostEqual(result["metrics"]["loss:sum"], -(logprobs["data"][0] + 2 * logprobs["data"][9]), delta=1e-3)


@check("TR_C09", "TR_C10")
def TR_C10_results_carry_nothing_else(t):
    wire = Wire(t)
    result = wire.wait(wire.fb(1))
    t.assertLessEqual({"loss_fn_output_type", "loss_fn_outputs", "metrics"}, set(result))
    t.assertNotIn("error", result)
    for output in result["loss_fn_outputs"]:
        for tensor in output.values():
            t.assertEqual(set(tensor), {"data", "dtype", "shape"})
            t.assertEqual(len(tensor["data"]), tensor["shape"][0])
    t.assertTrue(all(key.count(":") == 1 for key in result["metrics"]))


def TR_C11_every_400_has_a_body_and_nothing_is_409(t):
    wire = Wire(t)
    for name, body in (("forward_backward", b""), ("forward_backward", b"{"), ("optim_step", {}), ("create_model", {}),
                       ("retrieve_future", {}), ("save_weights", {"model_id": wire.model}), ("forward", []),
                       ("create_session", b"[1")):
        answer = wire.call(name, body)
        t.assertIn(answer.status, (200, 400, 404, 422), f"{name} {body}: {answer}")
        if answer.status != 200:
            t.assertTrue(answer.json(), name)
    for name in ("step", "step"):
        answer = wire.call("save_weights", {"model_id": wire.model, "path": name, "seq_id": 50, "type": "save_weights"})
        t.assertNotEqual(answer.status, 409)


@check("TR_C23")
def FW21_08_both_decimal_forms_of_a_float(t):
    """A float32 printed in full or in its shortest form is the same gradient."""
    norms = []
    for weights in ([0.10000000149011612, 0.30000001192092896, 0.699999988079071], [0.1, 0.3, 0.7]):
        wire = Wire(t)
        data = json.loads(json.dumps(CE))
        data["data"][0]["loss_fn_inputs"]["weights"]["data"] = weights
        wire.fb(1, data)
        norms.append((wire.wait(wire.step(2))["metrics"]["grad_norm"], wire.loss(3)))
    t.assertEqual(norms[0], norms[1])


def TR_C23_lower_case_headers_and_big_bodies(t):
    wire = Wire(t)
    connection = http.client.HTTPConnection("127.0.0.1", t.backend.port, timeout=60)
    path = f"/training/v1/rlorTrainerJobs/{t.backend.account}/{wire.job}/api/v1/forward_backward"
    body = json.dumps({"forward_backward_input": CE, "model_id": wire.model, "seq_id": 1}).encode()
    body += b" " * (64 * 1024 * 1024 - len(body))
    connection.request("POST", path, body, {"x-api-key": t.backend.key, "content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    t.assertEqual(answer.status, 200, text)
    t.assertTrue(json.loads(text)["request_id"])
    # The same connection serves on.
    connection.request("GET", "/api/v1/healthz", headers={"x-api-key": t.backend.key})
    t.assertEqual(connection.getresponse().status, 200)
    connection.close()


def TR_C21_unknown_request_is_404(t):
    wire = Wire(t)
    answer = wire.poll("no-such-request")
    t.assertEqual(answer.status, 404)
    t.assertTrue(answer.json())


def X_a_poll_whose_client_has_gone_is_no_delivery(t):
    """The reader closes while the poll is parked; the result is there for the next poll."""
    wire = Wire(t)
    big = {"data": [{"loss_fn_inputs": {"target_tokens": {"data": list(range(100)), "dtype": "int64"}},
                     "model_input": {"chunks": [{"tokens": list(range(100)), "type": "encoded_text"}]}}] * 64,
           "loss_fn": "cross_entropy"}
    request_id = [wire.fb(seq, big) for seq in range(1, 4)][-1]
    body = json.dumps({"request_id": request_id}).encode()
    path = f"/training/v1/rlorTrainerJobs/{t.backend.account}/{wire.job}/api/v1/retrieve_future"
    for _ in range(3):
        link = socket.create_connection(("127.0.0.1", t.backend.port))
        link.sendall(f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {t.backend.key}\r\ncontent-type: application/json\r\n"
                     f"content-length: {len(body)}\r\n\r\n".encode() + body)
        link.close()
    t.assertEqual(len(wire.wait(request_id)["loss_fn_outputs"]), 64)


def X_several_models_share_the_engine_fairly(t):
    """A model with a long queue does not make another one wait for all of it."""
    busy, quick = Wire(t), Wire(t)
    big = {"data": [{"loss_fn_inputs": {"target_tokens": {"data": list(range(100)), "dtype": "int64"}},
                     "model_input": {"chunks": [{"tokens": list(range(100)), "type": "encoded_text"}]}}] * 16,
           "loss_fn": "cross_entropy"}
    pending = [busy.fb(seq, big) for seq in range(1, 25)]
    started = time.monotonic()
    quick.wait(quick.fb(1))
    alone = time.monotonic() - started
    for request_id in pending:
        busy.wait(request_id)
    everything = time.monotonic() - started
    t.assertLess(alone, everything / 2)


def X_parked_polls_leave_the_server_answering(t):
    """200 polls of one unfinished future are parked at once; another request is answered at once, and all get the result."""
    wire = Wire(t)
    big = {"data": [{"loss_fn_inputs": {"target_tokens": {"data": list(range(100)), "dtype": "int64"}},
                     "model_input": {"chunks": [{"tokens": list(range(100)), "type": "encoded_text"}]}}] * 64,
           "loss_fn": "cross_entropy"}
    request_id = [wire.fb(seq, big) for seq in range(1, 8)][-1]
    results = []
    threads = [threading.Thread(target=lambda: results.append(wire.wait(request_id)["metrics"]["loss:sum"])) for _ in range(200)]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    t.assertEqual(t.backend.http("GET", "/api/v1/healthz").status, 200)
    t.assertLess(time.monotonic() - started, 2)
    for thread in threads:
        thread.join(90)
    t.assertEqual((len(results), len(set(results))), (200, 1))


def X_back_pressure_has_retry_after(t):
    """Too many outstanding requests of one model: 429 with Retry-After on the submit, or all accepted; never 5xx or 409."""
    wire = Wire(t)
    for seq in range(1, 400):
        answer = wire.call("forward_backward", {"forward_backward_input": CE, "model_id": wire.model, "seq_id": seq})
        t.assertIn(answer.status, (200, 429), answer)
        if answer.status == 429:
            t.assertTrue(answer.headers["Retry-After"])
            break
    _, client = trainer(t)
    t.assertGreater(loss_of(client, datums()), 0)
