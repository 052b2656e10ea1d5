# SPDX-License-Identifier: GPL-3.0-or-later
"""Train states: save, load, list, other jobs, expiry."""

import time

from harness.fireworks import (AdamParams, RequestFailedError, datums, loss_of, service, train_a_step, trainer)
from harness.suite import check


def steps_after(client, count=2):
    losses = []
    for _ in range(count):
        losses.append(client.forward_backward(datums(), "cross_entropy").result().metrics["loss:sum"])
        client.optim_step(AdamParams(learning_rate=1e-3)).result()
    losses.append(loss_of(client))
    return losses


@check("TR_C14")
def S16_load_with_optimizer_reproduces_the_next_losses(t):
    job, client = trainer(t)
    for _ in range(2):
        train_a_step(client)
    client.save_state("exact").result()
    wanted = steps_after(client)
    client.load_state_with_optimizer("exact").result()
    t.assertEqual(steps_after(client), wanted)
    # And in a client of another session.
    other = service(t, job).create_training_client(base_model=t.backend.base_model, lora_rank=0)
    other.load_state_with_optimizer("exact").result()
    t.assertEqual(steps_after(other), wanted)


@check("TR_C14")
def S16_load_state_resets_the_optimizer(t):
    _, client = trainer(t)
    for _ in range(3):
        train_a_step(client)
    client.save_state("plain").result()
    here = loss_of(client)
    with_optimizer = steps_after(client)
    client.load_state("plain").result()
    t.assertEqual(loss_of(client), here)
    fresh = steps_after(client)
    t.assertEqual(fresh[0], with_optimizer[0])
    t.assertNotEqual(fresh[1], with_optimizer[1])
    # A fresh Adam: the same steps again from the same weights give the same losses.
    client.load_state("plain").result()
    t.assertEqual(steps_after(client), fresh)


def S16_lora_state(t):
    _, client = trainer(t, lora_rank=8, seed=5)
    train_a_step(client, lr=5e-3)
    client.save_state("lora").result()
    wanted = steps_after(client)
    client.load_state_with_optimizer("lora").result()
    t.assertEqual(steps_after(client), wanted)


def S16_loading_drops_pending_gradients(t):
    _, client = trainer(t)
    client.save_state("clean").result()
    client.forward_backward(datums(), "cross_entropy").result()
    client.load_state_with_optimizer("clean").result()
    before = loss_of(client)
    client.optim_step(AdamParams(learning_rate=1e-2)).result()
    t.assertEqual(loss_of(client), before)


@check("S16", "TR_C13", versions=["1.2.30"])
def FW21_03_load_saved_path(t):
    """The result of save_state is a reference that load_state takes, for every DNS label."""
    _, client = trainer(t)
    for name in ("a", "step-4", "0", "9-x", "a" * 63):
        path = client.save_state(name).result().path
        t.assertEqual(path, name)
        t.assertEqual(client.load_state(path).result().path or path, name)
        client.load_state_with_optimizer(path).result()


@check("S16", versions=["1.2.30"])
def S16_underscores_are_saved_and_refused_by_this_client(t):
    _, client = trainer(t)
    client.save_state("train_state_step_100").result()
    t.assertIn("train_state_step_100", client.list_checkpoints())
    for load in (client.load_state, client.load_state_with_optimizer):
        with t.assertRaisesRegex(ValueError, "DNS label"):
            load("train_state_step_100")


@check(versions=["1.2.3"])
def S16_underscores_as_the_page_prints_them(t):
    _, client = trainer(t)
    train_a_step(client)
    client.save_state("train_state_step_100").result()
    here = loss_of(client)
    train_a_step(client)
    client.load_state_with_optimizer("train_state_step_100").result()
    t.assertEqual(loss_of(client), here)


@check(versions=["1.2.3"])
def S16_names_of_every_letter(t):
    _, client = trainer(t)
    for name in ("A.b_c-1", "step.0001"):
        client.save_state(name).result()
        client.load_state(name).result()
    for name in ("a/b", "..", "a b", ""):
        with t.assertRaises(Exception, msg=name):
            client.save_state(name).result()


def S16_a_name_twice_is_the_newer_state(t):
    _, client = trainer(t)
    client.save_state("twice").result()
    train_a_step(client)
    here = loss_of(client)
    client.save_state("twice").result()
    train_a_step(client)
    client.load_state("twice").result()
    t.assertEqual(loss_of(client), here)
    t.assertEqual(client.list_checkpoints().count("twice"), 1)


@check("TR_C13")
def S18_list_checkpoints(t):
    _, client = trainer(t)
    t.assertEqual(client.list_checkpoints(), [])
    for name in ("step-4", "step-2"):
        client.save_state(name).result()
    client.save_weights_for_sampler_ext("not-a-state", checkpoint_type="base")
    t.assertEqual(client.list_checkpoints(), ["step-2", "step-4"])


def TR_C13_list_over_the_wire(t):
    job, client = trainer(t)
    answer = t.backend.trainer(job, "GET", "list_checkpoints")
    t.assertEqual(answer.json(), {"checkpoints": []})
    t.assertTrue(answer.headers["Content-Type"].startswith("application/json"))


