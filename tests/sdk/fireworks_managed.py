# SPDX-License-Identifier: GPL-3.0-or-later
"""The managed client: from_firetitan_config provisions trainer and deployment, trains, samples, cleans up."""

from harness.fireworks import (AdamParams, ModelInput, SamplingParams, datums, manager, loss_of, sdk, unique)
from harness.suite import check

PROMPT = list(b"the quick brown")


def shape_of(t, lora=False):
    mode = "LORA_TRAINER" if lora else "POLICY_TRAINER"
    for shape in t.backend.http("GET", "/v1/accounts/fireworks/trainingShapes?pageSize=200").json()["trainingShapes"]:
        if shape.get("baseModel") == t.backend.base_model and shape.get("trainerMode") == mode:
            return shape["name"]
    raise AssertionError(f"no {mode} shape")


def managed(t, **named):
    config = {"base_model": t.backend.base_model, "training_shape_id": shape_of(t, named.get("lora_rank", 0) > 0),
              "cleanup_trainer_on_close": True, "cleanup_deployment_on_close": "delete", **named}
    service = sdk.FiretitanServiceClient.from_firetitan_config(api_key=t.backend.key, base_url=t.backend.url, **config)
    t.cleanup(service.close)
    return service


def row_of(t, kind, name):
    return t.backend.http("GET", f"/v1/accounts/{t.backend.account}/{kind}/{name}").json()


@check("GW7_46", "GW7_47", "S19", "S20", "S25")
def GW7_47_provision_train_sample_close(t):
    service = managed(t)
    client = service.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    job, deployment = service.trainer_job_id, service.deployment_id
    t.assertEqual(row_of(t, "rlorTrainerJobs", job)["state"], "JOB_STATE_RUNNING")
    t.assertEqual(row_of(t, "deployments", deployment)["hotLoadTrainerJob"],
                  f"accounts/{t.backend.account}/rlorTrainerJobs/{job}")
    before = loss_of(client)
    client.forward_backward(datums(), "cross_entropy").result()
    client.optim_step(AdamParams(learning_rate=1e-3)).result()
    t.assertLess(loss_of(client), before)
    saved = client.save_weights_for_sampler_ext("managed", checkpoint_type="base")
    made = service.create_sampling_client(model_path=saved.path)
    answer = made.sample(prompt=ModelInput.from_ints(PROMPT), num_samples=1,
                         sampling_params=SamplingParams(max_tokens=4, temperature=1.0)).result()
    t.assertEqual(len(answer.sequences[0].tokens), len(answer.sequences[0].logprobs))
    made.close()
    service.close()
    t.assertIn(row_of(t, "rlorTrainerJobs", job)["state"], ("JOB_STATE_ARCHIVED", "JOB_STATE_DELETED"))
    gone = t.backend.http("GET", f"/v1/accounts/{t.backend.account}/deployments/{deployment}")
    t.assertTrue(gone.status == 404 or gone.json()["state"] in ("DELETED", "DELETING"))


@check("GW7_51", "S13", "S07")
def GW7_51_checkpoints_of_the_managed_trainer(t):
    service = managed(t, create_deployment=False)
    with t.assertRaises(RuntimeError):
        service.list_checkpoints("before-provisioning")
    client = service.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    saved = client.save_weights_for_sampler_ext("managed", checkpoint_type="base")
    rows = service.list_checkpoints(service.trainer_job_id)
    t.assertEqual([row["name"].rsplit("/", 1)[1] for row in rows], [saved.snapshot_name])
    model = service.promote_checkpoint(name=rows[0]["name"], output_model_id=unique("managed"), base_model=t.backend.base_model)
    t.assertEqual(model["state"], "READY")


@check("GW7_47")
def GW7_47_explicit_trainer_is_reused_and_kept(t):
    job = t.backend.create_job()
    t.cleanup(t.backend.delete_job, job)
    service = managed(t, trainer_job_id=job, create_deployment=False)
    service.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    t.assertEqual(service.trainer_job_id, job)
    service.close()
    t.assertEqual(manager(t).get(job)["state"], "JOB_STATE_RUNNING")


