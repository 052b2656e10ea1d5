# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampler checkpoints: base, delta, LoRA, merged; their rows and files."""

import json
import struct

from harness.fireworks import RequestFailedError, control, sdk, train_a_step, trainer
from harness.suite import check


def rows_of(t, job):
    return {row["name"].rsplit("/", 1)[1]: row for row in control(t).list_checkpoints(job)}


def folder_of(t, snapshot):
    found = [path for path in t.backend.data.rglob(snapshot) if path.is_dir()]
    t.assertEqual(len(found), 1, found)
    return found[0]


def tensors_of(folder):
    """name → (dtype, shape) of every safetensors file of a folder."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        found.update({name: (entry["dtype"], entry["shape"]) for name, entry in header.items()})
    return found


@check("S05")
def S01_base_is_a_hugging_face_folder(t):
    job, client = trainer(t)
    result = client.save_weights_for_sampler_ext("step-0001", checkpoint_type="base")
    t.assertIsInstance(result, sdk.SaveSamplerResult)
    t.assertRegex(result.snapshot_name, r"^step-0001-[0-9a-f]{8}$")
    t.assertEqual(result.path, result.snapshot_name)
    row = rows_of(t, job)[result.snapshot_name]
    t.assertEqual((row["checkpointType"], row["promotable"]), ("CHECKPOINT_TYPE_INFERENCE_BASE", True))
    folder = folder_of(t, result.snapshot_name)
    config = json.loads((folder / "config.json").read_text())
    t.assertEqual(config["vocab_size"], t.backend.vocab_size)
    t.assertIn("model.embed_tokens.weight", tensors_of(folder))


@check("S04", "S02")
def S02_delta_after_base(t):
    job, client = trainer(t)
    base = client.save_weights_for_sampler_ext("step-1", checkpoint_type="base")
    train_a_step(client)
    delta = client.save_weights_for_sampler_ext("step-2", checkpoint_type="delta")
    t.assertEqual(base.snapshot_name[-8:], delta.snapshot_name[-8:])
    row = rows_of(t, job)[delta.snapshot_name]
    t.assertEqual((row["checkpointType"], row["promotable"]), ("CHECKPOINT_TYPE_INFERENCE_ARC_V2", False))


def S02_default_types_are_base_then_delta(t):
    job, client = trainer(t)
    names = [client.save_weights_for_sampler_ext(f"auto-{i}").snapshot_name for i in range(3)]
    rows = rows_of(t, job)
    t.assertEqual([rows[name]["checkpointType"].rsplit("_INFERENCE_", 1)[1] for name in names], ["BASE", "ARC_V2", "ARC_V2"])


def S02_delta_without_a_base_is_a_user_error(t):
    _, client = trainer(t)
    with t.assertRaises(RequestFailedError) as caught:
        client.save_weights_for_sampler_ext("early", checkpoint_type="delta")
    t.assertEqual(str(caught.exception.category.value).lower(), "user")
    t.assertIn("base", str(caught.exception))
    t.assertTrue(client.save_weights_for_sampler_ext("first", checkpoint_type="base").snapshot_name)


@check("S04")
def S03_lora_holds_the_whole_adapter(t):
    job, client = trainer(t, lora_rank=4)
    for name, kind in (("one", "base"), ("two", None)):
        train_a_step(client)
        saved = client.save_weights_for_sampler_ext(name, checkpoint_type=kind).snapshot_name
        row = rows_of(t, job)[saved]
        t.assertEqual((row["checkpointType"], row["promotable"]), ("CHECKPOINT_TYPE_INFERENCE_LORA", True))
        folder = folder_of(t, saved)
        config = json.loads((folder / "adapter_config.json").read_text())
        t.assertEqual((config["r"], config["peft_type"]), (4, "LORA"))
        names = tensors_of(folder)
        t.assertTrue(names)
        for tensor, (_, shape) in names.items():
            t.assertRegex(tensor, r"^base_model\.model\..*lora_(A|B).*\.weight$")
            t.assertIn(4, shape)


def S03_lora_delta_is_the_whole_adapter_too(t):
    job, client = trainer(t, lora_rank=4)
    client.save_weights_for_sampler_ext("one", checkpoint_type="base")
    train_a_step(client)
    saved = client.save_weights_for_sampler_ext("two", checkpoint_type="delta").snapshot_name
    t.assertTrue((folder_of(t, saved) / "adapter_model.safetensors").exists())
    t.assertTrue(rows_of(t, job)[saved]["promotable"])


def S03_merged_base_of_lora(t):
    job, client = trainer(t, lora_rank=4)
    with t.assertRaises(RequestFailedError) as caught:
        client.save_weights_for_sampler_ext("untrained", checkpoint_type="merged_base")
    t.assertEqual(str(caught.exception.category.value).lower(), "user")
    train_a_step(client)
    saved = client.save_weights_for_sampler_ext("merged", checkpoint_type="merged_base").snapshot_name
    row = rows_of(t, job)[saved]
    t.assertEqual((row["checkpointType"], row["promotable"]), ("CHECKPOINT_TYPE_INFERENCE_BASE", True))
    t.assertIn("model.embed_tokens.weight", tensors_of(folder_of(t, saved)))


def S03_merged_base_of_full_parameters_is_refused(t):
    _, client = trainer(t)
    train_a_step(client)
    with t.assertRaises((RequestFailedError, ValueError)):
        client.save_weights_for_sampler_ext("merged", checkpoint_type="merged_base")


def S05_unknown_type_never_leaves_the_client(t):
    _, client = trainer(t)
    with t.assertRaisesRegex(ValueError, "checkpoint_type"):
        client.save_weights_for_sampler_ext("x", checkpoint_type="everything")


@check("TR_C16")
def TR_C16_path_is_never_null(t):
    _, client = trainer(t)
    result = client.save_weights_for_sampler("plain", checkpoint_type="base") if t.version == "1.2.30" \
        else client.save_weights_for_sampler("plain")
    t.assertTrue(result.result().path)


@check("FW21_07")
def FW21_07_forms_by_client(t):
    """One server: bare names for this SDK, tinker:// paths for a stock tinker of version 0.23.0.

    1.2.3 sends what tinker 0.23.0 sends; only a key that begins with tml- tells the stock client.
    """
    job, client = trainer(t)
    t.assertEqual(client.save_state("mine").result().path.rsplit("/", 1)[-1], "mine")
    if t.version == "1.2.30":
        t.assertEqual(client.save_state("mine").result().path, "mine")
    session = t.backend.trainer(job, "POST", "create_session", {"tags": [], "user_metadata": {}, "sdk_version": "0.23.0",
                                                                "type": "create_session"}).json()["session_id"]
    stock = {"X-Api-Key": t.backend.tinker_key, "User-Agent": "AsyncTinker/Python 0.23.0", "X-Stainless-Package-Version": "0.23.0"}

    def call(name, body):
        envelope = t.backend.trainer(job, "POST", name, body, headers=stock).json()
        return t.backend.trainer(job, "POST", "retrieve_future", {"request_id": envelope["request_id"]}, headers=stock).json()

    model = call("create_model", {"session_id": session, "model_seq_id": 0, "base_model": t.backend.base_model,
                                  "lora_config": {"rank": 0}, "type": "create_model"})["model_id"]
    saved = call("save_weights", {"model_id": model, "path": "theirs", "seq_id": 1, "type": "save_weights"})
    t.assertEqual(saved["path"], f"tinker://{model}/weights/theirs")
    sampler = call("save_weights_for_sampler", {"model_id": model, "path": "theirs", "seq_id": 2,
                                                "type": "save_weights_for_sampler"})
    t.assertEqual(sampler["path"], f"tinker://{model}/sampler_weights/theirs")


@check(versions=["1.2.30"])
def X_load_adapter_from_a_promoted_model(t):
    job, client = trainer(t, lora_rank=4)
    train_a_step(client, lr=1e-2)
    saved = client.save_weights_for_sampler_ext("adapter", checkpoint_type="base").snapshot_name
    name = f"accounts/{t.backend.account}/rlorTrainerJobs/{job}/checkpoints/{saved}"
    control(t).promote_checkpoint(name=name, output_model_id="adapter-to-load", base_model=t.backend.base_model)
    from harness.fireworks import loss_of
    wanted = loss_of(client)
    _, other = trainer(t, lora_rank=4)
    t.assertNotAlmostEqual(loss_of(other), wanted, delta=1e-3)
    path = f"accounts/{t.backend.account}/models/adapter-to-load"
    t.assertEqual(other.load_adapter(path).result().adapter_path, path)
    t.assertAlmostEqual(loss_of(other), wanted, delta=0.05)
    with t.assertRaises(RequestFailedError):
        other.load_adapter(f"accounts/{t.backend.account}/models/no-such-model").result()
