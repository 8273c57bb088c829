#!/usr/bin/env bash
# Builds dsad_core for 64-bit ARM by a cross compiler and runs the kernels' tests under emulation, in out/arm64.
# `run.sh IMAGE...` also compares the answers to these frames with this machine's. Called by `make test-arm64`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source env.sh
OUT=$PWD/out/arm64
# Debian 12's Python.
VERSION=3.11
ENGINE=${ENGINE:-dsad-num4-field}
TESTS=(test_machine.py test_engines_direct.py test_engines_direct_network.py test_engines_direct_program.py)

for tool in mmdebstrap qemu-aarch64-static aarch64-linux-gnu-g++; do
  if ! command -v "$tool" > /dev/null; then
    echo "make test-arm64: there is no $tool; apt-get install" \
      "mmdebstrap debian-archive-keyring qemu-user-static g++-aarch64-linux-gnu" >&2
    exit 1
  fi
done
mkdir -p "$OUT"

# Packages are unpacked, not configured: nothing of ARM runs, and it needs no rights of root.
if [ ! -e "$OUT/root" ]; then
  echo "Setting up out/arm64 (Python $VERSION for ARM and the runtime, about 350 MB) ..."
  rm -rf "$OUT/unpacked"
  mmdebstrap --quiet --mode=chrootless --variant=extract --architectures=arm64 --include=python3,libstdc++6 \
    bookworm "$OUT/unpacked" http://deb.debian.org/debian
  # onnxruntime looks for the cores here, and QEMU would show those of this machine.
  mkdir -p "$OUT/unpacked/proc"
  for core in $(seq 0 $(($(nproc) - 1))); do
    printf '%s\t: %s\n' processor "$core" Features 'fp asimd asimdhp asimddp' 'CPU implementer' 0x41 \
      'CPU architecture' 8 'CPU variant' 0x4 'CPU part' 0xd0b 'CPU revision' 1
    echo
  done > "$OUT/unpacked/proc/cpuinfo"
  mv "$OUT/unpacked" "$OUT/root"
fi
if [ ! "$OUT/packages/.ready" -nt requirements/runtime.txt ] || [ ! "$OUT/packages/.ready" -nt requirements/test.txt ]; then
  rm -rf "$OUT/packages"
  python -m pip install --quiet --disable-pip-version-check --no-input --target "$OUT/packages" \
    --only-binary=:all: --python-version "$VERSION" \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
    -r requirements/runtime.txt -r requirements/test.txt setuptools==79.0.1
  touch "$OUT/packages/.ready"
fi

if [ $# -gt 0 ]; then
  python tests/arm64/answers.py keep "$OUT/answers.npz" "$ENGINE" "$@"
fi

export PYTHONPATH=$OUT/lib:$OUT/packages PYTHONDONTWRITEBYTECODE=1
# QEMU's nearest to the cores of a Jetson AGX Orin, Cortex-A78AE.
export DSAD_ENGINES=$PWD/edge_engines QEMU_LD_PREFIX=$OUT/root QEMU_CPU=cortex-a76
python=(qemu-aarch64-static "$OUT/root/usr/bin/python$VERSION")
rm -rf "$OUT/lib"
(
  cd dsad_core
  CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++ "${python[@]}" setup.py -q build \
    --build-lib "$OUT/lib" --build-temp "$OUT/temp"
)
# Tests that start a second Python are not among them: without the kernel's binfmt_misc only the first is emulated.
(
  cd "$OUT"  # not where the sources are, which would be imported in place of what was built
  "${python[@]}" -m pytest -q -p no:cacheprovider -W ignore -k "not (start_with_the_program or the_command_writes)" \
    "${TESTS[@]/#/../../dsad_core/test/}"
)
if [ $# -gt 0 ]; then
  "${python[@]}" tests/arm64/answers.py compare "$OUT/answers.npz"
fi