@check("FW21_04")
def S17_resolve_and_load_of_another_job(t):
    source, client = trainer(t)
    train_a_step(client)
    client.save_state("step-4").result()
    here = loss_of(client)
    wanted = steps_after(client)
    reference = client.resolve_checkpoint_path("step-4", source_job_id=source)
    t.assertEqual(reference, f"cross_job://{source}/step-4")
    t.assertEqual(client.resolve_checkpoint_path("step-4"), "step-4")
    _, other = trainer(t)
    other.load_state_with_optimizer(reference).result()
    t.assertEqual(loss_of(other), here)
    t.assertEqual(steps_after(other), wanted)
    for end in ("cancel", "delete"):
        if end == "cancel":
            t.backend.http("POST", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{source}:cancel", {})
        else:
            t.backend.delete_job(source)
        _, next_one = trainer(t)
        next_one.load_state_with_optimizer(reference).result()
        t.assertEqual(loss_of(next_one), here, end)


@check("S17")
def TR_C15_unknown_references_fail_promptly(t):
    job, client = trainer(t)
    started = time.monotonic()
    for reference in ("no-such-state", "cross_job://no-such-job/step-4", f"cross_job://{job}/no-such-state"):
        with t.assertRaises(RequestFailedError, msg=reference) as caught:
            client.load_state_with_optimizer(reference).result()
        t.assertEqual(str(caught.exception.category.value).lower(), "user")
        t.assertRegex(str(caught.exception), "no-such")
    t.assertLess(time.monotonic() - started, 5)
    t.assertGreater(loss_of(client), 0)


def S17_other_rank_is_refused(t):
    source, full = trainer(t)
    full.save_state("full").result()
    _, lora = trainer(t, lora_rank=4)
    with t.assertRaises(RequestFailedError) as caught:
        lora.load_state(f"cross_job://{source}/full").result()
    t.assertEqual(str(caught.exception.category.value).lower(), "user")
    t.assertRegex(str(caught.exception), "rank|full")


@check(versions=["1.2.3"])
def S17_absolute_paths_are_refused_by_the_server(t):
    _, client = trainer(t)
    for path in ("/etc/passwd", "gs://bucket/state", "tinker://nobody/weights/x"):
        with t.assertRaises(RequestFailedError, msg=path) as caught:
            client.load_state(path).result()
        t.assertEqual(str(caught.exception.category.value).lower(), "user")


@check("FW21_18", versions=["1.2.30"])
def S06_ttl_is_refused_by_this_client(t):
    _, client = trainer(t)
    with t.assertRaises(NotImplementedError):
        client.save_state("brief", ttl_seconds=3600)
    for save in (client.save_weights_for_sampler_ext, client.save_weights_for_sampler):
        with t.assertRaises(NotImplementedError):
            save("brief", ttl_seconds=3600)
    t.assertEqual(client.list_checkpoints(), [])


@check("FW21_18", versions=["1.2.3"])
def S06_ttl_expires_rows_and_files(t):
    job, client = trainer(t)
    client.save_state("brief", ttl_seconds=1).result()
    client.save_state("long", ttl_seconds=3600).result()
    brief = client.save_weights_for_sampler_ext("brief", checkpoint_type="base", ttl_seconds=1).snapshot_name
    expires = {row["name"].rsplit("/", 1)[1]: row for row in
               t.backend.http("GET", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{job}/checkpoints").json()["checkpoints"]}
    t.assertTrue([key for key in expires["long"] if "expire" in key.lower()], expires["long"])

    def rows():
        answer = t.backend.http("GET", f"/v1/accounts/{t.backend.account}/rlorTrainerJobs/{job}/checkpoints").json()
        return {row["name"].rsplit("/", 1)[1] for row in answer["checkpoints"]}

    deadline = time.monotonic() + 20
    while rows() != {"long"} and time.monotonic() < deadline:
        time.sleep(0.2)
    t.assertEqual(rows(), {"long"})
    t.assertEqual(client.list_checkpoints(), ["long"])
    with t.assertRaises(RequestFailedError):
        client.load_state("brief").result()
    answer = t.backend.http("POST", f"/v1/accounts/{t.backend.account}/checkpoints/{brief}:promote",
                            {"output_model": f"accounts/{t.backend.account}/models/from-expired",
                             "trainer_job_id": f"accounts/{t.backend.account}/rlorTrainerJobs/{job}",
                             "base_model": t.backend.base_model})
    t.assertIn(answer.status, (400, 404))
    deadline = time.monotonic() + 20
    while any("brief" in str(path) for path in t.backend.data.rglob("*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    t.assertFalse([str(path) for path in t.backend.data.rglob("*") if "brief" in str(path)])


@check("TR_C21", "S16", alone=True)
def TR_C21_restart_in_the_middle(t):
    """A live model dies with the process: its client hears so at once; the saved state continues in a new one."""
    job, client = trainer(t)
    train_a_step(client)
    client.save_state("before").result()
    here = loss_of(client)
    wanted = steps_after(client)
    pending = client.forward_backward(datums(64, 48), "cross_entropy")
    t.backend.restart(kill=True)
    started = time.monotonic()
    with t.assertRaises(Exception):
        pending.result(timeout=60)
    with t.assertRaises(Exception) as caught:
        client.forward(datums(), "cross_entropy").result(timeout=60)
    t.assertLess(time.monotonic() - started, 60)
    again = service(t, job).create_training_client(base_model=t.backend.base_model, lora_rank=0)
    t.assertEqual(again.list_checkpoints(), ["before"])
    again.load_state_with_optimizer("before").result()
    t.assertEqual(loss_of(again), here)
    t.assertEqual(steps_after(again), wanted)
    if t.version == "1.2.3":
        t.assertIn("before", str(caught.exception) + str(caught.exception.__cause__))


@check("S16", alone=True)
def S16_states_survive_an_orderly_restart(t):
    job, client = trainer(t)
    train_a_step(client)
    client.save_state("kept").result()
    here = loss_of(client)
    t.backend.restart()
    again = service(t, job).create_training_client(base_model=t.backend.base_model, lora_rank=0)
    again.load_state("kept").result()
    t.assertEqual(loss_of(again), here)
