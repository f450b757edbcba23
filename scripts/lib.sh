# Sourced by the scripts of this directory.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
TOP=$PWD
# shellcheck source=scripts/env
. "$TOP/scripts/env"
LAB=$TOP/tests/lab/lab
LOGS=$CACHE/log

say() { printf '\n== %s\n' "$*"; }
die() { printf 'pgsftp: %s\n' "$*" >&2; exit 1; }
