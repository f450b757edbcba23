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
