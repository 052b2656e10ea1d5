# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting, sessions, models: what happens before the first training call."""

import asyncio
import json
import time
import warnings

import tinker

from harness.suite import check
from harness.tinker import (PATTERN, adam, close, connect, datum, logprobs, lora, loss_of, near, now, script, session_of, step,
                            weighted)
from harness.wire import Refused, Wire


@check("TK21_03", "TK21_13")
def TR_C20_base_url_with_and_without_a_slash(t):
    for suffix in ("", "/"):
        service = connect(t, base_url=t.backend.url + suffix)
        t.assertIn(t.backend.base_model, [model.model_name for model in service.get_server_capabilities().supported_models])
        t.assertTrue(session_of(service))


@check("TR_C18", "TK21_13")
def TR_C20_base_url_with_a_path_prefix(t):
    job = t.backend.create_job(lora_rank=8)
    service = connect(t, base_url=t.backend.trainer_url(job))
    client = lora(t, service, rank=8)
    t.assertGreater(loss_of(client, [weighted()]), 0)


@check("TK21_03")
def TK21_03_create_then_get_info(t):
    service = connect(t)
    first = lora(t, service, rank=8)
    second = lora(t, service, rank=4)
    session = session_of(service)
    t.assertEqual(first.model_id, f"{session}:train:0")
    t.assertEqual(second.model_id, f"{session}:train:1")
    info = second.get_info()
    t.assertEqual(info.model_id, second.model_id)
    t.assertEqual(info.model_data.model_name, t.backend.base_model)
    t.assertTrue(info.model_data.tokenizer_id)
    t.assertTrue(info.is_lora)
    t.assertEqual(info.lora_rank, 4)


def TK21_13_asynchronous_creation(t):
    service = connect(t)

    async def go():
        client = await service.create_lora_training_client_async(base_model=t.backend.base_model, rank=4, seed=1)
        t.assertTrue(client.model_id.startswith(session_of(service) + ":train:"))
        info = await client.get_info_async()
        t.assertEqual(info.lora_rank, 4)
        output = await client.forward_backward_async([weighted()], "cross_entropy")
        update = await client.optim_step_async(adam())
        t.assertGreater((await output).metrics["loss:sum"], 0)
        await update
        state = await (await client.save_state_async("async-state"))
        t.assertTrue(state.path.endswith("/weights/async-state"))
        return await service.get_server_capabilities_async()

    t.assertTrue(asyncio.run(go()).supported_models)


@check("TR_C15")
def TK21_03_an_unknown_base_model_is_a_user_error(t):
    service = connect(t)
    with t.assertRaises(tinker.RequestFailedError) as caught:
        lora(t, service, base_model="nobody/nothing-7b")
    t.assertEqual(str(caught.exception.category), "user")
    t.assertIn("nobody/nothing-7b", str(caught.exception))
    # The number is consumed; the session goes on.
    t.assertEqual(lora(t, service).model_id, f"{session_of(service)}:train:1")


def TR_C18_ranks_up_to_128(t):
    service = connect(t)
    data = [weighted()]
    for rank in (1, 3, 128):
        client = lora(t, service, rank=rank)
        before = loss_of(client, data)
        step(client, data)
        t.assertLess(loss_of(client, data), before, f"rank {rank}")
        t.assertEqual(client.get_info().lora_rank, rank)
    for rank in (129, -1):
        with t.assertRaises((tinker.RequestFailedError, tinker.BadRequestError)) as caught:
            lora(t, service, rank=rank)
        t.assertIn("rank", str(caught.exception))


def TR_C18_alpha_scales_the_adapter(t):
    """Same seed, one step: with another alpha the adapter's product is scaled, so the next loss differs; absent means 32."""
    losses = {}
    data = json.loads(json.dumps([{"model_input": {"chunks": [{"type": "encoded_text", "tokens": PATTERN}]}, "loss_fn_inputs": {
        "target_tokens": {"data": PATTERN[1:] + PATTERN[:1], "dtype": "int64", "shape": [len(PATTERN)]}}}]))
    for name, more in (("absent", {}), ("32", {"alpha": 32}), ("64", {"alpha": 64})):
        wire = Wire(t.backend)
        t.cleanup(wire.finish)
        wire.create(lora_config={"rank": 8, "seed": 5, "train_unembed": True, "train_mlp": True, "train_attn": True, **more})
        wire.forward_backward(data)
        wire.optim_step(lr=0.001)
        losses[name] = wire.loss(data)
    t.assertEqual(losses["absent"], losses["32"])
    t.assertGreater(abs(losses["64"] - losses["32"]), 1e-4)


