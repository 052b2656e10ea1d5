# SPDX-License-Identifier: GPL-3.0-or-later
"""The server loses answers, refuses for a while, is killed: the client's run ends as if nothing had happened, or says so."""

import time

import tinker

from harness.suite import check
from harness.tinker import PATTERN, adam, connect, lora, loss_of, now, prompt, step, unload, weighted

DATA = [weighted(PATTERN)]


def fault(route, nth, action, **more):
    return {"route": f"POST /api/v1/{route}", "nth": nth, "action": action, **more}


def trajectory(t):
    client = lora(t, seed=17)
    losses = []
    for _ in range(3):
        losses.append(step(client, DATA).metrics["loss:sum"])
    losses.append(loss_of(client, DATA))
    return client, losses


@check("TR_C01", "TK21_13", faults=[
    fault("create_model", 1, "drop-reply"), fault("forward_backward", 1, "drop-reply"), fault("forward_backward", 3, "drop-reply"),
    fault("optim_step", 2, "drop-reply"), fault("retrieve_future", 2, "drop-reply"), fault("retrieve_future", 5, "drop-reply"),
    fault("create_session", 1, "drop-reply")])
def TR_C03_lost_answers_change_nothing(t):
    """Every kind of answer is lost once; each effect happens once. The second run has no faults left."""
    _, disturbed = trajectory(t)
    _, calm = trajectory(t)
    t.assertEqual(disturbed, calm)


@check("TK21_13", faults=[
    fault("forward_backward", 1, "status", status=503, retry_after=0), fault("forward_backward", 2, "status", status=429, retry_after=0),
    fault("optim_step", 1, "status", status=500), fault("save_weights", 1, "status", status=408),
    fault("retrieve_future", 3, "status", status=503), fault("retrieve_future", 4, "status", status=500),
    fault("forward_backward", 4, "status", status=409)])
def TR_C03_statuses_that_are_tried_again(t):
    client, disturbed = trajectory(t)
    t.assertTrue(client.save_state("after-faults").result(60).path)
    _, calm = trajectory(t)
    t.assertEqual(disturbed, calm)


@check("TR_C05", faults=[fault("forward_backward", 2, "status", status=400)])
def TR_C05_a_number_consumed_by_a_400(t):
    client = lora(t)
    step(client, DATA)
    with t.assertRaises(tinker.BadRequestError):
        client.forward_backward(DATA, "cross_entropy").result()
    before = loss_of(client, DATA)
    step(client, DATA)
    t.assertLess(loss_of(client, DATA), before)


@check(faults=[fault("save_weights", 1, "drop-reply"), fault("save_weights_for_sampler", 1, "drop-reply"),
               fault("load_weights", 1, "drop-reply")])
def TR_C03_lost_answers_of_saves_and_loads(t):
    client = lora(t)
    step(client, DATA)
    expected = loss_of(client, DATA)
    path = client.save_state("lost-answer").result(30).path
    sampler = client.save_weights_for_sampler("lost-answer").result(30).path
    step(client, DATA)
    client.load_state_with_optimizer(path).result(30)
    t.assertEqual(loss_of(client, DATA), expected)
    rows = [row.tinker_path for row in now(connect(t).create_rest_client().list_checkpoints(client.model_id)).checkpoints]
    t.assertEqual(sorted(rows), sorted([path, sampler]))


@check(faults=[fault("session_heartbeat", 1, "status", status=500), fault("telemetry", 1, "drop-reply")])
def X_heartbeat_and_telemetry_that_fail_disturb_nothing(t):
    client, losses = trajectory(t)
    t.assertLess(losses[-1], losses[0])


@check(faults=[fault("forward_backward", 1, "delay", ms=1500), fault("retrieve_future", 2, "delay", ms=1500)])
def X_slow_answers(t):
    begin = time.monotonic()
    _, losses = trajectory(t)
    t.assertLess(losses[-1], losses[0])
    t.assertGreater(time.monotonic() - begin, 2.5)


@check("TK21_12", alone=True)
def TR_C21_killed_while_a_client_polls(t):
    """kill -9 with work queued: the waiting calls end with an error; what was saved is used by a new client."""
    client = lora(t, connect(t))
    step(client, DATA)
    path = client.save_state("newest").result().path
    expected = loss_of(client, DATA)
    heavy = [weighted(list(range(40, 140))) for _ in range(40)]
    futures = [client.forward_backward(heavy, "cross_entropy") for _ in range(12)]
    time.sleep(0.3)
    t.backend.restart(kill=True)
    begin = time.monotonic()
    ends = []  # a fast machine has finished the first ones by then
    for future in futures:
        try:
            future.result(60)
            ends.append(None)
        except Exception as error:  # noqa: BLE001
            t.assertNotIsInstance(error, TimeoutError)
            ends.append(error)
    t.assertIsNotNone(ends[-1])
    t.assertEqual(ends, [end for end in ends if end is None] + [end for end in ends if end is not None])
    t.assertLess(time.monotonic() - begin, 40)
    other = now(connect(t).create_training_client_from_state_with_optimizer(path))
    t.cleanup(unload, t, other.model_id)
    t.assertAlmostEqual(loss_of(other, DATA), expected, delta=1e-5)


@check("TK21_12", alone=True)
def TR_C21_an_orderly_end_is_quick(t):
    """SIGTERM with a long queue: exit within 5 s, saves kept."""
    client = lora(t, connect(t))
    path = client.save_state("kept").result().path
    heavy = [weighted(list(range(40, 140))) for _ in range(60)]
    for _ in range(10):
        client.forward_backward(heavy, "cross_entropy")
    time.sleep(0.3)
    begin = time.monotonic()
    t.backend.stop()
    t.assertLess(time.monotonic() - begin, 5.5)
    t.backend.start()
    t.assertTrue(now(connect(t).create_training_client_from_state(path)).model_id)
