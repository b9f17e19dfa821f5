#!/bin/bash
# shells.sh PROGRAM MANUAL: fails unless the completions of cli/completion offer what they should, in bash as a key press asks for
# it, in fish by its own means, and unless the manual page is clean. Shells that are not there are left out.
set -euo pipefail
program=$(realpath "$1") manual=$(realpath "$2") scripts=$(realpath "$(dirname "$0")/../../cli/completion")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir bin 'my robot' other
ln -s "$program" bin/kedge
touch notes.toml
PATH=$work/bin:$PATH
failed=0

# expect LINE WANTED...: what follows the command line. Each WANTED must be offered; one with ! in front of it must not.
expect() {
  local line=$1 offered wanted
  shift
  offered=$(offers "$line")
  for wanted; do
    if [[ $wanted == !* ]]; then
      ! grep -qxF -- "${wanted#!}" <<<"$offered" || { echo "$shell, '$line': ${wanted#!} is offered" >&2 && failed=1; }
    else
      grep -qxF -- "$wanted" <<<"$offered" || { echo "$shell, '$line': $wanted is not among: $offered" >&2 && failed=1; }
    fi
  done
}

shell=bash
compopt() { :; }  # exists while bash completes, and only then
source "$scripts/kedge.bash"
offers() {
  # As bash takes a line apart: a = is a word. The line ends where the cursor is.
  local text=${1//=/ = }
  read -ra COMP_WORDS <<<"$text"
  [[ $1 != *' ' ]] || COMP_WORDS+=('')
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _kedge
  printf '%s\n' "${COMPREPLY[@]}"
}
expect 'kedge ' train reproduce --version
expect 'kedge tr' train '!tune'
expect 'kedge train ' double_link walker notes.toml 'my robot' '!--seed'
expect 'kedge train --' --seed --set '!double_link'
expect 'kedge train -' -q --quiet
expect 'kedge train double_link --algorithm ' moto gps '!double_link'
expect 'kedge train --algorithm=g' gps '!moto'
expect 'kedge train --seed ' '!double_link'
expect 'kedge train walker --set ' epsilon= '!prior='
expect 'kedge train walker --algorithm gps --set p' prior=
expect 'kedge train walker --algorithm=gps --set p' prior=
expect 'kedge train walker --set reuse=' none time
expect 'kedge train walker --set reuse=ti' time '!none'
expect 'kedge export run --format ' c onnx '!notes.toml'
expect 'kedge train walker --out ' other '!notes.toml'
expect 'kedge train walker --config ' notes.toml
expect 'kedge reproduce ' moto-fig1c
expect 'kedge nothing ' '!double_link'

if command -v fish >/dev/null; then
  shell=fish
  offers() { HOME=$work fish --no-config -c "source '$scripts/kedge.fish'; complete -C '$1'" | cut -f 1; }
  expect 'kedge tr' train '!tune'
  expect 'kedge train ' double_link notes.toml
  expect 'kedge train double_link --algorithm ' moto '!double_link'
  expect 'kedge train walker --set reuse=' reuse=time
  expect 'kedge train --algorithm=g' --algorithm=gps
fi
if command -v zsh >/dev/null; then zsh -n "$scripts/_kedge"; fi

# The page has the version where others have a date.
complaints=$(
  ! command -v groff >/dev/null || groff -man -ww -Tutf8 "$manual" 2>&1 >/dev/null
  ! command -v mandoc >/dev/null || mandoc -Tlint -Wwarning "$manual" | grep -v 'cannot parse date' || true
)
[[ -z $complaints ]] || { echo "$complaints" >&2 && failed=1; }
for text in '.SH NAME' '.SS train' '\-\-algorithm' 'moto'; do
  grep -qF -- "$text" "$manual" || { echo "the manual lacks $text" >&2 && failed=1; }
done
exit "$failed"
