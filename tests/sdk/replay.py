#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends recorded SDK sessions to trainerdesk-local byte for byte and compares the answers. Needs no SDK.

    replay.py --local PROGRAM [FILE…]        default: every file of tests/data/sdk

Only what the server itself made up (session, model and request ids) is put in the place of the recorded ids, and the key.
All files go to one server, one after the other, so that it serves all SDK versions at once.
"""

import argparse
import http.client
import json
import pathlib
import sys
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from harness import transcript  # noqa: E402
from harness.backend import Backend  # noqa: E402


class Replay:
    def __init__(self, backend, path):
        head, *self.lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.sdk, self.sets, self.backend, self.ids = head["sdk"], head["headers"], backend, {}
        self.link = http.client.HTTPConnection("127.0.0.1", backend.port, timeout=90)

    def live(self, data):
        """Recorded ids → live ones, in bytes that need not be text."""
        return transcript.substitute(data.decode("latin-1"), self.ids).encode("latin-1")

    def send(self, line):
        key = ("tml-" if self.sdk.startswith("tinker") else "") + self.backend.key
        body = self.live(transcript.body_of(line))
        self.link.putrequest(line["method"], self.live(line["path"].encode()).decode(), skip_accept_encoding=True)
        for name, value in self.sets[line["headers"]]:
            if name == "$key":
                for one in value.split():
                    self.link.putheader(one, key if one == "x-api-key" else f"Bearer {key}")
            else:
                self.link.putheader(name, value)
        if body or line["method"] in ("POST", "PUT", "PATCH"):
            self.link.putheader("content-length", str(len(body)))
        self.link.endheaders(body or None)
        answer = self.link.getresponse()
        return answer, answer.read()

    def settle(self, line):
        """Polls are repeated while there is nothing; a row that the recording read in a later state is read again."""
        deadline = time.monotonic() + 60
        while True:
            answer, data = self.send(line)
            if b'"try_again"' in data and line["path"].endswith("retrieve_future"):
                continue
            wrong = self.check(line, answer, data)
            if not wrong or line["method"] != "GET" or time.monotonic() > deadline:
                return wrong
            time.sleep(0.05)
            deadline = min(deadline, time.monotonic() + 10)

    def check(self, line, answer, data):
        kind = (answer.getheader("Content-Type") or "").split(";")[0]
        if answer.status != line["status"]:
            return [f"status {line['status']} became {answer.status}: {data[:300]!r}"]
        if kind != line["type"]:
            return [f"{line['type']} became {kind}"]
        if kind != "application/json":
            wanted, got = line["expect"], transcript.expect_of(kind, data)
            return [] if wanted == got else [f"{wanted} became {got}"]
        value = json.loads(data) if data else None
        for pointer, old in line.get("ids", {}).items():
            try:
                self.ids[old] = transcript.at(value, pointer)
            except (KeyError, TypeError):
                return [f"{pointer} is missing in {data[:300]!r}"]
            if len(self.ids[old]) != len(old) and not pointer.endswith("request_id"):
                return [f"{pointer}: {old} became {self.ids[old]}, of another length; binary bodies would break"]
        return transcript.compare(line["expect"], value, self.ids)

    def run(self):
        wrong = 0
        for i, line in enumerate(self.lines, 1):
            for text in self.settle(line):
                wrong += 1
                print(f"{self.sdk} request {i} {line['method']} {line['path']}: {text}")
        self.link.close()
        return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--local", required=True)
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    files = arguments.files or sorted((FOLDER.parent / "data" / "sdk").glob("*.jsonl"))
    if not files:
        sys.exit("there is no transcript to replay")
    failed = 0
    backend = Backend(pathlib.Path(arguments.local).resolve())
    try:
        for path in files:
            replay = Replay(backend, path)
            wrong = replay.run()
            failed += wrong > 0
            print(f"{replay.sdk}: {len(replay.lines)} requests replayed, {wrong} differences", flush=True)
    finally:
        backend.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
