# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments and weight sync: create, patch, scale, re-attach, hot load, WeightSyncer."""

import json
import time

import httpx

from harness.fireworks import (control, deployments, manager, running_deployment, sampler, sdk, syncer, train_a_step, trainer,
                               unique)
from harness.suite import check


def row_of(t, name):
    return t.backend.http("GET", f"/v1/accounts/{t.backend.account}/deployments/{name}").json()


def status_of(deploy, t, name):
    return deploy.hotload_check_status(name, t.backend.base_model)


def job_name(t, job):
    return f"accounts/{t.backend.account}/rlorTrainerJobs/{job}"


def make(t, **named):
    deploy = deployments(t)
    name = named.pop("deployment_id", None) or unique("dep")
    info = deploy.create_or_get(sdk.DeploymentConfig(deployment_id=name, base_model=t.backend.base_model, **named))
    t.cleanup(deploy.delete, name)
    return deploy, name, info


@check("GW9_08")
def GW7_29_defaults_of_the_create_body(t):
    deploy, name, info = make(t)
    t.assertEqual(info.inference_model, f"accounts/{t.backend.account}/deployments/{name}")
    row = row_of(t, name)
    t.assertEqual(row["description"], "Fireworks training deployment")
    t.assertTrue(row["enableHotLoad"])
    t.assertEqual((row["minReplicaCount"], row["maxReplicaCount"]), (0, 1))
    t.assertEqual(row["baseModel"], t.backend.base_model)
    t.assertEqual(deploy.wait_for_ready(name, timeout_s=20, poll_interval_s=0.1).state, "READY")


@check("GW7_29", "FW21_13", "FW21_14")
def FW21_13_every_field_of_the_config(t):
    job = t.backend.create_job()
    t.cleanup(t.backend.delete_job, job)
    named = dict(hot_load_trainer_job=job_name(t, job), region="US_OHIO_1", for_training=True, extra_args=["--a b"],
                 extra_values={"a": "b"}, annotations={"team": "blue"}, skip_shape_validation=True,
                 disable_speculative_decoding=True, min_replica_count=1, max_replica_count=2, description="mine")
    if t.version == "1.2.30":
        named.update(hot_load_transition_type="SYNC", preemptible=True, accept_shapeless_risk=True)
    deploy, name, info = make(t, **named)
    row = row_of(t, name)
    t.assertEqual(row["hotLoadTrainerJob"], job_name(t, job))
    t.assertEqual(row["description"], "mine")
    t.assertEqual(row["annotations"], {"team": "blue"})
    t.assertEqual((row["minReplicaCount"], row["maxReplicaCount"]), (1, 2))
    t.assertTrue(row["hotLoadBucketUrl"])
    if t.version == "1.2.30":
        t.assertEqual(row["hotLoadTransitionType"], "SYNC")
        t.assertEqual(deploy.get(name).base_model, t.backend.base_model)


@check(faults=[{"route": "POST */deployments", "nth": 1, "action": "status", "status": 503}])
def GW7_30_create_again_after_503(t):
    deploy, name, info = make(t)
    t.assertIsNotNone(deploy.get(name))


@check(faults=[{"route": "POST */deployments", "nth": 1, "action": "drop-reply"}])
def GW7_30_create_whose_reply_is_lost(t):
    name = unique("dep")
    with t.assertRaises(httpx.RemoteProtocolError):
        make(t, deployment_id=name)
    deploy, _, info = make(t, deployment_id=name)
    t.assertEqual(info.deployment_id, name)
    answer = t.backend.http("POST", f"/v1/accounts/{t.backend.account}/deployments?deploymentId={name}",
                            {"baseModel": t.backend.base_model})
    t.assertEqual(answer.status, 409)


@check("GW7_36")
def GW7_31_probe_and_warm_up(t):
    deploy, name, _ = make(t)
    deploy.wait_for_ready(name, timeout_s=20, poll_interval_s=0.1)
    t.assertTrue(deploy.warmup(f"accounts/{t.backend.account}/deployments/{name}", max_retries=2, retry_interval_s=0.1))
    t.assertFalse(deploy.warmup(f"accounts/{t.backend.account}/deployments/no-such-one", max_retries=2, retry_interval_s=0.1))
    t.assertIsNone(deploy.get("no-such-one"))


@check("GW9_08")
def GW7_36_scale_to_zero(t):
    deploy, name, _ = make(t, min_replica_count=1, max_replica_count=2)
    before = row_of(t, name)
    deploy.scale_to_zero(name)
    row = row_of(t, name)
    t.assertEqual((row["minReplicaCount"], row["maxReplicaCount"]), (0, 0))
    # A PATCH without a mask merges what it holds.
    for key in ("description", "baseModel", "enableHotLoad", "createTime"):
        t.assertEqual(row[key], before[key])


