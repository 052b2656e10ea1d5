# SPDX-License-Identifier: GPL-3.0-or-later
"""The REST client and the `tinker` command line."""

import datetime
import json
import os
import pathlib
import shutil
import tempfile
import urllib.request

import tinker

from harness.suite import check
from harness.tinker import (PATTERN, adam, command, connect, environment, lora, loss_of, now, prompt, rest, session_of, step, unload,
                            weighted)

DATA = [weighted(list(b"rows of a table of checkpoints"))]


def run_with_saves(t, service=None, **named):
    client = lora(t, service, rank=4, **named)
    step(client, DATA)
    return client, client.save_state("s1").result().path, client.save_weights_for_sampler("w1").result().path


def ids(response):
    return {row.checkpoint_id for row in response.checkpoints}


@check("TK21_13")
def X_training_runs(t):
    service = connect(t)
    client, state, sampler = run_with_saves(t, service, user_metadata={"run": "x"})
    client_rest = service.create_rest_client()
    page = now(client_rest.list_training_runs(limit=100))
    row = next(row for row in page.training_runs if row.training_run_id == client.model_id)
    t.assertEqual(page.cursor.total_count, len(page.training_runs))
    t.assertEqual((row.base_model, row.is_lora, row.lora_rank, row.corrupted), (t.backend.base_model, True, 4, False))
    t.assertEqual(row.user_metadata, {"run": "x"})
    t.assertEqual(row.last_checkpoint.tinker_path, state)
    t.assertEqual(row.last_sampler_checkpoint.tinker_path, sampler)
    for found in (now(client_rest.get_training_run(client.model_id)), now(client_rest.get_training_run_by_tinker_path(state))):
        t.assertEqual(found.training_run_id, client.model_id)
    age = datetime.datetime.now(datetime.timezone.utc) - row.last_request_time
    t.assertLess(abs(age.total_seconds()), 120)
    with t.assertRaises(tinker.NotFoundError):
        now(client_rest.get_training_run("nobody:train:0"))


def X_pages_of_training_runs(t):
    service = connect(t)
    made = [lora(t, service, rank=2).model_id for _ in range(3)]
    client_rest = service.create_rest_client()
    total = now(client_rest.list_training_runs(limit=100)).cursor.total_count
    seen = []
    for offset in range(0, total, 2):
        page = now(client_rest.list_training_runs(limit=2, offset=offset))
        t.assertEqual((page.cursor.offset, page.cursor.limit, page.cursor.total_count), (offset, 2, total))
        seen += [row.training_run_id for row in page.training_runs]
    t.assertEqual(len(seen), total)
    t.assertEqual(len(set(seen)), total)
    t.assertLessEqual(set(made), set(seen))


@check("TK21_13")
def X_checkpoints_of_a_run(t):
    service = connect(t)
    client, state, sampler = run_with_saves(t, service)
    rows = {row.checkpoint_id: row for row in now(service.create_rest_client().list_checkpoints(client.model_id)).checkpoints}
    t.assertEqual(set(rows), {"weights/s1", "sampler_weights/w1"})
    one, two = rows["weights/s1"], rows["sampler_weights/w1"]
    t.assertEqual((one.checkpoint_type, one.tinker_path, one.public), ("training", state, False))
    t.assertEqual((two.checkpoint_type, two.tinker_path), ("sampler", sampler))
    for row in (one, two):
        t.assertGreater(row.size_bytes, 1000)
        t.assertIsNone(row.expires_at)
        t.assertIsNotNone(row.time.tzinfo)
    t.assertGreater(one.size_bytes, two.size_bytes)


def X_checkpoints_of_the_user(t):
    service = connect(t)
    _, state, sampler = run_with_saves(t, service)
    _, state2, _ = run_with_saves(t, service)
    client_rest = service.create_rest_client()
    seen = []
    offset = 0
    while True:
        page = now(client_rest.list_user_checkpoints(limit=3, offset=offset))
        seen += [row.tinker_path for row in page.checkpoints]
        offset += len(page.checkpoints)
        if not page.checkpoints or offset >= page.cursor.total_count:
            break
    t.assertEqual(len(seen), len(set(seen)))
    t.assertLessEqual({state, sampler, state2}, set(seen))


