#!/usr/bin/env bash
# Builds the binary for one target, and prints its path.
#
#   infra/build.sh TARGET
#
# TARGET is a target of Rust, such as x86_64-unknown-linux-musl. A version of glibc may follow, such as
# x86_64-unknown-linux-gnu.2.28: the binary then runs with this version and later ones. The same commit gives the same
# bytes, wherever it is built: paths of the machine are mapped away.
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: infra/build.sh TARGET" >&2
  exit 2
fi
for tool in rustup cargo python3; do
  if ! command -v "$tool" >/dev/null; then
    echo "$tool is missing; nothing was built" >&2
    exit 1
  fi
done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root="$PWD"

# Everything but the path goes where it does not get into a caller's way.
exec 3>&1 1>&2

target="${1%%.*}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"

rustup target list --installed | grep -qx "$target" || rustup target add "$target"
# Parts of the TLS library are written in C, and zig brings a compiler and a C library for every target.
tools="${XDG_CACHE_HOME:-$HOME/.cache}/aci-dns/zig-$(cksum <infra/requirements.txt | cut -d ' ' -f 1)"
if [ ! -e "$tools/complete" ]; then
  rm -rf "$tools"
  python3 -m venv --without-pip "$tools"
  python3 -m pip --python "$tools/bin/python" install --quiet --root-user-action ignore \
    --require-hashes --requirement infra/requirements.txt
  touch "$tools/complete"
fi
export PATH="$tools/bin:$PATH"

cargo_home="${CARGO_HOME:-$HOME/.cargo}"
RUSTFLAGS="--remap-path-prefix=$CARGO_TARGET_DIR=/target --remap-path-prefix=$cargo_home=/cargo"
RUSTFLAGS+=" --remap-path-prefix=$root=/aci-dns"
CFLAGS="-ffile-prefix-map=$CARGO_TARGET_DIR=/target -ffile-prefix-map=$cargo_home=/cargo"
export RUSTFLAGS CFLAGS
cargo zigbuild --release --locked --bin aci-dns --target "$1"
echo "$CARGO_TARGET_DIR/$target/release/aci-dns" >&3