@check("FW21_14")
def FW21_14_masks_change_exactly_what_they_name(t):
    deploy, name, _ = make(t, description="old", min_replica_count=0, max_replica_count=1)
    deploy.update(name, {"description": "new", "maxReplicaCount": 7}, "description")
    row = row_of(t, name)
    t.assertEqual((row["description"], row["maxReplicaCount"]), ("new", 1))
    deploy.update(name, {"description": "third", "maxReplicaCount": 2, "minReplicaCount": 1}, ["max_replica_count", "description"])
    row = row_of(t, name)
    t.assertEqual((row["description"], row["maxReplicaCount"], row["minReplicaCount"]), ("third", 2, 0))
    with t.assertRaises(httpx.HTTPStatusError) as caught:
        deploy.update(name, {"noSuchField": 1}, "no_such_field")
    t.assertEqual(caught.exception.response.status_code, 400)


@check("GW9_08")
def GW9_08_delete_and_list(t):
    deploy, name, _ = make(t)
    listed = [row["name"] for row in t.backend.http("GET", f"/v1/accounts/{t.backend.account}/deployments").json()["deployments"]]
    t.assertIn(f"accounts/{t.backend.account}/deployments/{name}", listed)
    deploy.delete(name)
    t.assertIn(getattr(deploy.get(name), "state", "DELETED"), ("DELETED", "DELETING"))


def GW9_08_scale_verb(t):
    _, name, _ = make(t, min_replica_count=1, max_replica_count=4)
    answer = t.backend.http("PATCH", f"/v1/accounts/{t.backend.account}/deployments/{name}:scale", {"replicaCount": 2})
    t.assertEqual(answer.status, 200, answer)
    t.assertEqual(row_of(t, name)["minReplicaCount"], 2)


@check("GW7_37")
def GW7_37_shape_guardrail(t):
    with t.assertRaises(ValueError):
        sdk.DeploymentConfig(deployment_id="x", base_model=t.backend.base_model,
                             deployment_shape="accounts/fireworks/deploymentShapes/a/versions/1",
                             expected_deployment_shape="accounts/fireworks/deploymentShapes/b/versions/1").validate()


def GW7_32_parsed_fields(t):
    job = t.backend.create_job()
    t.cleanup(t.backend.delete_job, job)
    deploy, name, _ = make(t, hot_load_trainer_job=job_name(t, job))
    info = deploy.get(name)
    t.assertEqual(info.hot_load_trainer_job, job_name(t, job))
    t.assertIn(job, info.hot_load_bucket_url)
    t.assertEqual(info.state, "READY")
    deploy, name, _ = make(t)
    t.assertIsNone(deploy.get(name).deployment_shape_version)


@check("S01", "GW7_34", "GW9_09")
def S15_direct_hot_load_of_a_base(t):
    job, client = trainer(t)
    train_a_step(client)
    deploy, name = running_deployment(t, job)
    saved = client.save_weights_for_sampler_ext("one", checkpoint_type="base").snapshot_name
    t.assertTrue(deploy.hotload_and_wait(name, t.backend.base_model, saved, timeout_seconds=30), deploy.last_hotload_error_message)
    replicas = status_of(deploy, t, name)["replicas"]
    t.assertTrue(replicas)
    for replica in replicas:
        t.assertEqual(replica["current_snapshot_identity"], saved)
        t.assertTrue(replica["readiness"])
        t.assertIsInstance(replica["loading_state"], dict)
        t.assertFalse([key for key in replica if "rdma" in key])


@check("GW7_34")
def S15_delta_needs_its_parent(t):
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    base = client.save_weights_for_sampler_ext("a", checkpoint_type="base").snapshot_name
    train_a_step(client)
    delta = client.save_weights_for_sampler_ext("b", checkpoint_type="delta").snapshot_name
    metadata = {"previous_snapshot_identity": base, "compression_format": "arc_v2", "checksum_format": "alder32"}
    # Onto nothing it cannot go: refused before anything is touched, with the load that would help.
    with t.assertRaises(httpx.HTTPStatusError) as caught:
        deploy.hotload(name, t.backend.base_model, delta, incremental_snapshot_metadata=metadata)
    t.assertEqual(caught.exception.response.status_code, 400)
    t.assertIn(base, caught.exception.response.text)
    replica = status_of(deploy, t, name)["replicas"][0]
    t.assertEqual((replica["current_snapshot_identity"], replica["readiness"]), (None, True))
    t.assertTrue(deploy.warmup(f"accounts/{t.backend.account}/deployments/{name}", max_retries=1, retry_interval_s=0.1))
    t.assertTrue(deploy.hotload_and_wait(name, t.backend.base_model, base, timeout_seconds=30))
    t.assertTrue(deploy.hotload_and_wait(name, t.backend.base_model, delta, incremental_snapshot_metadata=metadata,
                                         timeout_seconds=30), deploy.last_hotload_error_message)
    replica = status_of(deploy, t, name)["replicas"][0]
    t.assertEqual((replica["current_snapshot_identity"], replica["loading_state"]["stage"] != "error"), (delta, True))


