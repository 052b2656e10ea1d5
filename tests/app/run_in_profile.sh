#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# run_in_profile.sh SCRIPT FOLDER-OF-THE-PROGRAMS: runs the script in a profile that is removed afterwards.
set -euo pipefail
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
bash "$1" "$2" "$profile"
