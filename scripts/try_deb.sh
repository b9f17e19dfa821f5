#!/bin/bash
# Tries a Debian package where it may come and go: installs it, trains with what came with it, and purges it, of which nothing
# may be left. As root, in a system of which nothing depends (scripts/fresh_machine.sh).
#   scripts/fresh_machine.sh --carry dist/kedge_VERSION_amd64.deb 'scripts/try_deb.sh /root/kedge_VERSION_amd64.deb'
set -euo pipefail

deb=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mine() { find /usr /etc /var/lib /opt -xdev -iname '*kedge*' ! -path '/var/lib/dpkg/*' 2>/dev/null || true; }
[[ -z $(mine) ]] || {
  echo "there is a kedge already: $(mine | head -n 1)" >&2
  exit 2
}
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$deb" >"$work/log" 2>&1 || {
  tail -n 5 "$work/log" >&2
  exit 1
}
bare() { (cd "$work" && env -i HOME="$work" PATH=/usr/bin:/bin "$@"); }
version=$(dpkg-query --show --showformat '${Version}' kedge)
[[ $(bare kedge --version) == "kedge ${version%-*} "* ]]
bare kedge train double_link --set iterations=3 --quiet --out run
bare kedge evaluate run --deterministic --rollouts 10 | head -n 3
[[ $(bare kedge reproduce --list) == *moto-fig1c* ]]
zcat /usr/share/man/man1/kedge.1.gz | grep -q '^\.SS train'
[[ $(bare bash -c '. /usr/share/bash-completion/completions/kedge; COMP_WORDS=(kedge tra); COMP_CWORD=1; _kedge; echo "$COMPREPLY"') == train ]]
apt-get purge -y -qq kedge >"$work/log" 2>&1
[[ -z $(mine) ]] || {
  echo "purging leaves $(mine)" >&2
  exit 1
}
echo "$(basename "$deb"): installed, trained, purged"
