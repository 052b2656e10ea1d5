# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost replies, refusals that pass, slow answers: the session ends with the same weights as an undisturbed one."""

import time

import httpx

from harness.fireworks import (AdamParams, APIStatusError, RequestFailedError, control, datums, loss_of, manager, sdk, service,
                               trainer, train_a_step)
from harness.suite import check


def walk(t):
    """One of everything; returns what an undisturbed run gives, too."""
    job, client = trainer(t)
    client.forward(datums(), "cross_entropy").result()
    for _ in range(2):
        client.forward_backward(datums(), "cross_entropy").result()
        client.optim_step(AdamParams(learning_rate=1e-3)).result()
    client.save_state("state").result()
    saved = client.save_weights_for_sampler_ext("sampler", checkpoint_type="base").snapshot_name
    train_a_step(client)
    client.load_state_with_optimizer("state").result()
    train_a_step(client)
    rows = [row["name"].rsplit("/", 1)[1] for row in control(t).list_checkpoints(job)]
    return {"loss": loss_of(client), "states": client.list_checkpoints(), "rows": sorted(rows) == sorted(["state", saved])}


def undisturbed(t):
    kept = getattr(undisturbed, "kept", None)
    if kept is None:
        from harness.backend import Backend
        server = Backend()
        shared = t.backend
        try:
            t.backend = server
            kept = undisturbed.kept = walk(t)
        finally:
            t.stack.pop_all().close()
            t.backend = shared
            server.close()
    return kept


def same_as_undisturbed(t):
    wanted = undisturbed(t)
    t.assertTrue(wanted["rows"])
    t.assertEqual(walk(t), wanted)


def lost(call):
    return {"route": f"POST */api/v1/{call}", "nth": 1, "action": "drop-reply"}


def refused(call, status, **named):
    return {"route": f"POST */api/v1/{call}", "nth": 1, "action": "status", "status": status, **named}


@check("TR_C03", faults=[lost("create_session"), lost("create_model")])
def TR_C03_lost_replies_of_creation(t):
    same_as_undisturbed(t)


@check("TR_C03", faults=[lost("forward"), lost("forward_backward"), lost("optim_step")])
def TR_C03_lost_replies_of_training(t):
    same_as_undisturbed(t)


@check("TR_C03", faults=[lost("save_weights"), lost("load_weights"), lost("save_weights_for_sampler")])
def TR_C03_lost_replies_of_checkpoints(t):
    same_as_undisturbed(t)


@check("TR_C01", faults=[{"route": "POST */api/v1/retrieve_future", "nth": nth, "action": "drop-reply"} for nth in (1, 3, 5)])
def TR_C01_lost_deliveries_are_delivered_again(t):
    same_as_undisturbed(t)


@check(faults=[refused(call, 503) for call in ("create_session", "create_model", "forward", "forward_backward", "optim_step",
                                              "save_weights", "load_weights", "save_weights_for_sampler", "retrieve_future")])
def X_503_once_on_every_call(t):
    same_as_undisturbed(t)


@check(faults=[refused("forward_backward", 429, retry_after=1), refused("optim_step", 408), refused("forward", 500),
               refused("retrieve_future", 408)])
def X_429_408_and_500_once(t):
    same_as_undisturbed(t)


@check(faults=[refused("forward_backward", 402)])
def X_402_waits_and_goes_on(t):
    started = time.monotonic()
    same_as_undisturbed(t)
    t.assertGreater(time.monotonic() - started, 5)


@check("FW21_09", faults=[{"route": "POST */api/v1/forward_backward", "nth": 1, "action": "delay", "ms": 800}])
def FW21_09_a_slow_answer_delays_the_barrier_only(t):
    same_as_undisturbed(t)


@check(faults=[{"route": "POST */api/v1/session_heartbeat", "action": "status", "status": 500}])
def X_heartbeats_may_fail(t):
    same_as_undisturbed(t)


@check(faults=[{"route": "POST */api/v1/forward_backward", "nth": 1, "action": "status", "status": 400}],
       versions=["1.2.30"])
def FW21_01_what_a_refused_submit_does_to_this_client(t):
    """Why the backend never refuses a submit: the client is dead afterwards, and only a new service helps."""
    job, client = trainer(t)
    with t.assertRaises(APIStatusError):
        client.forward_backward(datums(), "cross_entropy").result()
    with t.assertRaisesRegex(RuntimeError, "Training request sequence failed"):
        client.optim_step(AdamParams()).result()
    again = service(t, job).create_training_client(base_model=t.backend.base_model, lora_rank=0)
    t.assertGreater(loss_of(again), 0)


