# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows and checklist items that the checks must prove, and those that no check can.

S: rows of the training API's two public pages, as numbered in tests/README.md. FW21: Fireworks SDK 1.2.30. GW7, GW9: the control
plane, by the SDK's own tests and by route. TR_C: trainer endpoint. TK21: tinker 0.38.
"""

import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent.parent
PATTERN = r"S\d\d|FW21_\d\d|GW\d_\d\d|TR_C\d\d|TK21_\d\d"

ALL = [f"{family}{number:02}" for family, count in
       (("S", 26), ("FW21_", 18), ("GW7_", 52), ("GW9_", 12), ("TR_C", 25), ("TK21_", 13)) for number in range(1, count + 1)]

LEFT_OUT = {
    "S26": "TrainingCheckpoints is no part of an SDK; the C++ tests of services/checkpoints prove it",
    "GW7_03": "which statuses an internal function retries: the client decides alone",
    "GW7_05": "how the client reads Retry-After: the client decides alone",
    "GW7_23": "through which internal client the health probe goes: the client decides alone",
    "GW7_27": "the client repeats a 502 for five minutes before it words its error: the client decides alone",
    "GW7_28": "serverless sessions come later; GW9_11 proves that their routes say so",
    "GW7_50": "serverless sampling comes later; GW9_11 proves that its routes say so",
}


def proved():
    """item → names of the checks, read from the source, so that no SDK is needed."""
    found = {}
    for path in sorted(FOLDER.glob("*_*.py")):
        for marks, name in re.findall(r"^(?:@check\(((?:[^()]|\([^()]*\))*)\)\n)?def ((?:" + PATTERN + r")\w+)\(", path.read_text(), re.M):
            for item in {re.match(PATTERN, name).group(0), *re.findall(rf'"({PATTERN})"', marks)}:
                found.setdefault(item, []).append(f"{path.stem}.{name}")
        for marks, name in re.findall(r"^@check\(((?:[^()]|\([^()]*\))*)\)\ndef (X_\w+)\(", path.read_text(), re.M):
            for item in re.findall(rf'"({PATTERN})"', marks):
                found.setdefault(item, []).append(f"{path.stem}.{name}")
    return found


def report():
    found = proved()
    missing = [item for item in ALL if item not in found and item not in LEFT_OUT]
    for item in ALL:
        print(f"{item}: {', '.join(found[item]) if item in found else 'left out: ' + LEFT_OUT.get(item, 'NOBODY PROVES IT')}")
    strangers = sorted(set(found) - set(ALL))
    for item in strangers:
        print(f"{item}: no such item, in {', '.join(found[item])}")
    print(f"{len(ALL)} items: {sum(item in found for item in ALL)} proved, {len(LEFT_OUT)} left out, {len(missing)} missing")
    return 1 if missing or strangers else 0
