#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records a session of an SDK against trainerdesk-local as a transcript of requests.

    record.py NAME --cache DIR --local PROGRAM [--python PROGRAM] [-o FILE]

A proxy stands between SDK and backend; harness/transcript.py says what is kept. Recorded again only when an SDK version is
added or the session script changes; replay.py compares every build with the kept file.
"""

import argparse
import http.client
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from harness import environments, transcript  # noqa: E402
from harness.backend import Backend  # noqa: E402


class Recorder:
    def __init__(self, backend):
        self.backend, self.lock, self.entries = backend, threading.Lock(), []
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                entry = {"method": self.command, "path": self.path, "headers": list(self.headers.items()), "bytes": body}
                with recorder.lock:
                    recorder.entries.append(entry)
                link = http.client.HTTPConnection("127.0.0.1", recorder.backend.port, timeout=120)
                sent = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
                link.request(self.command, self.path, body or None, sent)
                answer = link.getresponse()
                data = answer.read()
                link.close()
                entry.update(status=answer.status, type=answer.getheader("Content-Type") or "", answer=data)
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("transfer-encoding", "content-length", "connection", "keep-alive"):
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def lines(self):
        kept, sets, seen = [], [], set()
        for entry in self.entries:
            if "status" not in entry:
                continue
            name = entry["path"].split("?")[0].rsplit("/", 1)[-1]
            # Timers of the client: once is enough. A poll without a result says nothing.
            if name in ("session_heartbeat", "telemetry"):
                if name in seen:
                    continue
                seen.add(name)
            if name == "retrieve_future" and b'"try_again"' in entry["answer"]:
                continue
            # Nor does a look at a load that is under way.
            if name == "hot_load" and b'"readiness":false' in entry["answer"]:
                continue
            headers = [[key, value] for key, value in entry["headers"] if key.lower() not in transcript.DROPPED_HEADERS]
            secrets = [key.lower() for key, _ in entry["headers"] if key.lower() in ("x-api-key", "authorization")]
            headers.append(["$key", " ".join(sorted(secrets))])
            if headers not in sets:
                sets.append(headers)
            line = {"method": entry["method"], "path": entry["path"], "headers": sets.index(headers)}
            body = entry["bytes"]
            if body:
                transcript.encode_body(line, body)
            line["status"], line["type"] = entry["status"], entry["type"].split(";")[0]
            if line["type"] == "application/json" and entry["answer"]:
                ids = transcript.ids_of(json.loads(entry["answer"]))
                if ids:
                    line["ids"] = ids
            line["expect"] = transcript.expect_of(entry["type"], entry["answer"])
            kept.append(line)
        return sets, kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(environments.ENVIRONMENTS))
    parser.add_argument("--cache", default="build/sdk-env")
    parser.add_argument("--local", required=True)
    parser.add_argument("--python")
    parser.add_argument("-o")
    arguments = parser.parse_args()
    family, version, _ = environments.ENVIRONMENTS[arguments.name]
    target = pathlib.Path(arguments.o or FOLDER.parent / "data" / "sdk" / f"{arguments.name}.jsonl")
    backend = Backend(pathlib.Path(arguments.local).resolve())
    try:
        recorder = Recorder(backend)
        python = arguments.python or environments.python_of(arguments.cache, arguments.name)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        subprocess.run([str(python), str(FOLDER / "recorded_sessions.py"), family,
                        "recorded-" + arguments.name.replace(".", "-"), recorder.url, backend.account, backend.base_model],
                       env={**kept, "DESK_KEY": backend.key, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}, check=True)
        sets, lines = recorder.lines()
    finally:
        backend.close()
    target.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in [{"sdk": f"{family} {version}", "headers": sets}, *lines])
    for secret in (backend.key, str(backend.data), str(pathlib.Path.home())):
        if secret in text:
            sys.exit(f"{secret!r} is in the transcript; nothing was written")
    target.write_text(text + "\n")
    print(f"{target}: {len(lines)} requests, {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
