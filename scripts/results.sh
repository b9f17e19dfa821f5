#!/bin/bash
# Repeats the results of docs/results/moto.md: the double link at torque limits 25 and 10, seeds 100 to LAST. Runs that
# are there already are kept, interrupted ones are continued.   scripts/results.sh [KEDGE [LAST]]
set -euo pipefail
cd "$(dirname "$0")/.."
kedge=${1:-build/release/kedge}
last=${2:-111}
for limit in 25 10; do
  for seed in $(seq 100 "$last"); do
    run=runs/results/limit$limit/s$seed
    if [ ! -e "$run" ]; then
      "$kedge" train double_link --seed "$seed" --set task.actions.limit="$limit" --out "$run" --quiet
    elif [ "$(tail -n 1 "$run/metrics.csv" | cut -d, -f1)" != 119 ]; then
      "$kedge" resume "$run" --quiet
    fi
  done
  "$kedge" compare runs/results/limit$limit/s* --csv "docs/results/double_link_$limit.csv" --svg "docs/results/double_link_$limit.svg"
done
