# SPDX-License-Identifier: GPL-3.0-or-later
"""The trainer's routes without an SDK: sockets, HTTP/1.1 by hand, protobuf by hand. Standard library only."""

import json
import socket
import struct
import time


# --- protobuf, wire level (https://protobuf.dev/programming-guides/encoding) ---

def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """int → varint, float → fixed64, str and bytes → length-delimited."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """[(number, value)] of a message; values are int or bytes."""
    found, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        kind = key & 7
        if kind == 0:
            value = number()
        else:
            size = {1: 8, 2: None, 5: 4}[kind]
            if size is None:
                size = number()
            value = data[at:at + size]
            if len(value) != size:
                raise ValueError("cut short")
            at += size
        found.append((key >> 3, value))
    return found


def first(message, number, default=None):
    return next((value for key, value in message if key == number), default)


def every(message, number):
    return [value for key, value in message if key == number]


FLOAT32, INT64, INT32, BFLOAT16 = 1, 2, 3, 4


def tensor(values, kind, shape=None):
    letter = {FLOAT32: "f", INT64: "q", INT32: "i"}[kind]
    dense = struct.pack(f"<{len(values)}{letter}", *values)
    return field(1, dense) + field(3, kind) + field(4, b"".join(map(varint, shape or [len(values)])))


def sparse(values, rows, columns, shape, kind):
    letter = {FLOAT32: "f", INT64: "q"}[kind]
    csr = (field(1, struct.pack(f"<{len(values)}{letter}", *values)) + field(2, struct.pack(f"<{len(rows)}q", *rows)) +
           field(3, struct.pack(f"<{len(columns)}q", *columns)))
    return field(2, csr) + field(3, kind) + field(4, b"".join(map(varint, shape)))


def proto_datum(tokens, inputs):
    """inputs: name → encoded tensor."""
    chunk = field(1, field(1, struct.pack(f"<{len(tokens)}i", *tokens)))
    return field(1, chunk) + b"".join(field(2, field(1, name) + field(2, value)) for name, value in inputs.items())


def proto_request(model, seq, data, loss="cross_entropy", config=None, forward_only=False, config2=None):
    body = field(1, model) + field(2, seq) + b"".join(field(3, datum) for datum in data) + field(4, loss)
    body += b"".join(field(5, field(1, key) + field(2, float(value))) for key, value in (config or {}).items())
    if forward_only:
        body += field(6, 1)
    for key, value in (config2 or {}).items():
        inner = field(2, value) if isinstance(value, str) else field(1, float(value))
        body += field(7, field(1, key) + field(2, inner))
    return body


def proto_output(data):
    """ForwardBackwardOutput → (metrics, [{name: (values, shape)} per datum])."""
    message = fields(data)
    metrics = {}
    for entry in every(message, 3):
        pair = fields(entry)
        metrics[first(pair, 1).decode()] = struct.unpack("<d", first(pair, 2, bytes(8)))[0]
    outputs = []
    for raw in every(message, 2):
        record = fields(raw)
        count = first(record, 3, 0)
        rows = [{} for _ in range(count)]
        for entry in every(record, 2):
            pair = fields(entry)
            batch = fields(first(pair, 2))
            kind = first(batch, 3)
            letter, size = {FLOAT32: ("f", 4), INT64: ("q", 8), INT32: ("i", 4)}[kind]
            offsets = struct.unpack(f"<{count + 1}q", first(batch, 2))
            trailing = []
            packed = first(batch, 4, b"")
            at = 0
            while at < len(packed):
                value = shift = 0
                while True:
                    byte = packed[at]
                    at += 1
                    value |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        break
                trailing.append(value)
            for row, (begin, end) in enumerate(zip(offsets, offsets[1:])):
                values = struct.unpack(f"<{(end - begin) // size}{letter}", first(batch, 1, b"")[begin:end])
                width = 1
                for extent in trailing:
                    width *= extent
                rows[row][first(pair, 1).decode()] = (list(values), [len(values) // width, *trailing])
        outputs += rows
    return metrics, outputs


# --- JSON shapes ---

def json_tensor(values, dtype="float32", shape=None):
    return {"data": list(values), "dtype": dtype, "shape": shape or [len(values)]}


def json_datum(tokens, targets=None, weights=None, **inputs):
    targets = tokens[1:] + tokens[:1] if targets is None else targets
    found = {"target_tokens": json_tensor(targets, "int64"), **inputs}
    if weights is not None:
        found["weights"] = json_tensor(weights)
    return {"model_input": {"chunks": [{"type": "encoded_text", "tokens": tokens}]}, "loss_fn_inputs": found}


# --- HTTP by hand ---

class Connection:
    """One socket; requests may be cut short, repeated or left unanswered."""

    def __init__(self, backend, timeout=60):
        self.backend = backend
        self.socket = socket.create_connection(("127.0.0.1", backend.port), timeout=timeout)
        self.kept = b""

    def close(self):
        self.socket.close()

    def head(self, method, path, length, headers=()):
        lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self.backend.port}", f"x-api-key: {self.backend.key}"]
        if length is not None:
            lines.append(f"content-length: {length}")
        lines += [f"{name}: {value}" for name, value in dict(headers).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method, path, body=b"", headers=None):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send(self.head(method, path, len(body), {"content-type": "application/json", **(headers or {})}) + body)

    def answer(self):
        """(status, headers, body). ConnectionError when the server closed first."""
        while b"\r\n\r\n" not in self.kept:
            self.more()
        head, self.kept = self.kept.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return status, headers, self.chunks()
        length = int(headers.get("content-length", 0))
        while len(self.kept) < length:
            self.more()
        body, self.kept = self.kept[:length], self.kept[length:]
        return status, headers, body

    def chunks(self):
        body = b""
        while True:
            while b"\r\n" not in self.kept:
                self.more()
            size, self.kept = self.kept.split(b"\r\n", 1)
            length = int(size.split(b";")[0], 16)
            while len(self.kept) < length + 2:
                self.more()
            body += self.kept[:length]
            self.kept = self.kept[length + 2:]
            if length == 0:
                return body

    def more(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("closed")
        self.kept += data


class Refused(Exception):
    """A future that failed, or an HTTP status other than 200."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body

    @property
    def category(self):
        return self.body.get("category") if isinstance(self.body, dict) else None


