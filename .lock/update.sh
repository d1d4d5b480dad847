#!/usr/bin/env bash
# Makes the locks again from pyproject.toml. Versions that are there stay where they still fit: `update.sh --upgrade` takes
# the newest. dev.txt comes first, and all others are held to it. At the end there are wheels of everything for each Python
# and processor, or this fails.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
# What torch and the index say that these need is not looked for: it stands in none of these files, README.md says why.
printf '%s\n' triton cuda-bindings cuda-toolkit torchvision tensorrt-cu13 >"$work/excluded"

resolve() { # resolve NAME OPTIONS...: makes .lock/NAME
  local out=.lock/$1
  shift
  [ ! -f "$out" ] || cp "$out" "$work/made" # what is preferred
  uv pip compile "$@" --quiet --universal --python-version 3.10 --generate-hashes --excludes "$work/excluded" \
    --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file "$work/made"
  uv run --quiet --no-project --with packaging python .lock/tidied.py <"$work/made" >"$out"
  rm "$work/made"
}

with_dev=(--constraints .lock/dev.txt)
resolve dev.txt pyproject.toml --group build --extra cpu --extra dev "$@"
resolve cpu.txt pyproject.toml --group build --extra cpu "${with_dev[@]}"
every=(cpu timm sign oci track serve keras cluster gpu rtx) # but dev
resolve extras.txt pyproject.toml --group build "${every[@]/#/--extra=}" "${with_dev[@]}"
named() { # named NAME PACKAGE...: these and nothing that they depend on
  local name=$1
  shift
  printf '%s\n' "$@" | resolve "$name" - --no-deps "${with_dev[@]}"
}
named runtime.txt numpy pillow
named openvino.txt openvino # without what it depends on beside numpy: that is its telemetry
named onnxruntime.txt onnxruntime # numpy is all that it imports where it only runs networks
named gpu.txt polygraphy
printf '%s\n' starlette uvicorn | resolve serve.txt - "${with_dev[@]}"
grep -om1 'torch==[0-9.]*' pyproject.toml >.lock/torch.txt

for version in 3.10 3.11 3.12 3.13; do
  for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_35; do
    for name in cpu dev extras runtime openvino onnxruntime gpu serve; do
      echo "checking $name.txt for Python $version, $platform" >&2
      uv pip install --quiet --dry-run --no-deps --require-hashes --no-build --target "$work/none" \
        --python-version "$version" --python-platform "$platform" -r ".lock/$name.txt"
    done
  done
done