def X_weights_info(t):
    service = connect(t)
    client, state, sampler = run_with_saves(t, service, train_unembed=False)
    client_rest = service.create_rest_client()
    for path in (state, sampler):
        info = now(client_rest.get_weights_info_by_tinker_path(path))
        t.assertEqual((info.base_model, info.is_lora, info.lora_rank), (t.backend.base_model, True, 4))
        t.assertEqual((info.train_unembed, info.train_mlp, info.train_attn), (False, True, True))
    with t.assertRaises(tinker.NotFoundError):
        now(client_rest.get_weights_info_by_tinker_path("tinker://nobody:train:0/weights/none"))


@check("TK21_13")
def X_deleting_a_checkpoint(t):
    service = connect(t)
    client, state, sampler = run_with_saves(t, service)
    client_rest = service.create_rest_client()
    now(client_rest.delete_checkpoint_from_tinker_path(state))
    t.assertEqual(ids(now(client_rest.list_checkpoints(client.model_id))), {"sampler_weights/w1"})
    with t.assertRaises(tinker.NotFoundError):
        now(client_rest.delete_checkpoint(client.model_id, "weights/s1"))
    with t.assertRaises(tinker.RequestFailedError):
        client.load_state(state).result()
    now(client_rest.delete_checkpoint(client.model_id, "sampler_weights/w1"))
    t.assertEqual(ids(now(client_rest.list_checkpoints(client.model_id))), set())
    # The name is free again.
    t.assertEqual(client.save_state("s1").result().path, state)


def X_publishing(t):
    service = connect(t)
    client, state, _ = run_with_saves(t, service)
    client_rest = service.create_rest_client()

    def public():
        return {row.checkpoint_id: row.public for row in now(client_rest.list_checkpoints(client.model_id)).checkpoints}

    now(client_rest.publish_checkpoint_from_tinker_path(state))
    t.assertEqual(public(), {"weights/s1": True, "sampler_weights/w1": False})
    now(client_rest.unpublish_checkpoint_from_tinker_path(state))
    t.assertEqual(public(), {"weights/s1": False, "sampler_weights/w1": False})
    with t.assertRaises(tinker.NotFoundError):
        now(client_rest.publish_checkpoint_from_tinker_path(f"tinker://{client.model_id}/weights/none"))


def X_setting_and_removing_an_expiry(t):
    service = connect(t)
    client, state, _ = run_with_saves(t, service)
    client_rest = service.create_rest_client()

    def expiry():
        return next(row.expires_at for row in now(client_rest.list_checkpoints(client.model_id)).checkpoints
                    if row.tinker_path == state)

    begin = datetime.datetime.now(datetime.timezone.utc)
    now(client_rest.set_checkpoint_ttl_from_tinker_path(state, 7200))
    t.assertTrue(7190 <= (expiry() - begin).total_seconds() <= 7260)
    now(client_rest.set_checkpoint_ttl_from_tinker_path(state, None))
    t.assertIsNone(expiry())
    with t.assertRaises((tinker.BadRequestError, tinker.UnprocessableEntityError)):
        now(client_rest.set_checkpoint_ttl_from_tinker_path(state, -1))


@check("TK21_13")
def X_sessions(t):
    service = connect(t, user_metadata={"recipe_name": "sl"})
    client, _, _ = run_with_saves(t, service)
    sampler = now(client.save_weights_and_get_sampling_client())
    client_rest = service.create_rest_client()
    session = session_of(service)
    t.assertIn(session, now(client_rest.list_sessions(limit=100)).sessions)
    found = now(client_rest.get_session(session))
    t.assertEqual(found.training_run_ids, [client.model_id])
    t.assertEqual(found.sampler_ids, [sampler._sampling_session_id])
    now(client_rest.assign_session_project(session, "project-1"))
    with t.assertRaises(tinker.NotFoundError):
        now(client_rest.get_session("sess-nobody"))


