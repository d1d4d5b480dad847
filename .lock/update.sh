#!/usr/bin/env bash
# Makes the locks again from pyproject.toml. dev.txt first; cpu.txt is held to its versions.
set -euo pipefail
cd "$(dirname "$0")/.."

excluded=$(mktemp) && trap 'rm -f "$excluded"' EXIT
printf 'triton\ncuda-bindings\ncuda-toolkit\n' >"$excluded"

resolve() { # resolve OUT EXTRA-OPTIONS...
  local out=$1
  shift
  uv pip compile pyproject.toml --group build --universal --python-version 3.10 --excludes "$excluded" --upgrade \
    --no-annotate --no-header --no-emit-index-url --no-emit-find-links ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} "$@" --quiet \
    | grep -vE '^(nvidia-|torch==)' >"$out.new"
  # One plain line for torch: a local version such as +cpu exists on some indexes only.
  echo 'torch==2.13.0' >>"$out.new"
  LC_ALL=C sort -o "$out" "$out.new"
  rm -f "$out.new"
}

resolve .lock/dev.txt --extra cpu --extra dev
resolve .lock/cpu.txt --extra cpu --constraints .lock/dev.txt