def TK21_13_a_seed_makes_runs_equal(t):
    service = connect(t)
    data = [weighted()]
    results = []
    for seed in (11, 11, 12):
        client = lora(t, service, rank=4, seed=seed)
        before = logprobs(client.forward(data, "cross_entropy").result())
        step(client, data)
        step(client, data)
        results.append((before, loss_of(client, data)))
    # B starts at zero: a new adapter changes nothing, whatever its seed.
    near(t, results[0][0], results[2][0], 1e-6)
    t.assertEqual(results[0][1], results[1][1])
    t.assertNotEqual(results[0][1], results[2][1])


def TK21_13_which_layers_are_trained(t):
    service = connect(t)
    data = [weighted()]
    after = {}
    for name in ("train_mlp", "train_attn", "train_unembed"):
        flags = {"train_mlp": False, "train_attn": False, "train_unembed": False, name: True}
        client = lora(t, service, rank=8, **flags)
        before = loss_of(client, data)
        for _ in range(3):
            step(client, data)
        after[name] = loss_of(client, data)
        t.assertLess(after[name], before, name)
    t.assertEqual(len(set(after.values())), 3, after)


@check(versions=["0.38.0"])
def TK21_13_an_optimizer_that_is_not_adamw(t):
    service = connect(t)
    with t.assertRaises(tinker.RequestFailedError) as caught:
        lora(t, service, optimizer=tinker.DimuonOptimizerConfig())
    t.assertEqual(str(caught.exception.category), "user")
    t.assertIn("adamw", str(caught.exception).lower())


@check(versions=["0.38.0"])
def TK21_13_optimizer_parameters_of_another_family(t):
    client = lora(t)
    client.forward_backward([weighted()], "cross_entropy").result()
    with t.assertRaises(tinker.RequestFailedError) as caught:
        client.optim_step(tinker.DimuonParams(learning_rate=0.01)).result()
    t.assertEqual(str(caught.exception.category), "user")
    client.optim_step(adam()).result()


def TR_C19_keys(t):
    # With the prefix that the client insists on, or without it: the same key.
    for key in (t.backend.key, t.backend.tinker_key):
        t.assertEqual(t.backend.http("GET", "/api/v1/get_server_capabilities", headers={"X-Api-Key": key}).status, 200)
    t.assertEqual(t.backend.http("GET", "/api/v1/healthz",
                                 headers={"X-Api-Key": None, "Authorization": f"Bearer {t.backend.key}"}).status, 200)
    with t.assertRaises(tinker.AuthenticationError):
        connect(t, api_key="tml-wrong").get_server_capabilities()
    with t.assertRaises(tinker.TinkerError):
        connect(t, api_key="no-prefix").get_server_capabilities()


def TR_C12_telemetry_is_accepted_and_no_key_is_kept(t):
    secret = "tml-telemetry-secret-4711"
    answer = t.backend.http("POST", "/api/v1/telemetry", {
        "events": [{"event": "GENERIC_EVENT", "event_id": "1", "event_name": "APIFuture.result_async.api_status_error",
                    "event_session_index": 1, "severity": "ERROR", "timestamp": "2026-01-02T03:04:05.678901Z",
                    "event_data": {"request_headers": {"x-api-key": secret}}}],
        "platform": "Linux", "sdk_version": t.version, "session_id": "sessionless-1", "process_uuid": "u"})
    t.assertEqual((answer.status, answer.json()), (200, {"status": "accepted"}))
    for path in t.backend.data.rglob("*"):
        if path.is_file():
            t.assertNotIn(secret.encode(), path.read_bytes(), path)
    t.assertNotIn(secret, t.backend.log_text())


def TR_C12_a_fatal_error_surfaces_at_once(t):
    """Telemetry that fails would hold it back for 30 s."""
    begin = time.monotonic()
    with t.assertRaises(tinker.RequestFailedError):
        lora(t, base_model="nobody/nothing-7b")
    t.assertLess(time.monotonic() - begin, 5)


def TK21_10_configuration_routes(t):
    config = t.backend.http("POST", "/api/v1/client/config", {"sdk_version": t.version})
    t.assertEqual(config.status, 200)
    values = config.json()
    for flag in ("pjwt_auth_enabled", "custom_loss_server_side", "sample_use_retrieve_futures"):
        t.assertFalse(values.get(flag, False), flag)
    dynamic = t.backend.http("POST", "/api/v1/client/dynamic_config", {"sdk_version": t.version})
    t.assertIn(dynamic.status, (200, 404))
    if dynamic.status == 200:
        t.assertGreaterEqual(dynamic.json().get("refresh_interval_sec", 300), 10)
    connect(t).get_server_capabilities()


def TK21_10_heartbeats_are_answered(t):
    service = connect(t)
    answer = t.backend.http("POST", "/api/v1/session_heartbeat",
                            {"session_id": session_of(service), "type": "session_heartbeat"})
    t.assertEqual((answer.status, answer.json()), (200, {"type": "session_heartbeat"}))


