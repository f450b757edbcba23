# Sourced by the scripts of this directory.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck disable=SC2034  # each script uses some
{
  TOP=$PWD
  CACHE=$TOP/.cache
  COLLECTIONS=$CACHE/collections
  LOGS=$CACHE/log
  VENV=$TOP/.venv
  LAB=$TOP/tests/lab/lab
}
PGSFTP_TOP=$TOP
# shellcheck source=scripts/env
. "$TOP/scripts/env"

say() { printf '\n== %s\n' "$*"; }
die() { printf 'pgsftp: %s\n' "$*" >&2; exit 1; }

# install_built SOURCE DIRECTORY: the collection as its users get it, built of the one and below the other; those
# that it needs are beside it.
install_built() {
  rm -rf "$2"
  mkdir -p "$2"
  (cd "$1" && ansible-galaxy collection build --output-path "$2") >/dev/null
  # It leaves out what is found elsewhere.
  ANSIBLE_COLLECTIONS_PATH=$2 ansible-galaxy collection install --offline --no-deps --collections-path "$2" \
    "$2"/pgsftp-backup-*.tar.gz >/dev/null
  ln -s "$COLLECTIONS/ansible_collections/"{ansible,community} "$2/ansible_collections/"
}
