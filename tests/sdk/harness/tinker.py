# SPDX-License-Identifier: GPL-3.0-or-later
"""One way to write a check for tinker 0.23 and 0.38: creation returns a client there and a future of one here."""

import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import tinker
from tinker import types

# 0.38 names 0.23's way of doing things deprecated; that is not what these checks are about.
warnings.simplefilter("ignore", FutureWarning)

PATTERN = list(b"the cat sat on the mat. ")


def now(value):
    """A future's result; anything else as it is."""
    return value.result() if hasattr(type(value), "result") else value


def connect(t, base_url=None, api_key=None, **named):
    service = tinker.ServiceClient(base_url=base_url or t.backend.url, api_key=api_key or t.backend.tinker_key, **named)
    t.cleanup(close, t, service)
    return service


def close(t, service):
    if hasattr(service, "close"):
        if service._session_holder is not None:
            service.close("success").result(20)
    else:
        service.holder.close()


def session_of(service):
    return service.holder.get_session_id()


def lora(t, service=None, rank=8, seed=7, base_model=None, **named):
    service = service or connect(t)
    client = now(service.create_lora_training_client(base_model=base_model or t.backend.base_model, rank=rank, seed=seed, **named))
    if not hasattr(service, "close"):
        t.cleanup(unload, t, client.model_id)
    return client


def unload(t, model_id):
    t.backend.http("POST", "/api/v1/unload_model", {"model_id": model_id, "type": "unload_model"})


def rest(t):
    service = connect(t)
    return service.create_rest_client()


def prompt(tokens):
    return types.ModelInput.from_ints(list(tokens))


def tensor(values, dtype="float32", shape=None):
    return types.TensorData(data=values, dtype=dtype, shape=shape or [len(values)])


def datum(tokens, weights=None, targets=None, **inputs):
    """Predicts the next token, the first one after the last, unless targets are given."""
    tokens = list(tokens)
    targets = tokens[1:] + tokens[:1] if targets is None else targets
    found = {"target_tokens": tensor(targets, "int64"), **inputs}
    if weights is not None:
        found["weights"] = tensor(weights)
    return types.Datum(model_input=prompt(tokens), loss_fn_inputs=found)


def weighted(tokens=None):
    tokens = list(tokens or PATTERN)
    return datum(tokens, [1.0] * len(tokens))


def adam(lr=0.002, **named):
    return types.AdamParams(learning_rate=lr, **named)


def step(client, data, lr=0.002, loss="cross_entropy", **named):
    output = client.forward_backward(data, loss, **named)
    update = client.optim_step(adam(lr))
    update.result()
    return output.result()


def loss_of(client, data, loss="cross_entropy", **named):
    return client.forward(data, loss, **named).result().metrics["loss:sum"]


def logprobs(output, index=0):
    return list(output.loss_fn_outputs[index]["logprobs"].data)


def near(t, left, right, within):
    """Two lists of numbers, element by element."""
    t.assertEqual(len(left), len(right))
    for index, (a, b) in enumerate(zip(left, right)):
        t.assertLessEqual(abs(a - b), within, f"element {index}: {a} and {b}")


def environment(t, **more):
    """For a process of its own: the keys and places that a user would set."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": tempfile.gettempdir(), "TINKER_BASE_URL": t.backend.url,
            "TINKER_API_KEY": t.backend.tinker_key, "NO_PROXY": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(pathlib.Path(__file__).resolve().parent.parent), "TERM": "dumb", **more}


def command(t, *arguments, check=True, input=None, cwd=None):
    """The `tinker` command line of this environment. Returns the completed process."""
    done = subprocess.run([sys.executable, "-m", "tinker.cli", *arguments], env=environment(t), capture_output=True, text=True,
                          input=input, cwd=cwd, timeout=60)
    if check:
        t.assertEqual(done.returncode, 0, f"tinker {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done


def script(t, source, **more):
    """A Python program of its own in this environment; the caller waits or kills."""
    process = subprocess.Popen([sys.executable, "-c", source], env=environment(t, **more), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    t.cleanup(lambda: (process.kill(), process.wait(), process.stdout.close(), process.stderr.close(), process.stdin.close()))
    return process
