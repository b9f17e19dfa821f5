#!/bin/bash
# Tries a wheel where there is nothing of kedge: a new environment, no compiler and no library of this machine on a path. Ten
# lines of Python swing the double link up, and the program that comes with it gives the same policy.
#   PYTHON=python3.12 python/tests/try_wheel.sh dist/kedge-....whl
set -euo pipefail

wheel=$(realpath "$1")
prepared=$(realpath "$(dirname "$0")/../..")/.deps/python
python=$(realpath --no-symlinks "$(command -v "${PYTHON:-python3}")")
from=()  # the Python of scripts/setup.sh has NumPy at hand; another one takes it from its index
[[ $python != "$prepared"/* ]] || from=(--no-index --find-links "$prepared/wheels")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "${from[@]}" "$wheel"
cd "$work"
bare() { env -i HOME="$work" PATH="$work/venv/bin" "$@"; }

cat >ten.py <<'PYTHON'
import kedge

task = kedge.Task.load("double_link")
run = kedge.train(task, "moto", seed=1, epsilon=0.05, threads=1, callback=lambda it: print(it.return_median, end=" "))
found = run.evaluate(deterministic=True)
print("\nsuccess rate", found.success_rate)
assert found.success_rate > 0.9
run.policy.save("module.h5")
PYTHON
bare python ten.py
installed=$(bare python -c 'import kedge; print(kedge.__path__[0])')
test -e "$installed/py.typed"
grep -q '^def moto(.*epsilon=.* -> .*Run:' "$installed/__init__.pyi" && grep -q 'def from_mjcf(' "$installed/_kedge.pyi" || {
  echo "the type stubs lack an algorithm or a method" >&2
  exit 1
}
for file in "$installed"/_kedge*.so "$installed/bin/kedge"; do  # but for those of every Linux with Python
  foreign=$(env -i /usr/bin/ldd "$file" | grep -vE "^\s(linux-vdso|/\S*/ld-linux|lib(c|m|dl|pthread|rt|gcc_s|stdc\+\+|z)\.so)|$work" || true)
  [[ -z $foreign ]] || {
    echo "$file uses libraries of this machine: $foreign" >&2
    exit 1
  }
done
bare kedge train double_link --seed 1 --set epsilon=0.05 --threads 1 --quiet --out run 2>log || {
  cat log >&2
  exit 1
}
cmp module.h5 run/policy.h5
[[ $(bare kedge --version) == "kedge $(bare python -c 'import kedge; print(kedge.__version__)') "* ]]
echo "$(basename "$wheel"): module and program agree"
