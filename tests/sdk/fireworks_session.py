# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting: service client, sessions, models, keys."""

from harness.fireworks import APIStatusError, AdamParams, RequestFailedError, datums, loss_of, sdk, service, trainer
from harness.suite import check


@check("TR_C20")
def S19_connect_by_url(t):
    job = t.backend.create_job()
    for suffix in ("", "/"):
        client = sdk.FiretitanServiceClient(base_url=t.backend.trainer_url(job) + suffix, api_key=t.backend.key)
        training = client.create_training_client(base_model=t.backend.base_model, lora_rank=0)
        t.assertTrue(training.model_id)
        t.assertNotRegex(training.model_id, r"^run-.*:train:")


@check("S19")
def TR_C20_root_and_prefix(t):
    """The root of the origin is a trainer, too."""
    client = sdk.FiretitanServiceClient(base_url=t.backend.url, api_key=t.backend.key)
    training = client.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    t.assertGreater(loss_of(training), 0)


def S19_unknown_job_is_not_found(t):
    with t.assertRaises(APIStatusError) as caught:
        service(t, "no-such-job")
    t.assertEqual(caught.exception.status_code, 404)
    t.assertIn("no-such-job", str(caught.exception))


@check("GW7_07")
def S19_wrong_key(t):
    with t.assertRaises(APIStatusError) as caught:
        sdk.FiretitanServiceClient(base_url=t.backend.trainer_url(t.backend.create_job()), api_key="wrong")
    t.assertEqual(caught.exception.status_code, 401)


@check("S19")
def TR_C19_key_with_tml_prefix(t):
    """Such a key makes the client fetch its configuration from the server."""
    job = t.backend.create_job()
    client = sdk.FiretitanServiceClient(base_url=t.backend.trainer_url(job), api_key=t.backend.tinker_key)
    t.assertTrue(client.create_training_client(base_model=t.backend.base_model, lora_rank=0).model_id)


@check("TR_C19")
def GW9_04_healthz_with_either_key_header(t):
    job = t.backend.create_job()
    for headers in ({"X-Api-Key": None, "Authorization": f"Bearer {t.backend.key}"}, {}):
        t.assertEqual(t.backend.trainer(job, "GET", "healthz", headers=headers).status, 200)
    t.assertEqual(t.backend.trainer("no-such-job", "GET", "healthz").status, 404)


@check("TR_C18")
def S20_second_client_with_the_same_pair(t):
    job = t.backend.create_job()
    client = service(t, job)
    first = client.create_training_client(base_model=t.backend.base_model, lora_rank=0, user_metadata={"run": "a"})
    with t.assertRaisesRegex(ValueError, "already exists"):
        client.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    t.assertGreater(loss_of(first), 0)
    second = service(t, job).create_training_client(base_model=t.backend.base_model, lora_rank=0)
    t.assertNotEqual(first.model_id, second.model_id)


def S20_base_model_that_is_not_the_jobs(t):
    job = t.backend.create_job()
    with t.assertRaises((RequestFailedError, APIStatusError)) as caught:
        service(t, job).create_training_client(base_model="accounts/fireworks/models/other", lora_rank=0)
    t.assertIn("accounts/fireworks/models/other", str(caught.exception))


@check("TR_C18")
def S20_lora_rank_that_is_not_the_jobs(t):
    """The rank of a job is its capacity: a larger one and full parameters are refused, a smaller one is served."""
    job = t.backend.create_job(lora_rank=8)
    t.cleanup(t.backend.delete_job, job)
    for rank in (16, 0):
        with t.assertRaises((RequestFailedError, APIStatusError), msg=rank) as caught:
            service(t, job).create_training_client(base_model=t.backend.base_model, lora_rank=rank)
        t.assertRegex(str(caught.exception), "rank|parameter")
    small = service(t, job).create_training_client(base_model=t.backend.base_model, lora_rank=4)
    t.assertEqual(small.get_info().lora_rank, 4)


def TR_C18_rank_zero_is_full_parameter(t):
    _, full = trainer(t)
    t.assertFalse(full.get_info().is_lora)
    _, lora = trainer(t, lora_rank=4)
    info = lora.get_info()
    t.assertTrue(info.is_lora)
    t.assertEqual(info.lora_rank, 4)
    t.assertEqual(info.model_data.model_name, t.backend.base_model)


