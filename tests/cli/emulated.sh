#!/bin/bash
# emulated.sh PROGRAM QEMU: the program on emulated processors. A Haswell gives the bytes that this processor gives, and one
# without AVX2 is told in one line.
set -euo pipefail
program=$1 qemu=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

train=(train double_link --set task.horizon=20 --set rollouts=12 --set window=2 --iterations 2 --threads 1 -q --out)
"$program" "${train[@]}" here
"$qemu" -cpu Haswell "$program" "${train[@]}" haswell 2>emulator.txt || { cat emulator.txt && exit 1; }
for file in metrics.csv policy.h5 checkpoint.h5; do cmp here/$file haswell/$file; done
echo "the same bytes on an emulated Haswell"

"$qemu" -cpu Nehalem "$program" list >/dev/null 2>emulator.txt && echo "it runs on a Nehalem" && exit 1
grep -v "TCG doesn't support" emulator.txt >said.txt
[[ $(wc -l <said.txt) == 1 ]] && grep -q "^kedge: error: this processor has no AVX2" said.txt || {
  echo "on a Nehalem it does not say what is wrong in one line:" && cat said.txt
  exit 1
}
echo "one line on an emulated Nehalem"
