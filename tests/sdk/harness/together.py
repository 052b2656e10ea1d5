# SPDX-License-Identifier: GPL-3.0-or-later
"""All four clients against one server at the same time: each must see what it sees when it is alone."""

import json
import os
import subprocess
import sys
import time

from harness.backend import Backend
from harness import environments

FIREWORKS = """
import json, os, sys
from fireworks.training import sdk
from harness.fireworks import AdamParams, datums
service = sdk.FiretitanServiceClient(base_url=os.environ["URL"], api_key=os.environ["KEY"])
client = service.create_training_client(base_model=os.environ["BASE"], lora_rank=0)
losses = []
for index in range(int(os.environ["STEPS"])):
    output = client.forward_backward(datums(), "cross_entropy")
    client.optim_step(AdamParams(learning_rate=0.001)).result()
    losses.append(output.result().metrics["loss:sum"])
saved = client.save_weights_for_sampler_ext("together", "base")
state = client.save_state("together").result().path
print("RESULT " + json.dumps({"losses": losses, "sampled": [], "saved": bool(saved.snapshot_name and state)}), flush=True)
os._exit(0)
"""

TINKER = """
import json, os
from harness.tinker import *
service = tinker.ServiceClient(base_url=os.environ["URL"], api_key=os.environ["KEY"])
client = now(service.create_lora_training_client(base_model=os.environ["BASE"], rank=8, seed=3))
losses = []
for index in range(int(os.environ["STEPS"])):
    losses.append(step(client, [weighted()], 0.01).metrics["loss:sum"])
sampler = now(client.save_weights_and_get_sampling_client())
result = sampler.sample(prompt(PATTERN[:8]), 2, types.SamplingParams(max_tokens=8, seed=1, stop=[])).result()
state = client.save_state("together").result().path
print("RESULT " + json.dumps({"losses": losses, "sampled": [list(s.tokens) for s in result.sequences], "saved": bool(state)}), flush=True)
os._exit(0)
"""


def start(backend, name, python, steps):
    family = environments.ENVIRONMENTS[name][0]
    if family == "fireworks":
        url, key = backend.trainer_url(backend.create_job()), backend.key
    else:
        url, key = backend.url, backend.tinker_key
    kept = {variable: os.environ[variable] for variable in ("PATH", "HOME", "TMPDIR") if variable in os.environ}
    return subprocess.Popen([str(python), "-W", "ignore", "-c", FIREWORKS if family == "fireworks" else TINKER],
                            env={**kept, "URL": url, "KEY": key, "BASE": backend.base_model, "STEPS": str(steps),
                                 "PYTHONPATH": str(environments.FOLDER), "PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "127.0.0.1",
                                 "HF_HUB_OFFLINE": "1"},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(name, process):
    output, errors = process.communicate(timeout=200)
    rows = [line[7:] for line in output.splitlines() if line.startswith("RESULT ")]
    if not rows:
        raise AssertionError(f"{name} ended with {process.returncode}: {errors[-3000:]}")
    return json.loads(rows[0])


def run(pythons, program, steps=6):
    """Prints one line a client; returns the number of those that differ."""
    backend = Backend(program, threads=2)
    failed = 0
    try:
        alone = {name: finish(name, start(backend, name, python, steps)) for name, python in pythons.items()}
        begin = time.monotonic()
        processes = {name: start(backend, name, python, steps) for name, python in pythons.items()}
        together = {name: finish(name, process) for name, process in processes.items()}
        for name in pythons:
            same = alone[name] == together[name] and together[name]["saved"]
            failed += not same
            print(f"{'passed' if same else 'FAILED'}  {name}: {together[name]['losses']}" +
                  ("" if same else f"\n    alone: {alone[name]}\n    together: {together[name]}"), flush=True)
        print(f"together: {len(pythons) - failed} passed, {failed} failed, 0 skipped ({time.monotonic() - begin:.1f} s at once)")
    finally:
        backend.close()
    return failed