def TR_C18_alpha_is_honored(t):
    """LoRA starts at B = 0, so alpha shows in the first step: the same step with twice alpha moves the loss further."""
    after = {}
    for alpha in (8, 32):
        _, client = trainer(t, lora_rank=4, lora_alpha=alpha, seed=1)
        before = loss_of(client)
        client.forward_backward(datums(), "cross_entropy").result()
        client.optim_step(AdamParams(learning_rate=1e-3)).result()
        after[alpha] = before - loss_of(client)
    t.assertGreater(after[8], 0)
    t.assertGreater(after[32], after[8])


@check("FW21_12", versions=["1.2.30"])
def FW21_12_capabilities_are_optional(t):
    job = t.backend.create_job()
    client = service(t, job)
    training = client.create_training_client(base_model=t.backend.base_model, lora_rank=0)
    t.assertIn(training.comms, ("v1", "v2"))
    t.assertFalse(training.supports_rdma_weight_sync)


@check("FW21_17", versions=["1.2.30"])
def FW21_17_rdma_is_never_advertised(t):
    job, _ = trainer(t)
    session = t.backend.trainer(job, "POST", "create_session", {"tags": [], "user_metadata": {}, "sdk_version": "0.23.0",
                                                                "type": "create_session"}).json()["session_id"]
    envelope = t.backend.trainer(job, "POST", "create_model",
                                 {"session_id": session, "model_seq_id": 0, "base_model": t.backend.base_model,
                                  "lora_config": {"rank": 0}, "type": "create_model"}).json()
    result = t.backend.trainer(job, "POST", "retrieve_future", {"request_id": envelope["request_id"]}).json()
    t.assertFalse([key for key in result if "rdma" in key], result)
    # The only request that carries a key in its body.
    secret = "secret-of-hotload-headers"
    t.backend.trainer(job, "POST", "weight_sync",
                      {"protocol_version": 1, "transport": "RDMA", "hotload_headers": {"X-Api-Key": secret}, "model_id": "m",
                       "seq_id": 1})
    t.assertNotIn(secret, t.backend.log_text())


def TR_C12_telemetry(t):
    """200 for running, stopped, deleted and unknown trainers; keys inside events are never kept."""
    running = t.backend.create_job()
    deleted = t.backend.create_job()
    t.backend.http("DELETE", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{deleted}")
    secret = "key-inside-an-event"
    event = {"events": [{"event": "GENERIC_EVENT", "event_id": "1", "event_session_index": 0, "severity": "ERROR",
                         "timestamp": "2026-01-02T03:04:05.678901Z", "event_name": "x",
                         "event_data": {"request_headers": {"x-api-key": secret}}}],
             "platform": "Linux", "sdk_version": "0.23.0", "session_id": "s"}
    for job in (running, deleted, "never-was"):
        answer = t.backend.trainer(job, "POST", "telemetry", event)
        t.assertEqual((answer.status, answer.json()), (200, {"status": "accepted"}), job)
    t.assertNotIn(secret, t.backend.log_text())
    for path in t.backend.data.rglob("*"):
        if path.is_file():
            t.assertNotIn(secret.encode(), path.read_bytes(), path)


@check("TR_C12")
def FW21_05_telemetry_of_a_cancelled_job(t):
    job, client = trainer(t)
    t.assertGreater(loss_of(client), 0)
    t.assertEqual(t.backend.http("POST", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{job}:cancel", {}).status, 200)
    t.assertEqual(t.backend.trainer(job, "POST", "telemetry", {"events": [], "platform": "Linux", "sdk_version": "x",
                                                              "session_id": "s"}).status, 200)


def S20_get_server_capabilities(t):
    job = t.backend.create_job()
    names = [model.model_name for model in service(t, job).get_server_capabilities().supported_models]
    t.assertIn(t.backend.base_model, names)


def S20_unload_model(t):
    job, client = trainer(t)
    model = client.model_id
    if t.version == "1.2.30":
        t.assertEqual(client.unload_model().result().model_id, model)
        with t.assertRaisesRegex(Exception, "unload"):
            client.forward(datums(), "cross_entropy").result()
    else:
        envelope = t.backend.trainer(job, "POST", "unload_model", {"model_id": model, "type": "unload_model"}).json()
        result = t.backend.trainer(job, "POST", "retrieve_future", {"request_id": envelope["request_id"]}).json()
        t.assertEqual(result["model_id"], model)
    t.assertEqual(t.backend.trainer(job, "POST", "get_info", {"model_id": model, "type": "get_info"}).status, 404)
