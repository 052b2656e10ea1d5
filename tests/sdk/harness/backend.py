# SPDX-License-Identifier: GPL-3.0-or-later
"""One trainerdesk-local over its own data folder, and plain HTTP to it."""

import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


class Backend:
    """Starts at once. `restart()` keeps data and port, so that clients reconnect."""

    def __init__(self, program=None, *, data=None, threads=1, account="desk-local", faults=None, arguments=()):
        self.program = str(program or os.environ["DESK_LOCAL_PROGRAM"])
        self.owns_data = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="desk-sdk-"))
        self.arguments = ["--threads", str(threads), "--account", account, *arguments]
        self.faults = faults
        self.account = account
        self.port = 0
        self.process = None
        self.start()

    def start(self):
        ready = self.data.parent / f"{self.data.name}.ready"
        ready.unlink(missing_ok=True)
        command = [self.program, "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}", "--ready-file", str(ready),
                   "--log-level", "info", *self.arguments]
        if self.faults is not None:
            command += ["--faults", json.dumps(self.faults)]
        self.log = open(self.data.parent / f"{self.data.name}.log", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log)
        deadline = time.monotonic() + 30
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"trainerdesk-local did not start: {self.log_text()[-2000:]}")
            time.sleep(0.01)
        self.ready = json.loads(ready.read_text())
        self.url = self.ready["url"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.base_model = self.ready["base_model"]
        self.vocab_size = self.ready["vocab_size"]
        self.key = pathlib.Path(self.ready["key_file"]).read_text().strip()
        # The stock tinker client takes only keys with this prefix.
        self.tinker_key = "tml-" + self.key

    def stop(self, kill=False):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError("trainerdesk-local did not end within 10 s of SIGTERM") from None
        finally:
            self.process = None
            self.log.close()

    def restart(self, kill=False, faults=None):
        self.stop(kill)
        self.faults = faults
        self.start()

    def close(self):
        self.stop()
        if self.owns_data:
            shutil.rmtree(self.data, ignore_errors=True)
            for suffix in (".ready", ".log"):
                self.data.with_name(self.data.name + suffix).unlink(missing_ok=True)

    def log_text(self):
        path = self.data.with_name(self.data.name + ".log")
        return path.read_text(errors="replace") if path.exists() else ""

    def http(self, method, path, body=None, headers=None, timeout=60):
        """path: absolute on this origin. body: bytes, or anything that json.dumps takes."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent = {"X-Api-Key": self.key, "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, data=body, method=method,
                                         headers={k: v for k, v in sent.items() if v is not None})
        # Loopback only, so the certificate of a test need not be known.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))
        try:
            with opener.open(request, timeout=timeout) as reply:
                return Answer(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def create_job(self, job_id=None, lora_rank=0, base_model=None):
        """A dedicated trainer job; returns its id."""
        job_id = job_id or f"job-{uuid.uuid4().hex[:8]}"
        answer = self.http("POST", f"/v1/accounts/{self.account}/rlorTrainerJobs?rlorTrainerJobId={job_id}",
                           {"serviceMode": True, "keepAlive": False, "dataset": "",
                            "trainingConfig": {"baseModel": base_model or self.base_model, "loraRank": lora_rank,
                                               "learningRate": 1e-05, "maxContextLength": 128}})
        if answer.status != 200:
            raise AssertionError(f"job was not created: {answer}")
        return job_id

    def delete_job(self, job_id):
        return self.http("DELETE", f"/v1/accounts/{self.account}/rlorTrainerJobs/{job_id}")

    def trainer_url(self, job_id):
        return f"{self.url}/training/v1/rlorTrainerJobs/{self.account}/{job_id}"

    def trainer(self, job_id, method, call, body=None, headers=None, timeout=60):
        return self.http(method, f"/training/v1/rlorTrainerJobs/{self.account}/{job_id}/api/v1/{call}", body, headers, timeout)
