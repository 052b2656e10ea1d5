# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving and loading: states, clients from states, weights for sampling and for other tools."""

import datetime
import json
import struct

import tinker

from harness.suite import check
from harness.tinker import (PATTERN, adam, connect, datum, logprobs, lora, loss_of, near, now, prompt, rest, session_of, step,
                            unload, weighted)
from harness.wire import Refused, Wire

TEXT = list(b"what was saved comes back as it was")
DATA = [weighted(TEXT)]


def trained(t, service=None, steps=3, **named):
    client = lora(t, service, **named)
    for _ in range(steps):
        step(client, DATA)
    return client


def from_state(t, service, path, optimizer, **named):
    create = (service.create_training_client_from_state_with_optimizer if optimizer else
              service.create_training_client_from_state)
    client = now(create(path, **named))
    t.cleanup(unload, t, client.model_id)
    return client


def TR_C14_load_state_with_optimizer_gives_the_same_next_step(t):
    client = trained(t)
    path = client.save_state("with-moments").result().path
    saved = loss_of(client, DATA)
    step(client, DATA)
    after = loss_of(client, DATA)
    t.assertNotEqual(saved, after)
    client.load_state_with_optimizer(path).result()
    t.assertEqual(loss_of(client, DATA), saved)
    step(client, DATA)
    t.assertEqual(loss_of(client, DATA), after)


def TR_C14_load_state_starts_the_optimizer_afresh(t):
    service = connect(t)
    client = trained(t, service, seed=4)
    path = client.save_state("weights-only").result().path
    saved = loss_of(client, DATA)
    step(client, DATA)
    kept = loss_of(client, DATA)
    client.load_state(path).result()
    t.assertEqual(loss_of(client, DATA), saved)
    step(client, DATA)
    t.assertNotEqual(loss_of(client, DATA), kept)
    # The same as a new client made from the state without its optimizer.
    other = from_state(t, service, path, optimizer=False)
    step(other, DATA)
    t.assertEqual(loss_of(other, DATA), loss_of(client, DATA))


def TR_C14_a_load_drops_pending_gradients(t):
    client = trained(t)
    path = client.save_state("clean").result().path
    step(client, DATA)
    expected = None
    for pending in (False, True):
        if pending:
            client.forward_backward([weighted(PATTERN)], "cross_entropy").result()
        client.load_state_with_optimizer(path).result()
        step(client, DATA)
        expected = expected or loss_of(client, DATA)
    t.assertEqual(loss_of(client, DATA), expected)


@check("TK21_13")
def TK21_03_create_from_state_with_optimizer(t):
    service = connect(t)
    client = trained(t, service, rank=5)
    path = client.save_state("handed-over").result().path
    other = from_state(t, service, path, optimizer=True, user_metadata={"q": "1"})
    t.assertEqual(other.model_id, f"{session_of(service)}:train:1")
    t.assertEqual(other.get_info().lora_rank, 5)
    for _ in range(4):
        t.assertAlmostEqual(loss_of(other, DATA), loss_of(client, DATA), delta=1e-4)
        step(client, DATA)
        step(other, DATA)
    # The numbers go on as if the creation had taken one request.
    t.assertEqual(lora(t, service).model_id, f"{session_of(service)}:train:2")


def TK21_03_create_from_state_of_another_session(t):
    client = trained(t)
    path = client.save_state("for-another-session").result().path
    expected = loss_of(client, DATA)
    service = connect(t)
    other = from_state(t, service, path, optimizer=False)
    t.assertTrue(other.model_id.startswith(session_of(service)))
    t.assertAlmostEqual(loss_of(other, DATA), expected, delta=1e-5)


@check("TR_C15")
def TK21_03_create_from_a_path_that_does_not_exist(t):
    service = connect(t)
    expected = tinker.RequestFailedError if t.version == "0.38.0" else (tinker.RequestFailedError, tinker.NotFoundError,
                                                                          tinker.BadRequestError)
    for path in ("tinker://nobody:train:0/weights/none", "tinker://nobody:train:0/sampler_weights/none"):
        with t.assertRaises(expected) as caught:
            from_state(t, service, path, optimizer=True)
        if isinstance(caught.exception, tinker.RequestFailedError):
            t.assertEqual(str(caught.exception.category), "user")
    t.assertTrue(lora(t, service).model_id)


