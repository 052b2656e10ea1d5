# SPDX-License-Identifier: GPL-3.0-or-later
"""What transformers and peft make of promoted models: the log-probabilities are ours within 1e-3."""

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from harness.suite import check
from harness.wire import Wire, json_datum

TEXT = list(b"Customer: my order has not arrived. Agent: I am sorry to hear that")
LESSON = list(b"Customer: where is my parcel? Agent: it is on its way to you")


def trained(t, rank):
    job = t.backend.create_job(lora_rank=rank)
    t.cleanup(t.backend.delete_job, job)
    wire = Wire(t.backend, f"/training/v1/rlorTrainerJobs/{t.backend.account}/{job}")
    t.cleanup(wire.finish)
    wire.create(rank=rank)
    for _ in range(10):
        wire.forward_backward([json_datum(LESSON[:-1], LESSON[1:])])
        wire.optim_step(lr=1e-3 if rank == 0 else 5e-3)
    return job, wire


def folder_of(t, kind, model_id):
    folder = t.backend.data / "objects" / kind / model_id.rsplit("/", 1)[-1]
    t.assertTrue((folder / ("adapter_config.json" if "adapter" in model_id else "config.json")).is_file(), folder)
    return str(folder)


def promoted(t, job, wire, model_id, checkpoint_type="base"):
    """The folder of the model made of a sampler checkpoint."""
    name = f"{model_id}-0a1b2c3d"
    wire.run("save_weights_for_sampler", {"path": name, "checkpoint_type": checkpoint_type, "type": "save_weights_for_sampler"})
    account = f"accounts/{t.backend.account}"
    answer = t.backend.http("POST", f"/v1/{account}/checkpoints/{name}:promote",
                            {"output_model": f"{account}/models/{model_id}", "trainer_job_id": f"{account}/rlorTrainerJobs/{job}",
                             "base_model": t.backend.base_model})
    t.assertEqual(answer.status, 200, answer)
    return folder_of(t, "models", model_id)


def ours(wire):
    output = wire.forward([json_datum(TEXT[:-1], TEXT[1:])])["loss_fn_outputs"][0]
    return output["logprobs"]["data"]


def opened(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def theirs(model):
    tokens = torch.tensor([TEXT])
    with torch.no_grad():
        logprobs = model.eval()(tokens[:, :-1]).logits.log_softmax(-1)[0]
    return logprobs.gather(-1, tokens[0, 1:, None])[:, 0].tolist()


def largest_difference(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@check("S07", label="torch")
def S01_transformers_loads_a_promoted_base(t):
    job, wire = trained(t, 0)
    model = opened(promoted(t, job, wire, "torch-base"))
    t.assertLess(largest_difference(theirs(model), ours(wire)), 1e-3)


@check(label="torch")
def S03_peft_loads_a_promoted_adapter(t):
    for rank in (4, 32):
        job, wire = trained(t, rank)
        folder = promoted(t, job, wire, f"torch-adapter-{rank}")
        base = opened(folder_of(t, "base", t.backend.base_model))
        before = theirs(base)
        model = PeftModel.from_pretrained(base, folder, local_files_only=True)
        t.assertLess(largest_difference(theirs(model), ours(wire)), 1e-3)
        t.assertGreater(largest_difference(before, ours(wire)), 0.05, "the adapter does something")
        t.assertEqual(model.peft_config["default"].r, rank)
        t.assertEqual(model.peft_config["default"].base_model_name_or_path, t.backend.base_model)


@check(label="torch")
def S03_transformers_loads_a_merged_base(t):
    """Rounding to BF16 moves it a little; peft's own merge of the adapter is what it is compared with."""
    job, wire = trained(t, 8)
    merged = opened(promoted(t, job, wire, "torch-merged", "merged_base"))
    base = opened(folder_of(t, "base", t.backend.base_model))
    adapted = PeftModel.from_pretrained(base, promoted(t, job, wire, "torch-adapter-8"), local_files_only=True)
    t.assertLess(largest_difference(theirs(merged), theirs(adapted)), 0.2)
    wanted = adapted.base_model.model.model.layers[0].self_attn.q_proj
    found = merged.model.layers[0].self_attn.q_proj.weight
    exact = wanted.base_layer.weight + wanted.get_delta_weight("default")
    t.assertTrue(torch.equal(found, exact.to(torch.bfloat16).to(torch.float32)) or
                 (found - exact).abs().max().item() <= exact.abs().max().item() / 128)
