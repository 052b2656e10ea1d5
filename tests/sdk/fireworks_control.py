# SPDX-License-Identifier: GPL-3.0-or-later
"""Control plane: jobs, checkpoint rows, promotion, models, shapes."""

import datetime
import pathlib
import re

import httpx

from harness.fireworks import (control, deprecations, loss_of, manager, sdk, train_a_step, trainer, unique)
from harness.suite import check


def job_config(t, **named):
    return sdk.TrainerJobConfig(**{"base_model": t.backend.base_model, "max_context_length": 128, **named})


def saved_base(t):
    """(job id, snapshot name, row) of a trained base snapshot."""
    job, client = trainer(t)
    train_a_step(client)
    name = client.save_weights_for_sampler_ext("step-1", checkpoint_type="base").snapshot_name
    row = next(row for row in control(t).list_checkpoints(job) if row["name"].endswith(name))
    return job, name, row


@check("GW9_01")
def GW9_01_account_is_found_by_the_key(t):
    t.assertEqual(control(t).account_id, t.backend.account)
    accounts = t.backend.http("GET", "/v1/accounts?pageSize=2").json()["accounts"]
    t.assertEqual([one["name"] for one in accounts], [f"accounts/{t.backend.account}"])


def GW7_07_wrong_key_says_what_is_wrong(t):
    client = sdk.FireworksClient(api_key="wrong", base_url=t.backend.url)
    with t.assertRaises(Exception) as caught:
        client.list_checkpoints("job-1")
    t.assertIn("401", str(caught.exception))
    answer = t.backend.http("GET", "/v1/accounts", headers={"X-Api-Key": "wrong"})
    t.assertEqual((answer.status, set(answer.json())), (401, {"code", "message", "details"}))


def GW7_04_errors_are_the_grpc_triple(t):
    account = f"/v1/accounts/{t.backend.account}"
    for method, path, body, status, code in (
        ("GET", f"{account}/rlorTrainerJobs/none", None, 404, 5),
        ("GET", f"{account}/deployments/none", None, 404, 5),
        ("GET", f"{account}/models/none", None, 404, 5),
        ("GET", f"{account}/operations/none", None, 404, 5),
        ("GET", "/v1/accounts/other/rlorTrainerJobs/none", None, 404, 5),
        ("POST", f"{account}/rlorTrainerJobs?rlorTrainerJobId=x", {"trainingConfig": {}}, 400, 3),
        ("POST", f"{account}/rlorTrainerJobs?rlorTrainerJobId=Not_A_Label", {"trainingConfig": {"baseModel": t.backend.base_model}},
         400, 3),
        ("POST", f"{account}/rlorTrainerJobs", b"{not json", 400, 3),
    ):
        answer = t.backend.http(method, path, body)
        t.assertEqual(answer.status, status, f"{method} {path}: {answer}")
        t.assertEqual(answer.json()["code"], code, f"{method} {path}: {answer}")
        t.assertGreater(len(answer.json()["message"]), 10)


@check("GW7_08", "GW7_18", "GW9_03", "GW9_04")
def S25_create_and_wait(t):
    jobs = manager(t)
    endpoint = jobs.create_and_wait(job_config(t, display_name="wait"), poll_interval_s=0.1, timeout_s=30)
    t.cleanup(jobs.delete, endpoint.job_id)
    t.assertEqual(endpoint.job_name, f"accounts/{t.backend.account}/rlorTrainerJobs/{endpoint.job_id}")
    t.assertEqual(endpoint.base_url, t.backend.trainer_url(endpoint.job_id))
    t.assertEqual(endpoint.max_context_length, 128)
    _, client = trainer(t, job=endpoint.job_id)
    t.assertGreater(loss_of(client), 0)
    row = jobs.get(endpoint.job_id)
    t.assertIn(row["state"], ("JOB_STATE_RUNNING", "JOB_STATE_IDLE"))
    t.assertEqual(row["displayName"], "wait")


@check("GW7_09")
def GW7_09_fields_of_the_create_body(t):
    jobs = manager(t)
    created = jobs.create(job_config(t, lora_rank=8, region="US_OHIO_1", node_count=1, trainer_replica_count=1,
                                     inactivity_timeout=datetime.timedelta(minutes=30)))
    t.cleanup(jobs.delete, created.job_id)
    row = jobs.get(created.job_id)
    t.assertEqual(row["trainingConfig"]["baseModel"], t.backend.base_model)
    t.assertEqual(row["trainingConfig"]["loraRank"], 8)
    t.assertEqual(row["inactivityTimeout"], "1800s")
    t.assertTrue(row["serviceMode"])