@check(versions=["0.38.0"])
def X_search_of_sessions(t):
    import warnings
    warnings.simplefilter("ignore")
    service = connect(t, display_name="Nightly run 7", user_metadata={"recipe_name": "sl", "git_rev": "abc"})
    lora(t, service, rank=2).save_state("x").result()
    session = session_of(service)
    client_rest = tinker.RestClient(base_url=t.backend.url, api_key=t.backend.tinker_key)
    request = tinker.types.SessionSearchRequest
    for query in (request(session_id=session), request(display_name="nightly 7"), request(user_metadata={"git_rev": "abc"})):
        page = client_rest.search_sessions(query).result()
        row = next(row for row in page.sessions if row.session_id == session)
        t.assertEqual((row.display_name, row.user_metadata), ("Nightly run 7", {"recipe_name": "sl", "git_rev": "abc"}))
        t.assertEqual((row.status.type, row.checkpoints_count), ("active", 1))
    t.assertEqual(client_rest.search_sessions(request(user_metadata={"git_rev": "other"})).result().sessions, [])
    finished = [{"type": "client_finished"}]
    t.assertNotIn(session, [row.session_id for row in client_rest.search_sessions(request(statuses=finished)).result().sessions])
    # Page by page, newest first.
    for _ in range(3):
        session_of(connect(t, display_name="paged"))
    seen, cursor = [], None
    while True:
        page = client_rest.search_sessions(request(display_name="paged", limit=2, cursor=cursor)).result()
        seen += page.sessions
        cursor = page.next_cursor
        if cursor is None:
            break
    t.assertEqual(len({row.session_id for row in seen}), 3)
    times = [row.created_at for row in seen]
    t.assertEqual(times, sorted(times, reverse=True))
    full = client_rest.get_session(session).result()
    t.assertEqual((full.display_name, full.user_metadata), ("Nightly run 7", {"recipe_name": "sl", "git_rev": "abc"}))


@check(versions=["0.38.0"])
def X_trace_of_a_session(t):
    service = connect(t)
    run_with_saves(t, service)
    url = tinker.RestClient(base_url=t.backend.url, api_key=t.backend.tinker_key).export_session_trace(
        session_of(service)).result(60)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as reply:
        trace = json.loads(reply.read())
    names = {event["name"] for event in trace["traceEvents"]}
    t.assertLessEqual({"forward_backward", "optim_step", "save_weights"}, names)


@check(versions=["0.38.0"])
def X_copies_of_weights(t):
    service = connect(t)
    client, state, _ = run_with_saves(t, service)
    expected = loss_of(client, DATA)
    client_rest = tinker.RestClient(base_url=t.backend.url, api_key=t.backend.tinker_key)
    copied = client_rest.copy_weights(state, "archive", ttl_seconds=7200).result(30)
    t.assertNotEqual(copied, state)
    t.assertTrue(copied.startswith("tinker://") and "/weights/" in copied)
    client_rest.delete_checkpoint_from_tinker_path(state).result()
    other = now(service.create_training_client_from_state(copied))
    t.assertAlmostEqual(loss_of(other, DATA), expected, delta=1e-5)


@check(versions=["0.38.0"])
def X_capabilities_and_identity(t):
    client_rest = tinker.RestClient(base_url=t.backend.url, api_key=t.backend.tinker_key)
    models = client_rest.get_server_capabilities().result().supported_models
    row = next(model for model in models if model.model_name == t.backend.base_model)
    t.assertTrue(row.trainable and row.sampleable)
    t.assertGreaterEqual(row.max_context_length, 128)
    with t.assertRaises(RuntimeError):
        client_rest.whoami().result()


@check(versions=["0.38.0"])
def X_admin_routes_answer_with_a_body(t):
    for path in ("audit", "billing/usage/events?starting_on=2026-01-01&ending_before=2026-02-01", "billing/usage/checkpoints/current"):
        answer = t.backend.http("GET", "/api/v1/" + path)
        t.assertIn(answer.status, (200, 404))
        t.assertTrue(answer.json())


