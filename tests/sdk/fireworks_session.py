# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting: service client, sessions, the first training client."""

from fireworks.training.sdk import FiretitanServiceClient

from harness.suite import check


@check("TR_C20")
def S19_connect_by_url(t):
    job = t.backend.create_job()
    for suffix in ("", "/"):
        service = FiretitanServiceClient(base_url=t.backend.trainer_url(job) + suffix, api_key=t.backend.key)
        client = service.create_training_client(base_model=t.backend.base_model, lora_rank=0)
        t.assertTrue(client.model_id)