@check("GW7_47")
def GW7_47_cancelled_trainer_is_resumed(t):
    job = t.backend.create_job()
    t.cleanup(t.backend.delete_job, job)
    t.backend.http("POST", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{job}:cancel", {})
    service = managed(t, trainer_job_id=job, create_deployment=False)
    client = service.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    t.assertGreater(loss_of(client), 0)


@check("GW7_48")
def GW7_48_lora_shares_its_trainer_with_the_reference(t):
    service = managed(t, lora_rank=4, create_deployment=False)
    client = service.create_training_client(base_model=t.backend.base_model, lora_rank=4)
    reference = service.create_reference_client(t.backend.base_model, lora_rank=4)
    before = loss_of(reference)
    client.forward_backward(datums(), "cross_entropy").result()
    client.optim_step(AdamParams(learning_rate=1e-2)).result()
    t.assertEqual(loss_of(reference), before)
    t.assertNotEqual(loss_of(client), before)


@check("GW7_46", "GW7_52")
def GW7_52_existing_deployment_is_reattached(t):
    first = managed(t)
    first.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    name = first.deployment_id
    second = managed(t, deployment_id=name, reattach_poll_interval_s=0.1)
    client = second.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    t.assertEqual(second.deployment_id, name)
    t.assertTrue(second.requires_initial_sampler_sync())
    t.assertEqual(row_of(t, "deployments", name)["hotLoadTrainerJob"],
                  f"accounts/{t.backend.account}/rlorTrainerJobs/{second.trainer_job_id}")
    saved = client.save_weights_for_sampler_ext("again", checkpoint_type="base")
    second.hotload_sampler_snapshot(saved.path)
    t.assertFalse(second.requires_initial_sampler_sync())


@check("FW21_17", versions=["1.2.30"])
def X_weight_sync_by_files(t):
    """Neither side has RDMA, so weight_sync is a sampler save and a hot load."""
    service = managed(t)
    client = service.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    first = client.weight_sync().result()
    t.assertRegex(first.version, "^weight-sync-[0-9a-f]{32}-[0-9a-f]{8}$")
    second = client.weight_sync().result()
    t.assertNotEqual(first.version, second.version)


@check(versions=["1.2.30"])
def X_max_lora_rank_services_hold_several_models(t):
    service = managed(t, lora_rank=0, max_lora_rank=16, training_shape_id=shape_of(t, lora=True), create_deployment=False)
    one = service.create_training_client(base_model=t.backend.base_model, lora_rank=4)
    two = service.create_training_client(base_model=t.backend.base_model, lora_rank=16)
    t.assertNotEqual(one.model_id, two.model_id)
    t.assertEqual(row_of(t, "rlorTrainerJobs", service.trainer_job_id)["trainingConfig"]["loraRank"], 16)
    before = loss_of(two)
    one.forward_backward(datums(), "cross_entropy").result()
    one.optim_step(AdamParams(learning_rate=1e-2)).result()
    t.assertEqual(loss_of(two), before)


@check("GW7_49")
def GW7_49_key_header_of_trainer_calls(t):
    """X-API-Key alone is enough on every trainer route; Bearer alone is, too."""
    job = t.backend.create_job()
    t.cleanup(t.backend.delete_job, job)
    body = {"tags": [], "user_metadata": {}, "sdk_version": "0.23.0", "type": "create_session"}
    for headers in ({"X-Api-Key": None, "x-api-key": t.backend.key}, {"X-Api-Key": None, "Authorization": f"Bearer {t.backend.key}"}):
        t.assertEqual(t.backend.trainer(job, "POST", "create_session", body, headers=headers).status, 200)
    t.assertEqual(t.backend.trainer(job, "POST", "create_session", body, headers={"X-Api-Key": None}).status, 401)