def GW7_10_auto_id_is_kept(t):
    jobs = manager(t)
    config = job_config(t)
    first = jobs.create(config)
    t.cleanup(jobs.delete, first.job_id)
    t.assertRegex(first.job_id, r"^training-api-service-[0-9a-f]{8}$")
    t.assertEqual(config.requested_job_id, first.job_id)
    # The second POST answers 409 and the client takes the job that is there.
    t.assertEqual(jobs.create(config).job_id, first.job_id)


@check("GW7_01", "GW7_02", faults=[{"route": "POST */rlorTrainerJobs", "nth": 1, "action": "drop-reply"}])
def GW7_11_create_whose_reply_is_lost(t):
    """This client gives up on a reply that breaks off; its second call hears 409 and takes the job that is there."""
    jobs = manager(t)
    config = job_config(t, requested_job_id="lost-reply")
    with t.assertRaises(httpx.RemoteProtocolError):
        jobs.create(config)
    created = jobs.create(config)
    t.assertEqual(created.job_id, "lost-reply")
    rows = t.backend.http("GET", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs").json()["rlorTrainerJobs"]
    t.assertEqual([row["name"].rsplit("/", 1)[1] for row in rows], ["lost-reply"])


@check("GW7_01", faults=[{"route": "POST */rlorTrainerJobs", "nth": 1, "action": "status", "status": 503}])
def GW7_11_create_that_is_refused_once(t):
    t.assertEqual(manager(t).create(job_config(t, requested_job_id="second-try")).job_id, "second-try")


def GW7_12_archived_id_is_not_reused(t):
    jobs = manager(t)
    created = jobs.create(job_config(t, requested_job_id=unique("gone")))
    jobs.delete(created.job_id)
    with t.assertRaisesRegex(RuntimeError, "archived and cannot be recreated"):
        jobs.create(job_config(t, requested_job_id=created.job_id))


@check("GW7_13", "GW7_14", "GW7_15", "GW7_16", "FW21_13")
def GW7_13_every_field_of_the_config_is_accepted(t):
    jobs = manager(t)
    named = dict(lora_rank=4, learning_rate=3e-5, trainer_replica_count=2, display_name="all", region="US_OHIO_1",
                 custom_image_tag="t1", extra_args=["--a b", "--c"], purpose="PURPOSE_PILOT", preemptible=True,
                 managed_by="x", inactivity_timeout="1800s", skip_validations=True, auto_select_training_shape=True)
    if t.version == "1.2.30":
        named.update(use_reservation=False, reservation_target="r1", extra_values={"a": "b"})
    else:
        named.update(disable_inactivity_cleanup=True)
    created = jobs.create(job_config(t, **named))
    t.cleanup(jobs.delete, created.job_id)
    row = jobs.get(created.job_id)
    t.assertEqual(row["displayName"], "all")
    t.assertEqual(row["trainerReplicaCount"], 2)
    t.assertEqual(row["trainingConfig"]["loraRank"], 4)


@check("GW7_17")
def S25_create_failure_surfaces_the_servers_words(t):
    with t.assertRaises(RuntimeError) as caught:
        manager(t).create(job_config(t, base_model="accounts/fireworks/models/no-such-model"))
    t.assertRegex(str(caught.exception), r"HTTP 40\d")
    t.assertIn("no-such-model", str(caught.exception))
    with t.assertRaises(RuntimeError) as caught:
        manager(t).create(job_config(t, lora_rank=129))
    t.assertRegex(str(caught.exception), "128")


@check("GW7_19")
def S25_deleted_job_raises_from_the_wait(t):
    jobs = manager(t)
    created = jobs.create(job_config(t))
    jobs.delete(created.job_id)
    with t.assertRaisesRegex(RuntimeError, "(?i)archived|deleted"):
        jobs.wait_for_existing(created.job_id, poll_interval_s=0.1, timeout_s=5)
    with t.assertRaisesRegex(RuntimeError, "not found"):
        jobs.get("never-was")
    t.assertIsNone(jobs.try_get("never-was"))


@check("FW21_16", "GW9_03")
def S25_cancel_and_resume(t):
    jobs = manager(t)
    job, client = trainer(t)
    client.save_state("kept").result()
    answer = t.backend.http("POST", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{job}:cancel", {})
    t.assertEqual((answer.status, answer.json()), (200, {}))
    t.assertIn(jobs.get(job)["state"], ("JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"))
    t.assertEqual(t.backend.trainer(job, "GET", "healthz").status, 404)
    endpoint = jobs.resume_and_wait(job, poll_interval_s=0.1, timeout_s=20)
    t.assertEqual(endpoint.base_url, t.backend.trainer_url(job))
    _, again = trainer(t, job=job)
    again.load_state_with_optimizer("kept").result()


@check("FW21_16")
def GW7_20_reconnect_resumes_a_cancelled_job(t):
    jobs = manager(t)
    job = t.backend.create_job()
    t.cleanup(t.backend.delete_job, job)
    t.backend.http("POST", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{job}:cancel", {})
    endpoint = jobs.reconnect_and_wait(job, poll_interval_s=0.1, timeout_s=20)
    t.assertEqual(endpoint.job_id, job)
    # And a running one as it is.
    t.assertEqual(jobs.reconnect_and_wait(job, poll_interval_s=0.1, timeout_s=20).job_id, job)


@check("GW9_03")
def S25_delete_leaves_a_tombstone(t):
    jobs = manager(t)
    job, name, row = saved_base(t)
    jobs.delete(job)
    t.assertIn(jobs.get(job)["state"], ("JOB_STATE_ARCHIVED", "JOB_STATE_DELETED"))
    listed = t.backend.http("GET", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs?pageSize=200").json()["rlorTrainerJobs"]
    t.assertNotIn(job, [one["name"].rsplit("/", 1)[1] for one in listed])
    jobs.delete(job)
    answer = t.backend.http("POST", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{job}:cancel", {})
    t.assertEqual(answer.status, 400)
    t.assertIn("cannot cancel job in state", answer.json()["message"])
    t.assertIn(name, [one["name"].rsplit("/", 1)[1] for one in control(t).list_checkpoints(job)])


@check("GW9_12")
def GW9_12_job_list_pages_and_filters(t):
    names = {t.backend.create_job() for _ in range(3)}
    for name in names:
        t.cleanup(t.backend.delete_job, name)
    found, token = set(), ""
    for _ in range(50):
        page = t.backend.http("GET", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs?pageSize=1&pageToken={token}").json()
        found |= {row["name"].rsplit("/", 1)[1] for row in page["rlorTrainerJobs"]}
        t.assertLessEqual(len(page["rlorTrainerJobs"]), 1)
        token = page["nextPageToken"]
        if not token:
            break
    t.assertLessEqual(names, found)


@check("GW7_22", "GW9_05")
def S13_rows_page_and_say_their_kind(t):
    job, client = trainer(t)
    for i in range(3):
        client.save_state(f"state-{i}").result()
    client.save_weights_for_sampler_ext("sampler", checkpoint_type="base")
    rows = control(t).list_checkpoints(job)
    t.assertEqual(len(rows), 4)
    t.assertEqual([row["name"] for row in control(t).list_checkpoints(job, page_size=1)], [row["name"] for row in rows])
    for row in rows:
        t.assertRegex(row["name"], rf"^accounts/{t.backend.account}/rlorTrainerJobs/{job}/checkpoints/[a-z0-9-]+$")
        t.assertRegex(row["createTime"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")
        t.assertRegex(row["updateTime"], r"Z$")
        t.assertIn(row["checkpointType"], ("CHECKPOINT_TYPE_INFERENCE_BASE", "CHECKPOINT_TYPE_TRAINING"))
        t.assertEqual(row["promotable"], row["checkpointType"] == "CHECKPOINT_TYPE_INFERENCE_BASE")
    times = [datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", row["createTime"]).replace("Z", "+00:00"))
             for row in rows]
    t.assertEqual(times, sorted(times))
    bearer = t.backend.http("GET", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{job}/checkpoints?pageSize=200",
                            headers={"X-Api-Key": None, "Authorization": f"Bearer {t.backend.key}"})
    t.assertEqual(len(bearer.json()["checkpoints"]), 4)


@check("GW7_22")
def S13_list_of_an_unknown_job(t):
    with t.assertRaisesRegex(RuntimeError, r"HTTP 404"):
        control(t).list_checkpoints("no-such-job")
    t.assertEqual(control(t).list_checkpoints(t.backend.create_job()), [])


@check("GW7_26", "GW9_06", "GW9_07", "S12")
def S07_promote_by_name(t):
    job, name, row = saved_base(t)
    model_id = unique("by-name")
    with deprecations() as warned:
        model = control(t).promote_checkpoint(name=row["name"], output_model_id=model_id, base_model=t.backend.base_model)
    t.assertEqual(warned, [])
    t.assertEqual(model["name"], f"accounts/{t.backend.account}/models/{model_id}")
    t.assertEqual(model["state"], "READY")
    t.assertEqual(model["kind"], "HF_BASE_MODEL")
    stored = t.backend.http("GET", f"/v1/{model['name']}").json()
    t.assertEqual(stored["state"], "READY")
    base = t.backend.http("GET", f"/v1/{t.backend.base_model}").json()
    # S12: what the base model says of itself, its fine-tuned child says, too.
    for key in ("contextLength", "baseModelDetails"):
        t.assertIn(key, base)
        t.assertEqual(stored.get(key), base[key], key)
    names = [one["name"] for one in t.backend.http("GET", f"/v1/accounts/{t.backend.account}/models").json()["models"]]
    t.assertIn(model["name"], names)


@check("GW7_26")
def S08_pair_form_works_and_warns(t):
    job, name, _ = saved_base(t)
    for call in (lambda model: control(t).promote_checkpoint(job, name, model, t.backend.base_model),
                 lambda model: control(t).promote_checkpoint(job_id=job, checkpoint_id=name, output_model_id=model,
                                                             base_model=t.backend.base_model)):
        with deprecations() as warned:
            t.assertEqual(call(unique("pair"))["state"], "READY")
        t.assertEqual(len(warned), 1, warned)
        t.assertIn("promote_checkpoint(job_id, checkpoint_id, ...)", warned[0])


def S09_hot_load_deployment_id_works_and_warns(t):
    job, name, row = saved_base(t)
    with deprecations() as warned:
        model = control(t).promote_checkpoint(name=row["name"], output_model_id=unique("old"), base_model=t.backend.base_model,
                                              hot_load_deployment_id="dep-of-old")
    t.assertEqual(model["state"], "READY")
    t.assertEqual(len(warned), 1, warned)
    t.assertIn("hot_load_deployment_id", warned[0])


@check("S07")
def S10_promotion_while_the_trainer_does_not_run(t):
    for end in (":cancel", None):
        job, name, row = saved_base(t)
        if end:
            t.backend.http("POST", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{job}{end}", {})
        else:
            t.backend.delete_job(job)
        model = control(t).promote_checkpoint(name=row["name"], output_model_id=unique("stopped"),
                                              base_model=t.backend.base_model)
        t.assertEqual(model["state"], "READY")


def S11_rejected_ids_send_nothing(t):
    job, name, row = saved_base(t)
    try:
        from fireworks.training.sdk import validate_output_model_id
    except ImportError:
        from fireworks.training.sdk.fireworks_client import validate_output_model_id
    t.assertEqual(validate_output_model_id("my-fine-tuned-8b"), [])
    for bad in ("", "Upper", "under_score", "a" * 64, "dot.ted"):
        t.assertTrue(validate_output_model_id(bad))
        with t.assertRaises(ValueError):
            control(t).promote_checkpoint(name=row["name"], output_model_id=bad, base_model=t.backend.base_model)
    # The server checks by itself, and the snapshot stays promotable.
    answer = t.backend.http("POST", f"/v1/accounts/{t.backend.account}/checkpoints/{name}:promote",
                            {"output_model": f"accounts/{t.backend.account}/models/Bad_Id",
                             "trainer_job_id": f"accounts/{t.backend.account}/rlorTrainerJobs/{job}",
                             "base_model": t.backend.base_model})
    t.assertEqual(answer.status, 400)
    t.assertEqual(control(t).promote_checkpoint(name=row["name"], output_model_id=unique("fine"),
                                                base_model=t.backend.base_model)["state"], "READY")


@check("S04", "GW7_06")
def S04_what_cannot_be_promoted(t):
    job, client = trainer(t)
    base = client.save_weights_for_sampler_ext("b", checkpoint_type="base").snapshot_name
    train_a_step(client)
    delta = client.save_weights_for_sampler_ext("d", checkpoint_type="delta").snapshot_name
    client.save_state("state").result()
    prefix = f"accounts/{t.backend.account}/rlorTrainerJobs/{job}/checkpoints/"
    for name in (delta, "state"):
        with t.assertRaises(RuntimeError) as caught:
            control(t).promote_checkpoint(name=prefix + name, output_model_id=unique("no"), base_model=t.backend.base_model)
        t.assertIn("HTTP 400", str(caught.exception))
    with t.assertRaises(RuntimeError) as caught:
        control(t).promote_checkpoint(name=prefix + "none", output_model_id=unique("no"), base_model=t.backend.base_model)
    t.assertIn("HTTP 404", str(caught.exception))
    with t.assertRaises(RuntimeError) as caught:
        control(t).promote_checkpoint(name=prefix + base, output_model_id=unique("no"),
                                      base_model="accounts/fireworks/models/other")
    t.assertIn("HTTP 400", str(caught.exception))
    t.assertEqual(control(t).promote_checkpoint(name=prefix + base, output_model_id=unique("yes"),
                                                base_model=t.backend.base_model)["state"], "READY")


@check("S04")
def S04_lora_is_promoted_as_an_adapter(t):
    job, client = trainer(t, lora_rank=4)
    train_a_step(client)
    name = client.save_weights_for_sampler_ext("lora", checkpoint_type="base").snapshot_name
    model = control(t).promote_checkpoint(name=f"accounts/{t.backend.account}/rlorTrainerJobs/{job}/checkpoints/{name}",
                                          output_model_id=unique("adapter"), base_model=t.backend.base_model)
    t.assertEqual(model["kind"], "HF_PEFT_ADDON")
    t.assertEqual(model["peftDetails"]["baseModel"], t.backend.base_model)
    t.assertEqual(model["peftDetails"]["r"], 4)
    t.assertTrue(model["peftDetails"]["targetModules"])


@check("GW7_25", "GW9_06")
def S07_promotion_is_idempotent(t):
    """The same snapshot to the same model twice is one model; another snapshot to it is refused or replaces it in words."""
    job, name, row = saved_base(t)
    model_id = unique("twice")
    first = control(t).promote_checkpoint(name=row["name"], output_model_id=model_id, base_model=t.backend.base_model)
    again = control(t).promote_checkpoint(name=row["name"], output_model_id=model_id, base_model=t.backend.base_model)
    t.assertEqual((first["name"], first["createTime"]), (again["name"], again["createTime"]))


@check("GW7_24", "GW7_02", faults=[{"route": "POST */checkpoints/*:promote", "nth": 1, "action": "drop-reply"}])
def GW7_25_promotion_whose_reply_is_lost(t):
    job, name, row = saved_base(t)
    model_id = unique("lost")
    with t.assertRaises(httpx.RemoteProtocolError):
        control(t).promote_checkpoint(name=row["name"], output_model_id=model_id, base_model=t.backend.base_model)
    model = control(t).promote_checkpoint(name=row["name"], output_model_id=model_id, base_model=t.backend.base_model)
    t.assertEqual(model["state"], "READY")
    rows = t.backend.http("GET", f"/v1/accounts/{t.backend.account}/models").json()["models"]
    t.assertEqual(len([one for one in rows if one["name"].endswith(model_id)]), 1)


def GW7_26_both_spellings_and_both_answers(t):
    job, name, _ = saved_base(t)
    account = f"accounts/{t.backend.account}"
    snake = {"output_model": f"{account}/models/{unique('snake')}", "trainer_job_id": f"{account}/rlorTrainerJobs/{job}",
             "base_model": t.backend.base_model}
    camel = {"outputModel": f"{account}/models/{unique('camel')}", "trainerJobId": f"{account}/rlorTrainerJobs/{job}",
             "baseModel": t.backend.base_model}
    for body in (snake, camel):
        answer = t.backend.http("POST", f"/v1/{account}/checkpoints/{name}:promote", body)
        t.assertEqual(answer.status, 200, answer)
        t.assertIn("model", answer.json())
    body = {**snake, "output_model": f"{account}/models/{unique('async')}", "async_promotion": True}
    answer = t.backend.http("POST", f"/v1/{account}/checkpoints/{name}:promote", body).json()
    t.assertTrue({"model", "operation"} & set(answer), answer)
    if "operation" in answer:
        operation = t.backend.http("GET", f"/v1/{answer['operation']['name']}").json()
        t.assertIn("done", operation)


@check("FW21_15", versions=["1.2.30"])
def FW21_15_model_is_moe(t):
    client = control(t)
    t.assertIs(client.model_is_moe(t.backend.base_model), False)
    _, _, row = saved_base(t)
    model = client.promote_checkpoint(name=row["name"], output_model_id=unique("moe"), base_model=t.backend.base_model)
    t.assertIs(client.model_is_moe(model["name"]), False)
    with t.assertRaises(Exception) as caught:
        client.model_is_moe(f"accounts/{t.backend.account}/models/none")
    t.assertEqual(caught.exception.status_code, 404)


CERTIFICATES = pathlib.Path(__file__).resolve().parent.parent / "data" / "http"


@check(arguments=["--tls-cert", str(CERTIFICATES / "server.pem"), "--tls-key", str(CERTIFICATES / "server.key")])
def GW7_38_verification_of_certificates(t):
    """Off for addresses, on for names, and the caller's word wins."""
    t.assertTrue(t.backend.url.startswith("https://127.0.0.1:"))
    t.assertEqual(control(t).account_id, t.backend.account)
    named = t.backend.url.replace("127.0.0.1", "localhost")
    strict = sdk.FireworksClient(api_key=t.backend.key, base_url=named)
    with t.assertRaises(httpx.ConnectError):
        strict._sync_client.get(named + "/api/v1/healthz")
    t.assertEqual(sdk.FireworksClient(api_key=t.backend.key, base_url=named, verify_ssl=False).account_id, t.backend.account)


def shape_of(t, lora=False):
    """Name of a shape that the backend offers for its base model."""
    answer = t.backend.http("GET", "/v1/accounts/fireworks/trainingShapes?pageSize=200")
    t.assertEqual(answer.status, 200, answer)
    mode = "LORA_TRAINER" if lora else "POLICY_TRAINER"
    for shape in answer.json()["trainingShapes"]:
        if shape.get("baseModel") == t.backend.base_model and shape.get("trainerMode") == mode:
            return shape["name"]
    raise AssertionError(f"no {mode} shape for {t.backend.base_model} in {answer}")


@check("GW9_02")
def GW7_21_training_profile(t):
    for lora in (False, True):
        name = shape_of(t, lora)
        profile = control(t).resolve_training_profile(name)
        t.assertRegex(profile.training_shape_version, rf"^{name}/versions/[^/]+$")
        t.assertTrue(profile.deployment_shape)
        t.assertGreater(profile.max_supported_context_length, 0)
        t.assertEqual(profile.supports_lora, lora)
        versioned = control(t).resolve_training_profile(profile.training_shape_version)
        t.assertEqual(versioned.training_shape_version, profile.training_shape_version)
    with t.assertRaises(ValueError):
        control(t).resolve_training_profile("bare-id")
    with t.assertRaises(RuntimeError):
        control(t).resolve_training_profile("accounts/fireworks/trainingShapes/no-such-shape")


@check("GW7_13")
def GW7_13_create_by_shape(t):
    jobs = manager(t)
    created = jobs.create(sdk.TrainerJobConfig(base_model=t.backend.base_model, training_shape_ref=shape_of(t)))
    t.cleanup(jobs.delete, created.job_id)
    endpoint = jobs.wait_for_ready(created.job_id, poll_interval_s=0.1, timeout_s=20)
    t.assertTrue(endpoint.base_url)
    t.assertGreater(endpoint.max_context_length, 0)


@check("GW9_11")
def GW9_11_serverless_routes_say_that_they_come_later(t):
    for method, path in (("POST", "/training/v1/serverless/api/v1/create_session"),
                         ("POST", "/training/v1/serverless/inference/v1/completions"),
                         ("GET", f"/v1/accounts/{t.backend.account}/trainingSessions/ts-1/checkpoints"),
                         ("POST", f"/v1/accounts/{t.backend.account}/trainingSessions/ts-1/checkpoints/c:promote")):
        answer = t.backend.http(method, path, {} if method == "POST" else None)
        t.assertEqual(answer.status, 404, f"{method} {path}: {answer}")
        t.assertIn("serverless", answer.json().get("message", answer.json().get("detail", "")).lower())