class Wire:
    """A session and, after create(), a model, driven with single requests."""

    def __init__(self, backend, prefix="", headers=None):
        self.backend, self.prefix, self.headers = backend, prefix, headers or {}
        self.session = self.call("create_session", {"tags": [], "user_metadata": {}, "sdk_version": "0.38.0",
                                                    "type": "create_session"})["session_id"]
        self.models = 0
        self.model = ""
        self.seq = 0

    def path(self, call):
        return f"{self.prefix}/api/v1/{call}"

    def post(self, call, body, headers=None, timeout=60):
        return self.backend.http("POST", self.path(call), body, {**self.headers, **(headers or {})}, timeout)

    def call(self, call, body, headers=None, timeout=60):
        answer = self.post(call, body, headers, timeout)
        if answer.status not in (200, 204):
            raise Refused(answer.status, json.loads(answer.body))
        return json.loads(answer.body) if answer.body else None

    def retrieve(self, request_id, accept="application/json", limit=60):
        deadline = time.monotonic() + limit
        while True:
            answer = self.post("retrieve_future", {"request_id": request_id, "allow_metadata_only": True},
                               {"Accept": accept})
            if "application/x-protobuf" in answer.headers.get("Content-Type", ""):
                return answer.body
            body = json.loads(answer.body)
            if answer.status == 408 or body.get("type") == "try_again":
                if time.monotonic() > deadline:
                    raise TimeoutError(request_id)
                continue
            if answer.status != 200 or "error" in body:
                raise Refused(answer.status, body)
            return body

    def submit(self, call, body, headers=None):
        """The request id. `seq_id` and `model_id` are added when absent."""
        if isinstance(body, dict):
            if "seq_id" not in body:
                self.seq += 1
                body = {"seq_id": self.seq, **body}
            body = {"model_id": self.model, **body}
        return self.call(call, body, headers)["request_id"]

    def run(self, call, body):
        return self.retrieve(self.submit(call, body))

    def create(self, rank=8, base_model=None, seed=3, **named):
        body = {"session_id": self.session, "model_seq_id": self.models, "base_model": base_model or self.backend.base_model,
                "lora_config": {"rank": rank, "seed": seed, "train_unembed": True, "train_mlp": True, "train_attn": True},
                "optimizer_config": {"type": "adamw"}, "type": "create_model", **named}
        self.models += 1
        result = self.retrieve(self.call("create_model", body)["request_id"])
        self.model, self.seq = result["model_id"], 0
        return self.model

    def forward_backward(self, data, loss="cross_entropy", config=None, **named):
        body = {"data": data, "loss_fn": loss}
        if config:
            body["loss_fn_config"] = config
        return self.run("forward_backward", {"forward_backward_input": body, **named})

    def forward(self, data, loss="cross_entropy", config=None, **named):
        body = {"data": data, "loss_fn": loss}
        if config:
            body["loss_fn_config"] = config
        return self.run("forward", {"forward_input": body, **named})

    def optim_step(self, lr=0.002, **named):
        return self.run("optim_step", {"adam_params": {"learning_rate": lr, "beta1": 0.9, "beta2": 0.95, "eps": 1e-12,
                                                       "weight_decay": 0.0, "grad_clip_norm": 0.0}, "type": "optim_step",
                                       **named})

    def loss(self, data):
        return self.forward(data)["metrics"]["loss:sum"]

    def finish(self):
        try:
            if self.model:
                self.call("unload_model", {"model_id": self.model, "type": "unload_model"})
        except Refused:
            pass
