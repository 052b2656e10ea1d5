# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that are slow, lie about lengths, send garbage or go away. Afterwards the server works as before."""

import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from harness.suite import check
from harness.wire import (FLOAT32, INT64, Connection, Refused, Wire, field, json_datum, proto_datum, proto_output, proto_request,
                          tensor, varint)

TEXT = list(b"still right and fair")
PROTO = {"content-type": "application/x-protobuf"}


def memory(t, field_name="VmRSS"):
    """Of the server, in KiB."""
    status = pathlib.Path(f"/proc/{t.backend.process.pid}/status").read_text()
    return int(re.search(rf"{field_name}:\s+(\d+)", status).group(1))


def model(t, **named):
    wire = Wire(t.backend)
    t.cleanup(wire.finish)
    wire.create(rank=4, **named)
    return wire


def connection(t, timeout=60):
    made = Connection(t.backend, timeout)
    t.cleanup(made.close)
    return made


def still_right(t, wire=None):
    """The loss of a fresh model is what it was before; one step lowers it."""
    wire = wire or model(t)
    before = wire.loss([json_datum(TEXT)])
    wire.forward_backward([json_datum(TEXT)])
    wire.optim_step(0.002)
    t.assertLess(wire.loss([json_datum(TEXT)]), before)


def closed(peer, seconds):
    """True when the server closes within that time, whatever it sends before."""
    peer.socket.settimeout(seconds)
    try:
        while peer.socket.recv(65536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def X_half_a_request_then_silence(t):
    """Twenty connections stop in the middle of the head or the body; nobody else waits for them."""
    halves = []
    body = json.dumps({"tags": []}).encode()
    for index in range(20):
        peer = connection(t)
        whole = peer.head("POST", "/api/v1/create_session", len(body), {"content-type": "application/json"}) + body
        peer.send(whole[:len(whole) * (index % 9 + 1) // 10])
        halves.append((peer, whole, len(whole) * (index % 9 + 1) // 10))
    begin = time.monotonic()
    still_right(t)
    t.assertLess(time.monotonic() - begin, 5)
    # The rest of a request may come late, byte by byte.
    peer, whole, sent = halves[3]
    for byte in whole[sent:]:
        peer.send(bytes([byte]))
    status, _, answer = peer.answer()
    t.assertEqual(status, 200)
    t.assertTrue(json.loads(answer)["session_id"])


def X_a_head_that_never_ends_is_given_up(t):
    peer = connection(t)
    peer.send(b"POST /api/v1/create_session HTTP/1.1\r\nhost: x\r\n")
    t.assertTrue(closed(peer, 15), "the header limit is 10 s")
    still_right(t)


def X_a_head_that_is_too_long(t):
    peer = connection(t)
    peer.send(b"GET /api/v1/healthz HTTP/1.1\r\nhost: x\r\n")
    try:
        for _ in range(64):
            peer.send(b"x-padding: " + b"a" * 1000 + b"\r\n")
        status, _, _ = peer.answer()
        t.assertEqual(status, 431)
    except ConnectionError:
        pass  # reset while still sending: refused as well
    still_right(t)


def X_wrong_content_lengths(t):
    body = json.dumps({"tags": [], "user_metadata": {}, "sdk_version": "x", "type": "create_session"}).encode()
    head = {"content-type": "application/json"}
    # Announced too little: the rest is read as the next request, which is none.
    peer = connection(t)
    peer.send(peer.head("POST", "/api/v1/create_session", 10, head) + body)
    status, _, _ = peer.answer()
    t.assertEqual(status, 400)
    # Announced too much, then the client goes.
    peer = connection(t)
    peer.send(peer.head("POST", "/api/v1/create_session", len(body) + 1000, head) + body)
    peer.close()
    # Numbers that are none, negative, doubled, enormous.
    for line in (b"content-length: ten", b"content-length: -5", b"content-length: 5\r\ncontent-length: 6",
                 b"content-length: 99999999999999999999999", b"content-length: 0x10",
                 b"content-length: 5\r\ntransfer-encoding: chunked"):
        peer = connection(t)
        peer.send(b"POST /api/v1/create_session HTTP/1.1\r\nhost: x\r\nx-api-key: " + t.backend.key.encode() + b"\r\n" + line +
                  b"\r\n\r\nhello")
        try:
            status, _, _ = peer.answer()
            t.assertIn(status, (400, 413, 501), line)
        except ConnectionError:
            pass
    # More than the limit is refused before it is sent.
    peer = connection(t)
    peer.send(peer.head("POST", "/api/v1/forward_backward", 200 << 20, head))
    status, _, answer = peer.answer()
    t.assertEqual(status, 413)
    t.assertTrue(json.loads(answer))
    still_right(t)


def X_requests_that_are_no_http(t):
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200), b"GARBAGE\r\n\r\n", b"\x00" * 500,
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\n\r\n", b"\r\n" * 300,
                    b"GET / HTTP/9.9\r\n\r\n", b"POST /api/v1/\xff\xfe HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"):
        peer = connection(t)
        peer.send(garbage)
        peer.socket.shutdown(socket.SHUT_WR)
        t.assertTrue(closed(peer, 12), garbage[:20])
    still_right(t)


def X_a_chunked_body_is_read(t):
    body = json.dumps({"tags": [], "user_metadata": {}, "sdk_version": "x", "type": "create_session"}).encode()
    peer = connection(t)
    peer.send(peer.head("POST", "/api/v1/create_session", None, {"content-type": "application/json",
                                                                 "transfer-encoding": "chunked"}))
    for begin in range(0, len(body), 7):
        part = body[begin:begin + 7]
        peer.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    peer.send(b"0\r\n\r\n")
    status, _, answer = peer.answer()
    t.assertEqual(status, 200)
    t.assertTrue(json.loads(answer)["session_id"])


def X_json_that_lies(t):
    wire = model(t)
    deep = b"[" * 200_000 + b"]" * 200_000
    cases = {
        "cut": b'{"model_id": "' + wire.model.encode() + b'", "seq_id": 5, "forward_backward_input": {"data": [{"model_in',
        "deep": b'{"model_id":"m","seq_id":1,"forward_backward_input":' + deep + b"}",
        "nan": b'{"model_id":"m","seq_id":1,"adam_params":{"learning_rate":NaN}}',
        "twice": b'{"model_id":"m"}{"model_id":"m"}',
        "binary": os.urandom(5000),
        "empty": b"",
        "huge number": b'{"model_id":"m","seq_id":' + b"9" * 5000 + b"}",
    }
    for name, body in cases.items():
        for call in ("forward_backward", "optim_step", "create_model", "asample"):
            answer = wire.post(call, body)
            t.assertIn(answer.status, (200, 400, 404), f"{name} {call} {answer}")
            t.assertTrue(answer.json(), name)
    huge = json_datum(TEXT)
    huge["loss_fn_inputs"]["target_tokens"]["shape"] = [1 << 40, 1 << 40]
    sparse = json_datum(TEXT)
    sparse["loss_fn_inputs"]["target_tokens"] = {"data": [1], "dtype": "int64", "shape": [1, 1 << 45],
                                                 "sparse_crow_indices": [0, 1], "sparse_col_indices": [0]}
    wild = json_datum(TEXT)
    wild["loss_fn_inputs"]["target_tokens"] = {"data": [1, 2], "dtype": "int64", "shape": [2, 6],
                                               "sparse_crow_indices": [0, 5, 900000], "sparse_col_indices": [-3, 77]}
    begin = memory(t)
    for lie in (huge, sparse, wild):
        with t.assertRaises(Refused) as caught:
            wire.forward_backward([lie])
        t.assertEqual(caught.exception.category, "user")
    t.assertLess(memory(t) - begin, 100_000)
    still_right(t, wire)


def X_protobuf_that_lies(t):
    wire = model(t)
    good = proto_datum(TEXT, {"target_tokens": tensor(TEXT, INT64)})
    whole = proto_request(wire.model, 1, [good])
    lies = [os.urandom(300), b"\xff" * 64, whole[:-5], whole[:40], field(1, wire.model) + varint(3 << 3 | 2) + varint(1 << 62),
            varint(3 << 3 | 3) * 5000, whole + field(4, b"\xff\xfe"), field(2, "text instead of a number") + whole[2:],
            # Shapes and offsets that do not fit their bytes.
            proto_request(wire.model, 2, [proto_datum(TEXT, {"target_tokens": tensor(TEXT, INT64, [1 << 40])})]),
            proto_request(wire.model, 3, [proto_datum(TEXT, {"target_tokens": tensor(TEXT, INT64, [1 << 33, 1 << 33])})]),
            proto_request(wire.model, 4, [proto_datum(TEXT, {"target_tokens": field(1, b"abc") + field(3, INT64) + field(4, b"\x01")})]),
            proto_request(wire.model, 5, [proto_datum(TEXT, {"target_tokens": field(1, b"") + field(3, 99) + field(4, b"\x00")})])]
    begin = memory(t)
    for index, body in enumerate(lies):
        answer = wire.post("forward_backward", body, PROTO)
        t.assertIn(answer.status, (200, 400), f"{index}: {answer}")
        if answer.status == 200:
            with t.assertRaises(Refused, msg=f"lie {index}") as caught:
                wire.retrieve(answer.json()["request_id"])
            t.assertEqual(caught.exception.category, "user", index)
        else:
            t.assertTrue(answer.json())
    # Bytes changed at random: refused or computed, never a crash.
    import random
    chance = random.Random(7)
    for seq in range(100, 300):
        body = bytearray(proto_request(wire.model, seq, [good], forward_only=True))
        for _ in range(3):
            body[chance.randrange(len(body))] = chance.randrange(256)
        answer = wire.post("forward_backward", bytes(body), PROTO)
        t.assertIn(answer.status, (200, 400), answer)
    t.assertLess(memory(t) - begin, 100_000)
    wire.seq = 1000
    still_right(t, wire)


def zstd_frame(block_size, blocks, byte):
    """One frame without a content size, of blocks that repeat one byte (RFC 8878, 3.1.1)."""
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\x58"  # no flags, window 2 MiB
    for index in range(blocks):
        header = (1 if index == blocks - 1 else 0) | 1 << 1 | block_size << 3
        frame += header.to_bytes(3, "little") + bytes([byte])
    return frame


def X_zstd_bombs(t):
    wire = model(t)
    before = memory(t, "VmHWM")
    # A few KiB that unpack to 8 GiB; and a frame that claims 1 TiB in its header.
    bomb = zstd_frame(128 << 10, 65_536, 32)
    claim = b"\x28\xb5\x2f\xfd" + b"\xe0" + (1 << 40).to_bytes(8, "little") + b"\x01\x00\x00"
    for body in (bomb, claim):
        for kind in ("application/json", "application/x-protobuf"):
            answer = wire.post("forward_backward", body, {"Content-Encoding": "zstd", "Content-Type": kind})
            t.assertIn(answer.status, (400, 413), answer)
            t.assertTrue(answer.json())
    grown = memory(t, "VmHWM") - before
    print(f"zstd bombs: peak memory grew by {grown // 1024} MiB")
    t.assertLess(grown, 400_000)
    for encoding in ("gzip", "br", "identity, zstd", "nonsense"):
        answer = wire.post("forward_backward", b"{}", {"Content-Encoding": encoding})
        t.assertIn(answer.status, (400, 415), f"{encoding} {answer}")
    still_right(t, wire)


@check("TR_C23")
def TR_C23_a_body_of_64_mb(t):
    wire = model(t)
    body = {"model_id": wire.model, "seq_id": 1, "forward_backward_input": {"data": [json_datum(TEXT)], "loss_fn": "cross_entropy"}}
    text = json.dumps(body).encode()
    text = text[:-1] + b"," + b" " * ((64 << 20) - len(text) - 20) + b'"x":1}'
    t.assertGreater(len(text), 63 << 20)
    request = wire.call("forward_backward", text)["request_id"]
    t.assertIn("loss:sum", wire.retrieve(request)["metrics"])
    # The same size from a client that stops in the middle and goes.
    peer = connection(t)
    peer.send(peer.head("POST", "/api/v1/forward_backward", len(text), {"content-type": "application/json"}) + text[:20 << 20])
    peer.close()
    wire.seq = 1
    still_right(t, wire)


@check("TR_C23")
def TR_C23_header_names_and_kept_connections(t):
    """Lower case as hyper sends, odd spacing; many requests on one connection, several at once."""
    peer = connection(t)
    for index in range(50):
        peer.request("GET" if index % 2 else "POST", "/api/v1/healthz" if index % 2 else "/api/v1/session_heartbeat",
                     b"" if index % 2 else {"session_id": "nobody"})
        status, _, _ = peer.answer()
        t.assertIn(status, (200, 404), index)
    peer.send(b"".join(peer.head("GET", "/api/v1/healthz", None) for _ in range(10)))
    for _ in range(10):
        t.assertEqual(peer.answer()[0], 200)
    peer.send(b"GET /api/v1/healthz HTTP/1.1\r\nHOST:x\r\nX-API-KEY:" + t.backend.key.encode() + b"  \r\n\r\n")
    t.assertEqual(peer.answer()[0], 200)


@check("TR_C03")
def TR_C03_the_same_submission_from_eight_connections(t):
    one, two = model(t, seed=5), model(t, seed=5)
    body = {"model_id": one.model, "seq_id": 1, "forward_backward_input": {"data": [json_datum(TEXT)] * 20,
                                                                           "loss_fn": "cross_entropy"}}
    found = []
    lock = threading.Lock()

    def submit():
        answer = one.post("forward_backward", body)
        with lock:
            found.append(answer.json()["request_id"])

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.assertEqual(len(found), 8)
    t.assertEqual(len(set(found)), 1)
    one.retrieve(found[0])
    two.run("forward_backward", {key: value for key, value in body.items() if key != "model_id"})
    one.seq = two.seq = 1
    for wire in (one, two):
        wire.optim_step(0.01)
    t.assertEqual(one.loss([json_datum(TEXT)]), two.loss([json_datum(TEXT)]))


@check("TK21_08")
def TK21_08_500_parked_polls(t):
    """They cost little memory, are all answered when the future ends, and nobody waits for them."""
    wire, other = model(t), model(t)
    data = [json_datum(list(range(40, 140)))] * 100
    long = [wire.submit("forward_backward", {"forward_backward_input": {"data": data, "loss_fn": "cross_entropy"}})
            for _ in range(6)]
    before = memory(t)
    polls = []
    for index in range(500):
        poll = connection(t, timeout=90)
        poll.request("POST", "/api/v1/retrieve_future", {"request_id": long[-1], "allow_metadata_only": True})
        polls.append(poll)
    begin = time.monotonic()
    t.assertEqual(t.backend.http("GET", "/api/v1/healthz").status, 200)
    t.assertLess(time.monotonic() - begin, 1)
    parked = memory(t)
    print(f"500 parked polls: {(parked - before) / 500:.1f} KiB each ({before // 1024} MiB before, {parked // 1024} MiB after)",
          flush=True)
    t.assertLess((parked - before) / 500, 64)
    # Fair: another model goes on meanwhile.
    still_right(t, other)
    # 250 of them go away; those who stay get the same bytes.
    for poll in polls[::2]:
        poll.close()
    answers = set()
    for poll in polls[1::2]:
        body = poll.answer()[2]
        while b'"try_again"' in body:  # a machine so slow that the hold time ran out
            poll.request("POST", "/api/v1/retrieve_future", {"request_id": long[-1], "allow_metadata_only": True})
            body = poll.answer()[2]
        answers.add(body)
    t.assertEqual(len(answers), 1)
    t.assertIn("loss:sum", json.loads(answers.pop())["metrics"])
    # And once more for a client that lost its answer.
    t.assertIn("loss:sum", wire.retrieve(long[-1])["metrics"])


@check("TR_C01")
def TR_C01_abandoned_polls_are_no_delivery(t):
    wire = model(t)
    data = [json_datum(list(range(40, 140)))] * 60
    request = wire.submit("forward_backward", {"forward_backward_input": {"data": data, "loss_fn": "cross_entropy"}})
    for _ in range(30):
        poll = connection(t)
        poll.request("POST", "/api/v1/retrieve_future", {"request_id": request, "allow_metadata_only": True})
        # Reset rather than closed: no FIN that would tell the server in good order.
        poll.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        poll.close()
    t.assertIn("loss:sum", wire.retrieve(request)["metrics"])


def X_100_connections_at_once(t):
    wire = model(t)
    results = []
    lock = threading.Lock()

    def work(index):
        peer = Connection(t.backend)
        try:
            for _ in range(5):
                peer.request("POST", "/api/v1/get_info", {"model_id": wire.model, "type": "get_info"})
                status, _, body = peer.answer()
                with lock:
                    results.append((status, json.loads(body)["model_id"]))
        finally:
            peer.close()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(100)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.assertEqual(results, [(200, wire.model)] * 500)
    t.assertLess(time.monotonic() - begin, 10)


def X_idle_connections_stay_open(t):
    """The clients' pools keep idle connections for 90 s; a short sample of that here."""
    peers = [connection(t) for _ in range(20)]
    for peer in peers:
        peer.request("GET", "/api/v1/healthz")
        t.assertEqual(peer.answer()[0], 200)
    time.sleep(3)
    for peer in peers:
        peer.request("GET", "/api/v1/healthz")
        t.assertEqual(peer.answer()[0], 200)


@check("TK21_12")
def TK21_12_sigkill_of_a_client_with_work_queued(t):
    """A client with forty calls in flight and twenty polls parked dies. Its neighbour goes on at once."""
    source = """
import json, socket, sys, time
sys.path.insert(0, sys.argv[1])
from harness.wire import Wire, Connection, json_datum
class Backend: pass
import harness.backend as module
backend = Backend()
backend.url, backend.key, backend.base_model, backend.port = sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[2].rsplit(":", 1)[1])
backend.http = module.Backend.http.__get__(backend)
wire = Wire(backend)
wire.create(rank=4)
data = [json_datum(list(range(40, 140)))] * 40
requests = [wire.submit("forward_backward", {"forward_backward_input": {"data": data, "loss_fn": "cross_entropy"}}) for _ in range(40)]
polls = []
for request in requests[:20]:
    poll = Connection(backend)
    poll.request("POST", "/api/v1/retrieve_future", {"request_id": request, "allow_metadata_only": True})
    polls.append(poll)
print("queued", flush=True)
time.sleep(100)
"""
    folder = str(pathlib.Path(__file__).resolve().parent)
    client = subprocess.Popen([sys.executable, "-c", source, folder, t.backend.url, t.backend.key, t.backend.base_model],
                              stdout=subprocess.PIPE, text=True)
    t.cleanup(client.wait)
    t.cleanup(client.kill)
    t.assertEqual(client.stdout.readline().strip(), "queued")
    client.send_signal(signal.SIGKILL)
    client.wait()
    client.stdout.close()
    begin = time.monotonic()
    still_right(t)
    t.assertLess(time.monotonic() - begin, 15)


def X_two_models_share_the_machine(t):
    """A busy model does not starve another: they alternate call by call, so six small ones end within a third of the queue."""
    busy, light = model(t), model(t)
    data = [json_datum(list(range(40, 140)))] * 20
    requests = [busy.submit("forward_backward", {"forward_backward_input": {"data": data, "loss_fn": "cross_entropy"}})
                for _ in range(30)]
    begin = time.monotonic()
    for _ in range(3):
        light.forward_backward([json_datum(TEXT)])
        light.optim_step()
    small = time.monotonic() - begin
    for request in requests:
        busy.retrieve(request)
    whole = time.monotonic() - begin
    print(f"three small steps: {small:.2f} s beside {whole:.2f} s of work", flush=True)
    t.assertLess(small, 0.5 * whole + 1)


def X_a_slow_reader_holds_up_nobody(t):
    """It asks for a large answer and does not read it."""
    wire = model(t)
    request = wire.submit("forward", {"forward_input": {"data": [json_datum(list(range(40, 140)))] * 300, "loss_fn": "cross_entropy"}})
    whole = wire.retrieve(request)
    slow = []
    for _ in range(10):
        peer = Connection(t.backend)
        t.cleanup(peer.close)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(4):
            peer.request("POST", "/api/v1/retrieve_future", {"request_id": request, "allow_metadata_only": True})
        slow.append(peer)
    begin = time.monotonic()
    still_right(t)
    t.assertLess(time.monotonic() - begin, 5)
    status, _, body = slow[0].answer()
    t.assertEqual(json.loads(body)["metrics"], whole["metrics"])


def X_huge_counts_are_refused(t):
    wire = model(t)
    session = wire.call("create_sampling_session", {"session_id": wire.session, "sampling_session_seq_id": 0,
                                                    "base_model": t.backend.base_model, "type": "create_sampling_session"})
    base = {"num_samples": 1, "prompt": {"chunks": [{"tokens": TEXT, "type": "encoded_text"}]}, "sampling_params": {"max_tokens": 2},
            "sampling_session_id": session["sampling_session_id"], "type": "sample"}
    before = memory(t)
    for index, lie in enumerate(({"num_samples": 10 ** 9}, {"num_samples": -1}, {"topk_prompt_logprobs": 10 ** 9, "prompt_logprobs": True},
                                 {"sampling_params": {"max_tokens": 10 ** 12}}, {"prompt_alt_tokens_k": 10 ** 9},
                                 {"topk_sample_logprobs": 10 ** 9}, {"sampling_params": {"max_tokens": -3}})):
        answer = wire.post("asample", {**base, **lie, "seq_id": index})
        t.assertIn(answer.status, (200, 400), lie)
        if answer.status == 200:
            try:
                result = wire.retrieve(answer.json()["request_id"])
                # Bounded instead of refused: then by the model's context.
                t.assertLess(len(result["sequences"][0]["tokens"]), 100_000, lie)
            except Refused as refused:
                t.assertEqual(refused.category, "user", lie)
    t.assertLess(memory(t) - before, 200_000)
    answer = wire.post("create_model", {"session_id": wire.session, "model_seq_id": 77, "base_model": t.backend.base_model,
                                        "lora_config": {"rank": 10 ** 9}, "type": "create_model"})
    t.assertEqual(answer.status, 200)
    with t.assertRaises(Refused) as caught:
        wire.retrieve(answer.json()["request_id"])
    t.assertEqual(caught.exception.category, "user")
    still_right(t, wire)


def X_many_sessions_are_forgotten_in_time(t):
    """Ten thousand sessions and as many stale polls leave the server small and the last session alive."""
    before = memory(t)
    peer = connection(t)
    for _ in range(6000):
        peer.request("POST", "/api/v1/create_session", {"tags": ["x" * 50], "user_metadata": {"a": "b" * 100}})
        status, _, _ = peer.answer()
        t.assertEqual(status, 200)
    print(f"6000 sessions: {(memory(t) - before) // 1024} MiB", flush=True)
    t.assertLess(memory(t) - before, 60_000)
    still_right(t)