@check("TR_C13", versions=["0.23.0"])
def X_archive_of_a_checkpoint(t):
    import io
    import tarfile
    service = connect(t)
    client, state, sampler = run_with_saves(t, service)
    client_rest = service.create_rest_client()
    found = now(client_rest.get_checkpoint_archive_url_from_tinker_path(sampler))
    t.assertGreater(found.expires, datetime.datetime.now(datetime.timezone.utc))
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(found.url, timeout=20) as reply:
        archive = tarfile.open(fileobj=io.BytesIO(reply.read()))
    t.assertTrue(any(name.endswith("adapter_model.safetensors") for name in archive.getnames()), archive.getnames())


# --- the command line ---

def as_json(done):
    return json.loads(done.stdout)


@check("TK21_13")
def X_command_version(t):
    t.assertIn(t.version, command(t, "version").stdout)


@check(versions=["0.38.0"])
def X_command_model_list(t):
    t.assertIn(t.backend.base_model, command(t, "--format", "json", "model", "list").stdout)
    # Where nothing matches, this program asks who calls, which works with JWT only.
    t.assertNotIn(t.backend.base_model, command(t, "--format", "json", "model", "list", "no-such-model", check=False).stdout)


@check("TK21_13")
def X_command_runs(t):
    client, _, _ = run_with_saves(t)
    t.assertIn(client.model_id, command(t, "--format", "json", "run", "list").stdout)
    info = as_json(command(t, "--format", "json", "run", "info", client.model_id))
    t.assertIn(client.model_id, json.dumps(info))
    command(t, "run", "list")
    command(t, "run", "info", client.model_id)
    t.assertNotEqual(command(t, "run", "info", "nobody:train:0", check=False).returncode, 0)


@check("TK21_13")
def X_command_checkpoints(t):
    client, state, sampler = run_with_saves(t)
    listed = command(t, "--format", "json", "checkpoint", "list", "--run-id", client.model_id).stdout
    t.assertIn(state, listed)
    t.assertIn(sampler, listed)
    command(t, "checkpoint", "list")
    t.assertIn("s1", command(t, "--format", "json", "checkpoint", "info", state).stdout)
    command(t, "checkpoint", "publish", state)
    t.assertTrue(next(row.public for row in now(rest(t).list_checkpoints(client.model_id)).checkpoints if row.tinker_path == state))
    command(t, "checkpoint", "unpublish", state)
    command(t, "checkpoint", "set-ttl", state, "--ttl", "7200")
    command(t, "checkpoint", "set-ttl", state, "--remove")
    command(t, "checkpoint", "delete", state, "--yes")
    t.assertEqual(ids(now(rest(t).list_checkpoints(client.model_id))), {"sampler_weights/w1"})
    command(t, "checkpoint", "delete", "--run-id", client.model_id, "--yes")
    t.assertEqual(ids(now(rest(t).list_checkpoints(client.model_id))), set())


@check("TK21_09")
def TK21_09_command_checkpoint_download(t):
    client, state, sampler = run_with_saves(t)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="desk-download-"))
    t.cleanup(shutil.rmtree, folder, ignore_errors=True)
    command(t, "checkpoint", "download", state if t.version == "0.38.0" else sampler, "--output", str(folder))
    files = sorted(path.name for path in folder.rglob("*") if path.is_file())
    t.assertIn("adapter_config.json", files)
    t.assertIn("adapter_model.safetensors", files)
    if t.version == "0.38.0":
        # The temporary export is gone again, and the session that made it is finished.
        left = [row.checkpoint_id for row in now(rest(t).list_user_checkpoints(limit=100)).checkpoints]
        t.assertFalse([name for name in left if name.startswith("external_weights/")], left)


@check(versions=["0.38.0"])
def X_command_session_trace(t):
    service = connect(t)
    run_with_saves(t, service)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="desk-trace-"))
    t.cleanup(shutil.rmtree, folder, ignore_errors=True)
    command(t, "session", "export-trace", session_of(service), "--output", str(folder / "trace.json"))
    t.assertTrue(any(path.stat().st_size > 20 for path in folder.rglob("*") if path.is_file()))
