# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test file uses, and what runs inside an SDK's environment.

A test file is tests/sdk/<family>_<topic>.py. It holds functions

    @check("FW21_03")                     # further checklist items that the function proves, beside the ones in its name
    def S16_save_and_load_state(t): ...

whose names start with an S row (S16_…) or a checklist item (FW21_03_…, GW7_11_…, GW9_05_…, TR_C06_…, TK21_04_…).
`t` is a Context: `t.backend` (one server for the whole file), `t.version`, and the assertions of unittest.TestCase.
A check that is about some versions names them; other versions never see it, so nothing is ever skipped:

    @check(versions=["1.2.3"])            # only these
    @check(label="torch")                 # only in a run for that label
    @check(alone=True)                    # a fresh server that the check may stop, kill and restart
    @check(arguments=[...])               # a fresh server with these arguments
"""

import contextlib
import faulthandler
import importlib
import json
import os
import pathlib
import re
import sys
import time
import traceback
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent.parent
NAME = re.compile(r"^(S\d\d|FW21_\d\d|GW7_\d\d|GW9_\d\d|TR_C\d\d|TK21_\d\d[a-z]?|X)_[A-Za-z0-9_]+$")
ITEM = re.compile(r"^(S\d\d|FW21_\d\d|GW7_\d\d|GW9_\d\d|TR_C\d\d|TK21_\d\d[a-z]?)")
SECONDS_A_CHECK = 100


def check(*items, versions=None, label=None, alone=False, arguments=(), faults=None):
    def mark(function):
        function.sdk_check = {"items": items, "versions": versions, "label": label, "faults": faults,
                              "alone": alone or bool(arguments) or faults is not None, "arguments": tuple(arguments)}
        return function
    return mark


class Context(unittest.TestCase):
    """What a check gets. `cleanup(f)` runs f after the check, whatever its end."""

    def __init__(self, backend, family, version):
        super().__init__()
        self.backend, self.family, self.version = backend, family, version
        self.stack = contextlib.ExitStack()
        self.maxDiff = None

    def runTest(self):
        pass

    def cleanup(self, function, *arguments, **named):
        self.stack.callback(function, *arguments, **named)

    def use(self, manager):
        return self.stack.enter_context(manager)


def checks_of(module, version, label):
    found = []
    for name, value in vars(module).items():
        if not callable(value) or not NAME.match(name) or getattr(value, "__module__", "") != module.__name__:
            continue
        marks = getattr(value, "sdk_check", None) or check()(value).sdk_check
        if marks["label"] == label and (marks["versions"] is None or version in marks["versions"]):
            found.append((name, value, marks))
    return found


def items_of(name, marks):
    match = ITEM.match(name)
    return sorted(({match.group(1)} if match else set()) | set(marks["items"]))


def report(error):
    """The frames of the tests, not those of the SDK below them; then the error and its causes."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(FOLDER))]
    lines = [f"{pathlib.Path(frame.filename).name}:{frame.lineno} {frame.line}" for frame in frames[1:]]
    while error is not None:
        lines.append(f"{type(error).__name__}: {error}"[:4000])
        error = error.__cause__
    return "\n".join(lines)


def run_one(name, function, marks, shared, family, version):
    from harness.backend import Backend

    start = time.monotonic()
    faulthandler.dump_traceback_later(SECONDS_A_CHECK, exit=True)
    error = None
    try:
        if marks["alone"]:
            backend = Backend(arguments=marks["arguments"], faults=marks["faults"])
        else:
            backend = shared()
        t = Context(backend, family, version)
        try:
            with t.stack:
                function(t)
        finally:
            if marks["alone"]:
                backend.close()
    except BaseException as caught:  # SDKs raise what they like; one bad check must not end the file
        if isinstance(caught, KeyboardInterrupt):
            raise
        error = report(caught)
    faulthandler.cancel_dump_traceback_later()
    return {"name": name, "items": items_of(name, marks), "seconds": round(time.monotonic() - start, 2), "error": error}


def main(arguments):
    """Inside the environment: one file. Prints one JSON line a check on the descriptor that run.py opened."""
    module_name, family, version, label, pattern, descriptor = arguments[:6]
    overlay = arguments[6] if len(arguments) > 6 else ""
    out = os.fdopen(int(descriptor), "w", buffering=1)
    if overlay:
        sys.path.append(overlay)
    from harness.backend import Backend

    module = importlib.import_module(module_name)
    servers = []

    def shared():
        if not servers:
            servers.append(Backend())
        return servers[0]

    try:
        for name, function, marks in checks_of(module, version, None if label == "default" else label):
            if pattern and not re.search(pattern, name):
                continue
            out.write(json.dumps({"begin": name}) + "\n")
            out.write(json.dumps(run_one(name, function, marks, shared, family, version)) + "\n")
    finally:
        for server in servers:
            server.close()
    out.write(json.dumps({"end": True}) + "\n")
    out.flush()
    # SDK threads (heartbeats, telemetry) may outlive the last check; nothing is left to wait for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    # In place of this script's own folder: its modules must not hide packages of the same name.
    sys.path[0] = str(FOLDER)
    from harness import suite
    suite.main(sys.argv[1:])