@check(versions=["0.38.0"])
def TK21_07_with_block_finishes_the_session(t):
    with tinker.ServiceClient(base_url=t.backend.url, api_key=t.backend.tinker_key, display_name="nightly") as service:
        client = now(service.create_lora_training_client(base_model=t.backend.base_model, rank=4))
        path = client.save_state("kept").result().path
        session = session_of(service)
        model = client.model_id
    beat = t.backend.http("POST", "/api/v1/session_heartbeat", {"session_id": session, "type": "session_heartbeat"})
    t.assertEqual(beat.status, 410)
    # Further work is refused, with a body.
    wire = Wire(t.backend)
    wire.model = model
    with t.assertRaises(Refused) as caught:
        wire.optim_step()
    t.assertEqual(caught.exception.status, 400)
    t.assertTrue(caught.exception.body["detail"])
    # The first reason stays; a second call has no effect and no error.
    for kind in ("success", "errored"):
        again = t.backend.http("POST", f"/api/v1/sessions/{session}/finish", {"reason": {"type": kind}, "detail": None})
        t.assertEqual((again.status, again.body), (204, b""))
    found = t.backend.http("POST", "/api/v1/sessions/search", {"session_id": session, "limit": 5}).json()["sessions"]
    t.assertEqual([row["session_id"] for row in found], [session])
    t.assertEqual(found[0]["status"]["type"], "client_finished")
    t.assertEqual(found[0]["status"]["reason"]["type"], "success")
    t.assertEqual(found[0]["display_name"], "nightly")
    # Checkpoints outlive their session.
    again = connect(t)
    t.assertTrue(now(again.create_training_client_from_state(path)).model_id)


@check(versions=["0.38.0"])
def TK21_07_errors_and_interrupts_are_told_apart(t):
    for raised, reason in ((ValueError, "errored"), (KeyboardInterrupt, "interrupted")):
        try:
            with tinker.ServiceClient(base_url=t.backend.url, api_key=t.backend.tinker_key) as service:
                session = session_of(service)
                raise raised("stop")
        except (ValueError, KeyboardInterrupt):
            pass
        found = t.backend.http("POST", "/api/v1/sessions/search", {"session_id": session}).json()["sessions"]
        t.assertEqual(found[0]["status"]["reason"]["type"], reason)


def TK21_07_finish_of_an_unknown_session(t):
    answer = t.backend.http("POST", "/api/v1/sessions/nobody/finish", {"reason": {"type": "success"}, "detail": None})
    t.assertEqual(answer.status, 404)
    t.assertTrue(answer.json())


@check("TK21_12")
def TK21_12_a_killed_client_blocks_nobody(t):
    source = f"""
import tinker
from harness.tinker import *
service = tinker.ServiceClient()
client = now(service.create_lora_training_client(base_model={t.backend.base_model!r}, rank=8))
data = [weighted(list(range(97, 97 + 24)) * 4) for _ in range(24)]
for _ in range(20):
    client.forward_backward(data, "cross_entropy")
    client.optim_step(adam())
print("queued", flush=True)
import time; time.sleep(100)
"""
    process = script(t, source)
    t.assertEqual(process.stdout.readline().strip(), "queued")
    time.sleep(0.5)
    process.kill()
    process.wait()
    begin = time.monotonic()
    client = lora(t)
    data = [weighted()]
    before = loss_of(client, data)
    step(client, data)
    t.assertLess(loss_of(client, data), before)
    t.assertLess(time.monotonic() - begin, 20)


def TK21_13_two_clients_of_one_process(t):
    one, two = lora(t, seed=1), lora(t, seed=2)
    data = [weighted()]
    first = loss_of(two, data)
    for _ in range(3):
        step(one, data)
    t.assertEqual(loss_of(two, data), first)
    t.assertLess(loss_of(one, data), first)


def X_session_ids_are_not_taken_for_serverless_ones(t):
    service = connect(t)
    session = session_of(service)
    t.assertFalse(session.startswith("ts-") or session.startswith("run-"), session)
    t.assertNotIn("/", session)


@check(versions=["0.38.0"])
def X_a_closed_service_refuses_locally(t):
    service = connect(t)
    session_of(service)
    service.close("success").result(20)
    with t.assertRaises(RuntimeError):
        service.create_lora_training_client(base_model=t.backend.base_model)


def X_a_metadata_of_a_run_is_kept(t):
    client = lora(t, user_metadata={"renderer_name": "role_colon", "wandb_link": "http://127.0.0.1/x"})
    answer = t.backend.http("GET", f"/api/v1/training_runs/{client.model_id}?access_scope=owned")
    t.assertEqual(answer.status, 200)
    t.assertEqual(answer.json()["user_metadata"], {"renderer_name": "role_colon", "wandb_link": "http://127.0.0.1/x"})
