# SPDX-License-Identifier: GPL-3.0-or-later
"""Every status that the documents list comes with a body that says what happened."""

import json

from harness.suite import check
from harness.wire import Connection, Refused, Wire, json_datum

STATUSES = [400, 401, 402, 403, 404, 408, 409, 410, 413, 422, 425, 429, 500, 502, 503, 504]


@check("TR_C11", faults=[{"route": "POST /api/v1/optim_step", "nth": index + 1, "action": "status", "status": status,
                          **({"retry_after": 2} if status in (429, 503) else {})} for index, status in enumerate(STATUSES)])
def TR_C11_planned_statuses_have_bodies(t):
    for status in STATUSES:
        answer = t.backend.http("POST", "/api/v1/optim_step", {"model_id": "m", "seq_id": 1})
        t.assertEqual(answer.status, status)
        body = answer.json()
        t.assertTrue(body.get("detail") or body.get("error") or body.get("message"), body)
        t.assertTrue(answer.headers["Content-Type"].startswith("application/json"))
        t.assertEqual(answer.headers.get("Retry-After"), "2" if status in (429, 503) else None)


def TR_C11_statuses_of_the_server_itself(t):
    """Produced without planned faults, each by what a client really does."""
    seen = {}

    def note(name, answer):
        seen[name] = answer.status
        body = answer.json()
        t.assertTrue(body.get("detail") or body.get("error") or body.get("message"), f"{name} {body}")
        t.assertGreater(len(answer.body), 10, name)

    http = t.backend.http
    account = f"/v1/accounts/{t.backend.account}"
    note("400", http("POST", "/api/v1/create_session", b"{"))
    note("401", http("GET", "/api/v1/get_server_capabilities", headers={"X-Api-Key": "wrong"}))
    note("401 without", http("GET", account + "/rlorTrainerJobs", headers={"X-Api-Key": None}))
    note("404 route", http("GET", "/api/v1/nothing"))
    note("404 future", http("POST", "/api/v1/retrieve_future", {"request_id": "nobody"}))
    note("404 job", http("GET", account + "/rlorTrainerJobs/nobody"))
    note("404 run", http("GET", "/api/v1/training_runs/nobody:train:0"))
    note("405", http("DELETE", "/api/v1/create_session"))
    job = t.backend.create_job()
    note("409", http("POST", f"{account}/rlorTrainerJobs?rlorTrainerJobId={job}",
                     {"serviceMode": True, "trainingConfig": {"baseModel": t.backend.base_model, "loraRank": 0}}))
    expected = {"400": 400, "401": 401, "401 without": 401, "404 route": 404, "404 future": 404, "404 job": 404, "404 run": 404,
                "405": 405, "409": 409}
    t.assertEqual(seen, expected)


def TR_C11_an_error_never_closes_a_good_connection(t):
    peer = Connection(t.backend)
    t.cleanup(peer.close)
    for _ in range(5):
        peer.request("POST", "/api/v1/retrieve_future", {"request_id": "nobody"})
        status, _, body = peer.answer()
        t.assertEqual(status, 404)
        t.assertTrue(json.loads(body))
        peer.request("GET", "/api/v1/healthz")
        t.assertEqual(peer.answer()[0], 200)


def TR_C11_messages_hold_no_key(t):
    wire = Wire(t.backend)
    texts = []
    for call, body in (("create_model", {"session_id": t.backend.key}), ("retrieve_future", {"request_id": "x"}), ("forward", b"{"),
                       ("create_sampling_session", {"model_path": "x"})):
        texts.append(wire.post(call, body).body.decode())
    # What the client itself sent as a name may come back; the key in the header never does.
    t.assertFalse([text for text in texts[1:] if t.backend.key in text])
    t.assertNotIn(t.backend.key, t.backend.log_text())