@check(faults=[{"route": "POST */api/v1/retrieve_future", "nth": 3, "action": "status", "status": 410}])
def X_410_of_a_future_is_an_error_at_once(t):
    _, client = trainer(t)
    started = time.monotonic()
    with t.assertRaises(Exception):
        for _ in range(6):
            client.forward(datums(), "cross_entropy").result()
    t.assertLess(time.monotonic() - started, 10)


@check(faults=[{"route": "GET */rlorTrainerJobs/*", "nth": 1, "action": "status", "status": 503},
               {"route": "GET /v1/accounts", "nth": 1, "action": "status", "status": 429}])
def GW7_01_transient_refusals_of_the_control_plane(t):
    jobs = manager(t)
    endpoint = jobs.create_and_wait(sdk.TrainerJobConfig(base_model=t.backend.base_model), poll_interval_s=0.1, timeout_s=30)
    t.assertTrue(endpoint.base_url)


@check("GW7_01", faults=[{"route": "GET */checkpoints", "nth": 1, "action": "status", "status": 425}])
def GW7_01_425_is_not_repeated(t):
    job, _ = trainer(t)
    with t.assertRaises(RuntimeError) as caught:
        control(t).list_checkpoints(job)
    t.assertIn("425", str(caught.exception))
    t.assertEqual(control(t).list_checkpoints(job), [])


@check("GW7_17", faults=[{"route": "POST */rlorTrainerJobs", "nth": 1, "action": "status", "status": 403}])
def GW7_17_403_of_a_create(t):
    with t.assertRaises(RuntimeError) as caught:
        manager(t).create(sdk.TrainerJobConfig(base_model=t.backend.base_model))
    t.assertIn("HTTP 403", str(caught.exception))


@check("GW7_35", faults=[{"route": "POST /hot_load/*", "nth": 1, "action": "status", "status": 503}])
def GW7_34_hot_load_again_after_503(t):
    from harness.fireworks import running_deployment
    job, client = trainer(t)
    deploy, name = running_deployment(t, job)
    saved = client.save_weights_for_sampler_ext("x", checkpoint_type="base").snapshot_name
    t.assertTrue(deploy.hotload_and_wait(name, t.backend.base_model, saved, timeout_seconds=30))


@check(arguments=["--max-body", "1"])
def X_413_says_the_limit(t):
    _, client = trainer(t)
    answer = t.backend.http("POST", "/api/v1/telemetry", b" " * (2 * 1024 * 1024))
    t.assertEqual(answer.status, 413, answer)
    t.assertTrue(answer.json())
    t.assertGreater(loss_of(client), 0)


@check("S16", alone=True)
def X_acknowledged_saves_survive_a_kill(t):
    """What a result has confirmed is there after kill -9: states, sampler snapshots, promotions, deployments."""
    job, client = trainer(t)
    train_a_step(client)
    client.save_state("state").result()
    saved = client.save_weights_for_sampler_ext("sampler", checkpoint_type="base").snapshot_name
    t.backend.restart(kill=True)
    rows = {row["name"].rsplit("/", 1)[1] for row in control(t).list_checkpoints(job)}
    t.assertEqual(rows, {"state", saved})
    name = f"accounts/{t.backend.account}/rlorTrainerJobs/{job}/checkpoints/{saved}"
    model = control(t).promote_checkpoint(name=name, output_model_id="after-kill", base_model=t.backend.base_model)
    t.backend.restart(kill=True)
    t.assertEqual(t.backend.http("GET", f"/v1/{model['name']}").json()["state"], "READY")


@check(alone=True)
def X_control_plane_calls_ride_out_a_restart(t):
    """A client whose backend is away for a moment connects again by itself."""
    import threading
    jobs = manager(t)
    job, _ = trainer(t)
    t.backend.stop()
    timer = threading.Timer(1.5, t.backend.start)
    timer.start()
    try:
        t.assertEqual(jobs.get(job)["name"].rsplit("/", 1)[1], job)
    finally:
        timer.join()
    with t.assertRaises((RequestFailedError, ValueError, APIStatusError, RuntimeError, httpx.HTTPError)):
        client = service(t, "no-such-job")
        client.create_training_client(base_model=t.backend.base_model)
