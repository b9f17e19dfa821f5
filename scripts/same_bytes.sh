#!/bin/bash
# Proves that a change of the code changes no result: trains every algorithm on every task for a few iterations with two
# builds of kedge and compares metrics.csv and policy.h5 byte for byte. Run `scripts/same_bytes.sh --help`.
set -euo pipefail
cd "$(dirname "$0")/.."

if (($# < 2)) || [[ $1 == --help ]]; then
  cat <<TEXT
usage: scripts/same_bytes.sh OLD NEW [TASK]...

OLD and NEW are programs, e.g. build/release/kedge, or OLD is a folder that an earlier call kept: with KEEP=DIR in the
environment the runs of NEW stay in DIR. Without a TASK: every bundled task.
Exit status 1 if a file differs. About two minutes of processor time for each program.
TEXT
  exit 2
fi
old=$1 new=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Short runs, the algorithm before the first dash; options that make them short, and none that leaves out a phase.
guide="--iterations 2 --set initial_iterations=5 --set first_evaluations=30 --set evaluations=20"
declare -A options_of=(
  [moto]="--iterations 3 --set rollouts=12"
  [moto-mc]="--iterations 3 --set rollouts=12 --set targets=monte_carlo --set reuse=iterations --set state_distribution=forward"
  [gps]="--iterations 3 --set rollouts=30"
  [gps-gmm]="--iterations 3 --set rollouts=30 --set prior=gmm --set kl=step --set adapt_step=true"
  [ilqr]="--iterations 4"
  [ilqr-box]="--iterations 4 --set box=true"
  [vgps]="$guide"
  [vgps-stray]="$guide --set conditions=2 --set stray=20 --set noise_scale=3"
  [gps_is]="$guide"
  [dagger]="$guide"
  [dagger-adapt]="$guide --set adapt=true --set weighted=true"
  [cost_weighted]="$guide"
  [random_search]="--iterations 3"
  [reckon]="--iterations 3"
  [reps]="--iterations 3"
  [reps-context]="--iterations 3 --set context=start --set controller=network"
  [more]="--iterations 3"
  [more-projections]="--iterations 3 --set surrogate=projections --set schedule=exponential"
  [trpo]="--iterations 3"
)
tasks=("$@")
((${#tasks[@]})) || mapfile -t tasks < <(for folder in tasks/*/; do basename "$folder"; done)

# train PROGRAM DIR: every run, in DIR/<task>-<algorithm>. A run that fails keeps its message instead.
train() {
  local program=$1 directory=$2 task algorithm
  mkdir -p "$directory"
  for task in "${tasks[@]}"; do
    for algorithm in "${!options_of[@]}"; do
      # shellcheck disable=SC2086
      "$program" train "$task" --algorithm "${algorithm%%-*}" --seed 1 --threads 2 ${options_of[$algorithm]} -q \
        --out "$directory/$task-$algorithm" >"$directory/$task-$algorithm.txt" 2>&1 ||
        echo "  $task-$algorithm ends with status $?"
    done
  done
}

if [[ -d $old ]]; then before=$old; else before=$work/old && echo "training with $old" && train "$old" "$before"; fi
after=${KEEP:-$work/new}
echo "training with $new"
train "$new" "$after"

compared=0 different=0
for task in "${tasks[@]}"; do
  for algorithm in "${!options_of[@]}"; do
    for file in metrics.csv policy.h5; do
      path=$task-$algorithm/$file
      compared=$((compared + 1))
      cmp -s "$before/$path" "$after/$path" || { echo "differs: $path" && different=$((different + 1)); }
    done
  done
done
echo "$compared files compared, $different differ"
((different == 0))