@check("TK21_03")
def TK21_03_create_via_load_on_the_wire(t):
    """Repeated with the same number: the same future, one model. Its own first request has number 1."""
    wire = Wire(t.backend)
    wire.create(rank=4)
    t.cleanup(wire.finish)
    path = wire.run("save_weights", {"path": "via-load", "type": "save_weights"})["path"]
    body = {"session_id": wire.session, "model_seq_id": 7, "path": path, "optimizer": True, "type": "load_weights"}
    ids = {wire.call("load_weights", body)["request_id"] for _ in range(3)}
    t.assertEqual(len(ids), 1)
    result = wire.retrieve(ids.pop())
    t.assertEqual(result["path"], path)
    model = f"{wire.session}:train:7"
    t.assertEqual(result.get("model_id", model), model)
    t.assertEqual(wire.call("get_info", {"model_id": model, "type": "get_info"})["lora_rank"], 4)
    other = wire.model
    wire.model, wire.seq = model, 0
    wire.optim_step()
    wire.finish()
    wire.model = other


@check("TR_C15")
def TR_C15_loading_what_is_not_there(t):
    client = lora(t)
    for path in ("cross_job://unknown/x", "tinker://nobody:train:0/weights/none", "no-such-state", "/etc/passwd", "../../x"):
        with t.assertRaises(tinker.RequestFailedError) as caught:
            client.load_state(path).result()
        t.assertEqual(str(caught.exception.category), "user", path)
    step(client, DATA)


def TR_C15_loading_another_shape(t):
    service = connect(t)
    path = trained(t, service, rank=4).save_state("rank-four").result().path
    client = lora(t, service, rank=8)
    before = loss_of(client, DATA)
    with t.assertRaises(tinker.RequestFailedError) as caught:
        client.load_state_with_optimizer(path).result()
    t.assertEqual(str(caught.exception.category), "user")
    t.assertIn("rank", str(caught.exception))
    t.assertEqual(loss_of(client, DATA), before)


@check("TK21_13")
def X_paths_have_three_segments(t):
    client = trained(t, steps=1)
    t.assertEqual(client.save_state("a.b-c_1").result().path, f"tinker://{client.model_id}/weights/a.b-c_1")
    t.assertEqual(client.save_weights_for_sampler("a.b-c_1").result().path, f"tinker://{client.model_id}/sampler_weights/a.b-c_1")


def X_names_that_would_leave_their_folder(t):
    client = trained(t, steps=1)
    for name in ("../out", "a/b", "..", "", "x" * 300, "sp ace", "nul\x00"):
        with t.assertRaises((tinker.RequestFailedError, tinker.BadRequestError), msg=repr(name)) as caught:
            client.save_state(name).result()
        if isinstance(caught.exception, tinker.RequestFailedError):
            t.assertEqual(str(caught.exception.category), "user", name)
    t.assertEqual(now(rest(t).list_checkpoints(client.model_id)).checkpoints, [])
    t.assertTrue(client.save_state("fine").result().path)


def X_a_name_is_replaced_only_when_asked(t):
    client = trained(t, steps=1)
    path = client.save_state("once").result().path
    first = loss_of(client, DATA)
    step(client, DATA)
    with t.assertRaises(tinker.RequestFailedError) as caught:
        client.save_state("once").result()
    t.assertEqual(str(caught.exception.category), "user")
    t.assertIn("once", str(caught.exception))
    client.load_state(path).result()
    t.assertEqual(loss_of(client, DATA), first)
    step(client, DATA)
    second = loss_of(client, DATA)
    t.assertEqual(client.save_state("once", overwrite=True).result().path, path)
    step(client, DATA)
    client.load_state(path).result()
    t.assertEqual(loss_of(client, DATA), second)


def X_states_and_sampler_weights_may_share_a_name(t):
    client = trained(t, steps=1)
    state = client.save_state("step-1").result().path
    sampler = client.save_weights_for_sampler("step-1").result().path
    t.assertNotEqual(state, sampler)
    expected = loss_of(client, DATA)
    step(client, DATA)
    client.load_state(state).result()
    t.assertEqual(loss_of(client, DATA), expected)
    listed = {row.tinker_path for row in now(rest(t).list_checkpoints(client.model_id)).checkpoints}
    t.assertEqual(listed, {state, sampler})


def X_ttl_becomes_an_expiry(t):
    client = trained(t, steps=1)
    begin = datetime.datetime.now(datetime.timezone.utc)
    client.save_state("hour", ttl_seconds=3600).result()
    client.save_state("ever").result()
    rows = {row.checkpoint_id: row for row in now(rest(t).list_checkpoints(client.model_id)).checkpoints}
    left = (rows["weights/hour"].expires_at - begin).total_seconds()
    t.assertTrue(3590 <= left <= 3660, left)
    t.assertIsNone(rows["weights/ever"].expires_at)


