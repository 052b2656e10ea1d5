#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The whole main job without a window: train, save, promote, deploy, hot-load, prove.
# ctl_main_job.sh FOLDER-OF-THE-PROGRAMS PROFILE
set -euo pipefail
bin=$1
profile=$2

ctl() { "$bin/trainerdesk-ctl" --profile "$profile" --connection local "$@"; }
# One text or number of a JSON document: field NAME < document
field() { grep -o "\"$1\":\(\"[^\"]*\"\|[0-9]*\)" | head -1 | sed -e 's/^[^:]*://' -e 's/"//g'; }
until_step() { until (($(ctl --json jobs show "$job" | field step) >= $1)); do sleep 0.1; done; }
step() { printf '\n== %s\n' "$*"; }

step "train the sample; returns after the first step"
run=$(ctl --json train --sample --detach)
job=$(field job <<<"$run")
pid=$(field pid <<<"$run")
trap 'kill "$pid" $(field pid < "$profile/local/ready.json") 2>/dev/null || true' EXIT
ctl jobs list

step "save a base and, some steps later, a delta"
until_step 60
ctl save "$job" --kind base --name first
until_step 120
ctl save "$job" --kind delta --name second
ctl checkpoints list "$job"

step "promote the base to a model"
ctl promote "$job/first" --model-id support-v1 --dry-run
ctl promote "$job/first" --model-id support-v1
ctl models list

step "a deployment that loads from this job, first the base, then the delta"
ctl deployments create --job "$job" --name eval --replicas 2
untrained=$(ctl --json complete --deployment eval --seed 1 'Customer: ')
ctl hotload "$job/first" --deployment eval
base=$(ctl --json complete --deployment eval --seed 1 'Customer: ')
ctl hotload "$job/second" --deployment eval
delta=$(ctl --json complete --deployment eval --seed 1 'Customer: ')
ctl deployments show eval
printf '%s\n' "$untrained" "$base" "$delta"

step "what was served is what was saved"
first=$(ctl --json checkpoints show "$job/first")
second=$(ctl --json checkpoints show "$job/second")
[[ "$(field identity <<<"$base")" == "$(field id <<<"$first")" ]]
[[ "$(field identity <<<"$delta")" == "$(field id <<<"$second")" ]]
[[ "$(field parent <<<"$second")" == "$(field id <<<"$first")" ]]
[[ "$(field text <<<"$untrained")" != "$(field text <<<"$base")" ]]
[[ "$(field text <<<"$base")" != "$(field text <<<"$delta")" ]]
"$bin/trainerdesk-delta" verify "$(field path <<<"$first")" "$(field path <<<"$second")"

step "the journal"
ctl operations list