@check("GW7_35")
def S15_unknown_snapshot_and_unknown_deployment(t):
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    with t.assertRaises(httpx.HTTPStatusError) as caught:
        deploy.hotload(name, t.backend.base_model, "no-such-snapshot")
    t.assertEqual(caught.exception.response.status_code, 404)
    t.assertIn("no-such-snapshot", caught.exception.response.text)
    with t.assertRaises(httpx.HTTPStatusError) as caught:
        deploy.hotload("no-such-deployment", t.backend.base_model, "x")
    t.assertEqual(caught.exception.response.status_code, 404)


@check("GW7_34", "GW9_09")
def GW7_34_unknown_body_fields_are_refused(t):
    _, name, _ = make(t)
    headers = {"fireworks-model": t.backend.base_model, "fireworks-deployment": f"accounts/{t.backend.account}/deployments/{name}"}
    answer = t.backend.http("POST", "/hot_load/v1/models/hot_load", {"identity": "a", "no_such_field": 1}, headers)
    t.assertEqual(answer.status, 400, answer)
    t.assertIn("no_such_field", answer.body.decode())
    for value in (True, False, "all", "none", "new_session"):
        answer = t.backend.http("POST", "/hot_load/v1/models/hot_load", {"identity": "a", "reset_prompt_cache": value}, headers)
        t.assertNotEqual(answer.status, 400, f"{value}: {answer}")
    # An unstripped base URL gives a double slash.
    answer = t.backend.http("GET", "//hot_load/v1/models/hot_load", headers=headers)
    t.assertEqual(answer.status, 200, answer)


@check("S02", "GW7_44")
def S14_weight_syncer_base_then_deltas(t):
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    sync = syncer(t, client, deploy, name)
    names = []
    for step in range(3):
        names.append(sync.save_and_hotload(f"step-{step:05d}"))
        t.assertEqual(status_of(deploy, t, name)["replicas"][0]["current_snapshot_identity"], names[-1])
        train_a_step(client)
    kinds = {row["name"].rsplit("/", 1)[1]: row["checkpointType"].rsplit("_INFERENCE_", 1)[1]
             for row in control(t).list_checkpoints(job)}
    t.assertEqual([kinds[one] for one in names], ["BASE", "ARC_V2", "ARC_V2"])
    sync.reset_delta_chain()
    again = sync.save_and_hotload("after-reset")
    kinds = {row["name"].rsplit("/", 1)[1]: row["checkpointType"] for row in control(t).list_checkpoints(job)}
    t.assertEqual(kinds[again], "CHECKPOINT_TYPE_INFERENCE_BASE")


@check("S02")
def S02_the_deployment_answers_with_the_weights_of_the_delta(t):
    """Base XOR delta on the replica gives the trainer's own logprobs."""
    from harness.fireworks import Datum, ModelInput, ask, tensor
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    sync = syncer(t, client, deploy, name)
    sync.save_and_hotload("one")
    for _ in range(3):
        train_a_step(client, lr=5e-3)
    sync.save_and_hotload("two")
    prompt = list(b"the quick ")
    made = sampler(t, name)
    completion = ask(made, made.sample_with_prompt_tokens(prompt, max_tokens=8, temperature=1.0, logprobs=True, seed=3))[0]
    tokens = completion.full_tokens
    data = Datum(model_input=ModelInput.from_ints(tokens[:-1]),
                 loss_fn_inputs={"target_tokens": tensor(tokens[1:], "int64")})
    own = list(client.forward([data], "cross_entropy").result().loss_fn_outputs[0]["logprobs"].data)[len(prompt) - 1 :]
    t.assertEqual(len(own), len(completion.inference_logprobs))
    for a, b in zip(own, completion.inference_logprobs):
        t.assertAlmostEqual(a, b, delta=1e-3)