def X_ttl_out_of_range_fails_in_the_future(t):
    client = trained(t, steps=1)
    for ttl in (0, -5, 10, 400_000_000):
        with t.assertRaises(tinker.RequestFailedError, msg=ttl) as caught:
            client.save_state("bad-ttl", ttl_seconds=ttl).result()
        t.assertEqual(str(caught.exception.category), "user")
        t.assertIn("ttl", str(caught.exception).lower())
    t.assertEqual([row.checkpoint_id for row in now(rest(t).list_checkpoints(client.model_id)).checkpoints], [])


@check(versions=["0.38.0"])
def X_metadata_of_a_checkpoint(t):
    client = trained(t, steps=1)
    client.save_state("noted", user_metadata={"loss": "1.5", "step": "3"}).result()
    client.save_weights_for_sampler("noted", user_metadata={"for": "eval"}).result()
    rows = {row.checkpoint_id: row for row in now(rest(t).list_checkpoints(client.model_id)).checkpoints}
    t.assertEqual(rows["weights/noted"].user_metadata, {"loss": "1.5", "step": "3"})
    t.assertEqual(rows["sampler_weights/noted"].user_metadata, {"for": "eval"})
    client.save_state("noted", overwrite=True, user_metadata={"a": "b"}).result()
    rows = {row.checkpoint_id: row for row in now(rest(t).list_checkpoints(client.model_id)).checkpoints}
    t.assertEqual(rows["weights/noted"].user_metadata, {"a": "b"})


@check("TK21_13")
def TR_C16_sampler_weights_with_and_without_a_name(t):
    client = trained(t, steps=1)
    named = client.save_weights_for_sampler("named").result()
    t.assertTrue(named.path.endswith("/sampler_weights/named"))
    wire = Wire(t.backend)
    t.cleanup(wire.finish)
    wire.create(rank=4)
    result = wire.run("save_weights_for_sampler", {"sampling_session_seq_id": 0, "kind": "snapshot",
                                                   "type": "save_weights_for_sampler"})
    t.assertIsNone(result.get("path"))
    t.assertEqual(result["sampling_session_id"], f"{wire.session}:sample:0")
    # The two kinds of session share one counter: another number is another session.
    again = wire.run("save_weights_for_sampler", {"sampling_session_seq_id": 1, "type": "save_weights_for_sampler"})
    t.assertNotEqual(again["sampling_session_id"], result["sampling_session_id"])


@check("TK21_13")
def X_saves_queued_behind_a_step_hold_that_step(t):
    client = lora(t)
    futures = []
    for index in range(3):
        client.forward_backward(DATA, "cross_entropy")
        client.optim_step(adam())
        futures.append(client.save_state(f"queued-{index}"))
        futures.append(client.save_weights_for_sampler(f"queued-{index}"))
    paths = [future.result(60).path for future in futures]
    losses = []
    for path in paths[0::2]:
        client.load_state_with_optimizer(path).result()
        losses.append(loss_of(client, DATA))
    t.assertEqual(losses, sorted(losses, reverse=True))
    t.assertEqual(len(set(losses)), 3)


