#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What one optimizer step at learning rate 1e-5 weighs: the delta of step 2 against the base of step 1.
# one_step_delta.sh FOLDER-OF-THE-PROGRAMS PROFILE
set -euo pipefail
bin=$1
profile=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

ctl() { "$bin/trainerdesk-ctl" --profile "$profile" --connection local "$@"; }
field() { grep -o "\"$1\":\(\"[^\"]*\"\|[0-9.e+-]*\)" | head -1 | sed -e 's/^[^:]*://' -e 's/"//g'; }
trap 'kill $(field pid < "$profile/local/ready.json") 2>/dev/null || true' EXIT

cat >"$profile/recipe.json" <<RECIPE
{"base_model": "accounts/local/models/desk-tiny", "data": "$here/../../resources/starter/sample.txt",
 "batch_size": 8, "max_seq_len": 128, "max_steps": 3, "learning_rate": 1e-5, "schedule": "constant",
 "sampler_save_every": 1, "checkpoint_type": "delta", "seed": 1}
RECIPE
ctl train "$profile/recipe.json" --run-dir "$profile/run"
job=$(sed 's/": "/":"/g' "$profile/run/config.json" | field job)
base=$(ctl --json checkpoints show "$job/step-0001")
delta=$(ctl --json checkpoints show "$job/step-0002")
[[ $(field kind <<<"$delta") == delta && $(field parent <<<"$delta") == $(field id <<<"$base") ]]
base_bytes=$(field size <<<"$base") delta_bytes=$(field size <<<"$delta")
"$bin/trainerdesk-delta" verify "$(field path <<<"$base")" "$(field path <<<"$delta")"
printf 'base %d bytes, delta of one step %d bytes: 1 : %d; changed fraction %s\n' "$base_bytes" "$delta_bytes" \
    $((base_bytes / delta_bytes)) "$(field changed_fraction <<<"$delta")"
((base_bytes >= 10 * delta_bytes))
