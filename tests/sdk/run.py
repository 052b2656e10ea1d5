#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the official SDKs, unmodified, against trainerdesk-local.

    run.py env NAME… --cache DIR                        make the environments (torch is one of them)
    run.py test NAME --cache DIR --local PROGRAM        every check of one SDK version
           [--label torch] [-k REGEX] [--file TOPIC] [-j N] [--python PROGRAM] [--overlay DIR] [-v]
    run.py together --cache DIR --local PROGRAM         all four SDKs against one server at the same time
           [--python NAME=PROGRAM]…
    run.py items                                        checklist items and the checks that prove them, by version

NAME: fireworks-1.2.30, fireworks-1.2.3, tinker-0.38.0, tinker-0.23.0; hostile, which needs no SDK; transformers, which loads
promoted models (label torch). Needs Python 3.11 and its venv module.
The last line is "fireworks 1.2.30: 41 passed, 0 failed, 0 skipped".
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from harness import environments  # noqa: E402
from harness import items as checklist  # noqa: E402


def files_of(family, topic):
    found = sorted(path.stem for path in FOLDER.glob(f"{family}_*.py"))
    return [name for name in found if topic is None or topic in name]


def child_environment(local):
    """Nothing of the caller's may reach an SDK: no key, no base URL, no proxy."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "TZ") if name in os.environ}
    return {**kept, "DESK_LOCAL_PROGRAM": str(local), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
            "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1"}


def run_file(name, arguments, python, family, version, overlay):
    read, write = os.pipe()
    command = [str(python), str(FOLDER / "harness" / "suite.py"), name, family, version, arguments.label, arguments.k or "",
               str(write), overlay or ""]
    started = time.monotonic()
    process = subprocess.Popen(command, env=child_environment(arguments.local), pass_fds=[write], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    os.close(write)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as reader, os.fdopen(read) as results:
            output = reader.submit(process.stdout.read)
            lines = [json.loads(line) for line in results if line.endswith("\n")]
            text = output.result().decode(errors="replace")
            process.wait()
    finally:
        # A child that died leaves its server behind; both are in the child's own group.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    done = [line for line in lines if "name" in line]
    begun = [line["begin"] for line in lines if "begin" in line]
    if not any("end" in line for line in lines):
        where = begun[-1] if len(begun) > len(done) else "its start"
        done.append({"name": f"{name}: {where}", "items": [], "seconds": round(time.monotonic() - started, 2),
                     "error": f"the file ended early (exit {process.returncode})"})
    return name, done, text


def test(arguments):
    family, version, _ = environments.ENVIRONMENTS[arguments.name]
    if not arguments.python and (why := environments.missing(arguments.cache, arguments.name)):
        print(why)
        return environments.SKIPPED
    python = arguments.python or environments.python_of(arguments.cache, arguments.name)
    overlay = ""
    if arguments.label == "torch":
        overlay = arguments.overlay or str(pathlib.Path(arguments.cache) / "torch")
    started = time.monotonic()
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.j) as pool:
        jobs = [pool.submit(run_file, name, arguments, python, family, version, overlay)
                for name in files_of(family, arguments.file)]
        for job in concurrent.futures.as_completed(jobs):
            name, done, text = job.result()
            for result in done:
                verdict = "FAILED" if result["error"] else "passed"
                print(f"{verdict} {result['seconds']:6.2f} s  {result['name']}" +
                      (f"  [{' '.join(result['items'])}]" if result["items"] else ""), flush=True)
                if result["error"]:
                    failed += 1
                    print("    " + result["error"].strip().replace("\n", "\n    "), flush=True)
                else:
                    passed += 1
            if (arguments.v or any(result["error"] for result in done)) and text.strip():
                print(f"--- output of {name}\n{text[-20000 if arguments.v else -6000:]}\n---", flush=True)
    label = "" if arguments.label == "default" else f" {arguments.label}"
    print(f"{family} {version}{label}: {passed} passed, {failed} failed, 0 skipped ({time.monotonic() - started:.0f} s)")
    return 0 if failed == 0 and passed > 0 else 1


def env(arguments):
    for name in arguments.names:
        started = time.monotonic()
        try:
            _, made = environments.ensure(arguments.cache, name)
        except environments.Unreachable as error:
            print(error)
            return environments.SKIPPED
        except subprocess.CalledProcessError as error:
            print(f"{name}: pip could not install it (exit {error.returncode})")
            return 1
        print(f"{name}: {'made' if made else 'there'} ({time.monotonic() - started:.1f} s)", flush=True)
    return 0


def together(arguments):
    from harness import together as clients
    given = dict(item.split("=", 1) for item in arguments.python)
    names = [name for name, (family, _, _) in environments.ENVIRONMENTS.items() if family in ("fireworks", "tinker")]
    for name in names:
        if name not in given and (why := environments.missing(arguments.cache, name)):
            print(why)
            return environments.SKIPPED
    pythons = {name: given.get(name) or environments.python_of(arguments.cache, name) for name in names}
    return 1 if clients.run(pythons, arguments.local) else 0


def items(_):
    return checklist.report()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("env")
    verb.add_argument("names", nargs="+", choices=[*environments.ENVIRONMENTS, *environments.OVERLAYS])
    verb.add_argument("--cache", required=True)
    verb.set_defaults(run=env)
    verb = verbs.add_parser("test")
    verb.add_argument("name", choices=list(environments.ENVIRONMENTS))
    verb.add_argument("--cache", default="build/sdk-env")
    verb.add_argument("--local", required=True, type=lambda path: pathlib.Path(path).resolve())
    verb.add_argument("--label", default="default")
    verb.add_argument("-k", metavar="REGEX")
    verb.add_argument("--file", metavar="TOPIC")
    verb.add_argument("-j", type=int, default=4)
    verb.add_argument("--python")
    verb.add_argument("--overlay")
    verb.add_argument("-v", action="store_true")
    verb.set_defaults(run=test)
    verb = verbs.add_parser("together")
    verb.add_argument("--cache", default="build/sdk-env")
    verb.add_argument("--local", required=True, type=lambda path: pathlib.Path(path).resolve())
    verb.add_argument("--python", action="append", default=[])
    verb.set_defaults(run=together)
    verbs.add_parser("items").set_defaults(run=items)
    arguments = parser.parse_args()
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
