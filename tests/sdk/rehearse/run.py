#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rehearses a script that knows nothing of Trainer Desk, and checks the report.

    run.py NAME --cache DIR --ctl PROGRAM [--python PROGRAM]

NAME: fireworks-1.2.30, fireworks-1.2.3, tinker-0.38.0, tinker-0.23.0. The script of the family is run by the
environment of that SDK; its output, the text report and each check go to stdout.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from harness import environments  # noqa: E402

EXPECTED = {
    # mistakes, model that a stand-in played, LoRA rank, optimizer steps
    "fireworks": (["delta_promoted", "deployment_left_up", "no_resumable_save"], "accounts/fireworks/models/qwen3-8b", 0, 3),
    "tinker": (["no_resumable_save", "nothing_promotable"], "Qwen/Qwen3-8B", 8, 4),
}


def environment(home):
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "TZ") if name in os.environ}
    # A key of the user's must not reach the script: the rehearsal puts its own in its place.
    return {**kept, "HOME": home, "PYTHONDONTWRITEBYTECODE": "1", "TRANSFORMERS_VERBOSITY": "error", "OMP_NUM_THREADS": "1",
            "FIREWORKS_API_KEY": "fw_a_real_key", "TINKER_API_KEY": "tml-a-real-key", "QT_QPA_PLATFORM": "offscreen"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=environments.ENVIRONMENTS)
    parser.add_argument("--cache", default="build/sdk-env")
    parser.add_argument("--ctl", required=True)
    parser.add_argument("--python")
    arguments = parser.parse_args()
    family = environments.ENVIRONMENTS[arguments.name][0]
    if not arguments.python and (why := environments.missing(arguments.cache, arguments.name)):
        print(why)
        return environments.SKIPPED
    python = arguments.python or environments.python_of(arguments.cache, arguments.name)
    mistakes, model, rank, steps = EXPECTED[family]
    with tempfile.TemporaryDirectory(prefix="desk-rehearse-") as folder:
        report = pathlib.Path(folder) / "report.json"
        done = subprocess.run(
            [arguments.ctl, "--profile", folder + "/profile", "rehearse", "--report", str(report), "--", str(python),
             str(FOLDER / f"{family}_script.py")],
            env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200)
        print(done.stdout)
        read = json.loads(report.read_text())
        found = sorted(f["id"] for f in read["findings"] if f["severity"] == "mistake")
        trained = read["rehearsal"]["models"]
        checks = {
            "the script ended well": read["exit_code"] == 0,
            "mistakes make the exit code 1": done.returncode == 1,
            f"mistakes are {mistakes}": found == mistakes,
            "one model was trained": [m["steps"] for m in trained] == [steps] and trained[0]["lora_rank"] == rank,
            "its loss fell": trained and trained[0]["last_loss"] < trained[0]["first_loss"],
            "the stand-in has the model's name and vocabulary":
                [(s["name"], s["vocab_size"]) for s in read["stand_ins"]] == [(model, 151936)],
            "the stand-in was said at once": f"{model} is played by a small stand-in" in done.stdout,
            "no key is in the report": "a_real_key" not in report.read_text() + done.stdout,
        }
    for what, holds in checks.items():
        print("passed" if holds else "FAILED", what)
    failed = sum(not holds for holds in checks.values())
    print(f"rehearse {arguments.name}: {len(checks) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