@check("TK21_09", versions=["0.38.0"])
def TK21_09_external_weights_are_an_adapter_that_anyone_can_fetch(t):
    import urllib.request
    client = trained(t, steps=2, rank=6)
    saved = client.save_weights_external("release", ttl_seconds=7200).result()
    t.assertEqual(saved.path, f"tinker://{client.model_id}/external_weights/release")
    urls = tinker.RestClient(base_url=t.backend.url, api_key=t.backend.tinker_key).get_external_weights_urls(saved.path).result()
    t.assertLessEqual({"adapter_config.json", "adapter_model.safetensors"}, set(urls.urls))
    t.assertGreater(urls.expires, datetime.datetime.now(datetime.timezone.utc))
    files = {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for name, url in urls.urls.items():
        with opener.open(url, timeout=20) as reply:
            files[name] = reply.read()
            t.assertEqual(int(reply.headers["Content-Length"]), len(files[name]))
    config = json.loads(files["adapter_config.json"])
    t.assertEqual((config["r"], config["peft_type"]), (6, "LORA"))
    size = struct.unpack("<Q", files["adapter_model.safetensors"][:8])[0]
    header = json.loads(files["adapter_model.safetensors"][8:8 + size])
    tensors = {name: row for name, row in header.items() if name != "__metadata__"}
    t.assertTrue(any(name.endswith("lora_A.weight") and row["shape"][0] == 6 for name, row in tensors.items()), list(tensors))
    t.assertTrue(any(name.endswith("lora_B.weight") and row["shape"][1] == 6 for name, row in tensors.items()))
    # A changed signature opens nothing.
    url = urls.urls["adapter_config.json"]
    with t.assertRaises(urllib.request.HTTPError if hasattr(urllib.request, "HTTPError") else Exception):
        opener.open(url[:-4] + ("0000" if url[-4:] != "0000" else "1111"), timeout=20)


@check(versions=["0.38.0"])
def X_external_weights_with_encryption_are_refused_in_words(t):
    client = trained(t, steps=1)
    with t.assertRaises(tinker.RequestFailedError) as caught:
        client.save_weights_external("locked", age_encryption_recipients=["age1qqqq"]).result()
    t.assertIn("encrypt", str(caught.exception))


@check("TR_C17")
def TR_C17_a_base_only_model_is_for_forward(t):
    wire = Wire(t.backend)
    t.cleanup(wire.finish)
    body = {"session_id": wire.session, "model_seq_id": 0, "base_model": t.backend.base_model, "type": "create_model",
            "base_only": True}
    wire.model = wire.retrieve(wire.call("create_model", body)["request_id"])["model_id"]
    from harness.wire import json_datum
    data = [json_datum(TEXT)]
    loss = wire.loss(data)
    t.assertAlmostEqual(loss, loss_of(lora(t), [datum(TEXT)]), delta=1e-3)
    for act in (lambda: wire.forward_backward(data), wire.optim_step):
        with t.assertRaises(Refused) as caught:
            act()
        t.assertEqual(caught.exception.category, "user")
    t.assertEqual(wire.loss(data), loss)


@check("TR_C13")
def TR_C13_list_checkpoints_of_a_job(t):
    job = t.backend.create_job(lora_rank=4)
    prefix = f"/training/v1/rlorTrainerJobs/{t.backend.account}/{job}"
    listed = t.backend.http("GET", prefix + "/api/v1/list_checkpoints")
    t.assertEqual(listed.json(), {"checkpoints": []})
    wire = Wire(t.backend, prefix)
    t.cleanup(wire.finish)
    wire.create(rank=4)
    for name in ("step-4", "step-2"):
        wire.run("save_weights", {"path": name, "type": "save_weights"})
    wire.run("save_weights_for_sampler", {"path": "not-a-state", "type": "save_weights_for_sampler"})
    listed = t.backend.http("GET", prefix + "/api/v1/list_checkpoints")
    t.assertEqual(listed.json(), {"checkpoints": ["step-2", "step-4"]})
    t.assertTrue(listed.headers["Content-Type"].startswith("application/json"))


def X_cross_job_paths_reach_the_state_of_another_job(t):
    one, two = (t.backend.create_job(lora_rank=4) for _ in range(2))
    service = connect(t, base_url=t.backend.trainer_url(one))
    client = trained(t, service, rank=4)
    client.save_state("shared").result()
    expected = loss_of(client, DATA)
    other = lora(t, connect(t, base_url=t.backend.trainer_url(two)), rank=4)
    other.load_state_with_optimizer(f"cross_job://{one}/shared").result()
    t.assertAlmostEqual(loss_of(other, DATA), expected, delta=1e-5)


@check(alone=True)
def TR_C21_after_a_restart(t):
    """Stale futures and models fail at once and name the newest save; the save itself is there."""
    service = connect(t)
    client = trained(t, service, steps=2)
    path = client.save_state("survivor").result().path
    expected = loss_of(client, DATA)
    wire = Wire(t.backend)
    wire.create(rank=4)
    stale = wire.submit("optim_step", {"adam_params": {"learning_rate": 0.1}, "type": "optim_step"})
    t.backend.restart(kill=True)
    answer = t.backend.http("POST", "/api/v1/retrieve_future", {"request_id": stale, "allow_metadata_only": True})
    t.assertEqual(answer.status, 404)
    with t.assertRaises((tinker.RequestFailedError, tinker.NotFoundError, tinker.BadRequestError, ValueError)) as caught:
        client.forward_backward(DATA, "cross_entropy").result(30)
    t.assertIn("survivor", str(caught.exception))
    other = from_state(t, connect(t), path, optimizer=True)
    t.assertAlmostEqual(loss_of(other, DATA), expected, delta=1e-5)