@check("GW7_45", "S14")
def GW7_45_second_syncer_starts_with_a_base(t):
    """A deployment that already holds a snapshot gets a full load first."""
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    syncer(t, client, deploy, name).save_and_hotload("one")
    train_a_step(client)
    second = syncer(t, client, deploy, name)
    saved = second.save_and_hotload("two")
    t.assertEqual(status_of(deploy, t, name)["replicas"][0]["current_snapshot_identity"], saved)
    kinds = {row["name"].rsplit("/", 1)[1]: row["checkpointType"] for row in control(t).list_checkpoints(job)}
    t.assertEqual(kinds[saved], "CHECKPOINT_TYPE_INFERENCE_BASE")


@check("GW7_35", "S03")
def S14_lora_adapters_are_loaded(t):
    job, client = trainer(t, lora_rank=4)
    deploy, name = running_deployment(t, job)
    sync = syncer(t, client, deploy, name, lora_rank=4)
    for step in ("one", "two"):
        train_a_step(client)
        saved = sync.save_and_hotload(step)
        replica = status_of(deploy, t, name)["replicas"][0]
        loaded = {one["identity"]: one["status"] for one in replica.get("loaded_adapters", [])}
        t.assertTrue(replica["current_snapshot_identity"] == saved or loaded.get(saved) == "loaded", replica)


@check("GW7_35", faults=[{"route": "POST /hot_load/*", "action": "replica-error", "replica": 1, "nth": 1}])
def S14_failure_of_the_replica_raises_with_the_reason(t):
    """The failing identity is the target of the error, so the client hears at once; the next good load clears it."""
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    sync = syncer(t, client, deploy, name)
    started = time.monotonic()
    with t.assertRaises(RuntimeError) as caught:
        sync.save_and_hotload("one")
    t.assertLess(time.monotonic() - started, 15)
    replica = status_of(deploy, t, name)["replicas"][0]
    failed = replica["loading_state"]["target_snapshot_identity"]
    t.assertEqual((replica["loading_state"]["stage"], failed[:4]), ("error", "one-"))
    t.assertIn(failed, str(caught.exception))
    t.assertTrue(deploy.warmup(f"accounts/{t.backend.account}/deployments/{name}", max_retries=1, retry_interval_s=0.1))
    t.assertTrue(sync.save_and_hotload("two", checkpoint_type="base"))
    t.assertNotEqual(status_of(deploy, t, name)["replicas"][0]["loading_state"]["stage"], "error")


@check("GW7_33", versions=["1.2.30"])
def GW7_33_reattach_with_one_patch(t):
    first, client = trainer(t)
    second, other = trainer(t)
    deploy, name = running_deployment(t, first)
    syncer(t, client, deploy, name).save_and_hotload("one")
    deploy.reattach_trainer(name, base_model=t.backend.base_model, trainer_job_name=job_name(t, second), timeout_s=30,
                            poll_interval_s=0.1)
    row = row_of(t, name)
    t.assertEqual((row["hotLoadTrainerJob"], row["state"]), (job_name(t, second), "READY"))
    t.assertIsNone(status_of(deploy, t, name)["replicas"][0]["current_snapshot_identity"])
    t.assertTrue(syncer(t, other, deploy, name).save_and_hotload("two"))


@check("GW7_33", versions=["1.2.3"])
def GW7_33_reattach_waits_for_a_new_replica(t):
    first, client = trainer(t)
    second, other = trainer(t)
    deploy, name = running_deployment(t, first)
    syncer(t, client, deploy, name).save_and_hotload("one")
    deploy.reattach_trainer(name, base_model=t.backend.base_model, trainer_job_name=job_name(t, second), timeout_s=30,
                            poll_interval_s=0.1)
    t.assertEqual(row_of(t, name)["hotLoadTrainerJob"], job_name(t, second))
    t.assertTrue(syncer(t, other, deploy, name).save_and_hotload("two"))


def GW7_33_reattach_to_the_same_trainer_changes_nothing(t):
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    saved = syncer(t, client, deploy, name).save_and_hotload("one")
    deploy.reattach_trainer(name, base_model=t.backend.base_model, trainer_job_name=job_name(t, job), timeout_s=10,
                            poll_interval_s=0.1)
    t.assertEqual(status_of(deploy, t, name)["replicas"][0]["current_snapshot_identity"], saved)


@check(alone=True)
def S15_loaded_weights_survive_a_restart(t):
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    saved = syncer(t, client, deploy, name).save_and_hotload("one")
    t.backend.restart(kill=True)
    sync_state = json.dumps(row_of(t, name))
    t.assertIn("READY", sync_state)
    deploy.wait_for_ready(name, timeout_s=20, poll_interval_s=0.1)
    t.assertTrue(deploy.wait_for_hotload(name, t.backend.base_model, saved, timeout_seconds=20, poll_interval=0.2))
    t.assertTrue(manager(t).get(job))
