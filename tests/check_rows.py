#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fails when the tables of tests/README.md name a test that does not exist, or a row S1 to S26 is missing."""

import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parent
page = (TESTS / "README.md").read_text()
known = set()
for path in [*TESTS.rglob("*.cpp"), *TESTS.rglob("*.py")]:
    known.update(re.findall(r"(?:void|def|TEST\()\s*([A-Za-z]\w*)", path.read_text()))
# A test's name has an underscore after its row, or stands behind the letter of its file.
named = set(re.findall(r"`((?:S\d\d_|s\d+|[pP]0\d\d_)\w+)`", page)) | set(re.findall(r"\b[TFPCWDJXV]L? `(\w+)`", page))
missing = sorted(named - known)
rows = {int(row) for row in re.findall(r"^\| S(\d+) ", page, re.M)}
absent = sorted(set(range(1, 27)) - rows)
for name in missing:
    print(f"tests/README.md names {name}, which is no test")
for row in absent:
    print(f"tests/README.md has no row S{row}")
print(f"{len(named) - len(missing)} names found, {len(missing)} missing; {len(rows)} rows")
sys.exit(1 if missing or absent or len(named) < 60 else 0)
