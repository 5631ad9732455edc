#!/usr/bin/env bash
# Builds the packages of the two function apps from one binary, and prints the path of the first:
# target/package/aci-dns.zip, or the path that is given. The second, of the app that updates images, is beside it:
# aci-dns-images.zip.
#
#   infra/package.sh [FILE]
#
# The binary is linked against musl, statically: it needs nothing of the image that it runs on. The same commit gives
# the same bytes, wherever it is built: paths of the machine are mapped away, and the archive knows no time.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: infra/package.sh [FILE]

Builds the package of the function app and prints its path. FILE is where the package goes; default:
target/package/aci-dns.zip. The package of the app that updates images is built beside it, with -images in its name. It needs rustup, cargo, and python3.

  --help                 this text
USAGE
}

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
  -*) printf 'unknown argument: %s\n\n' "$1" >&2; usage >&2; exit 2 ;;
esac
if [ $# -gt 1 ]; then
  usage >&2
  exit 2
fi
for tool in rustup cargo python3; do
  if ! command -v "$tool" >/dev/null; then
    printf '%s is missing; nothing was built\n\n' "$tool" >&2
    usage >&2
    exit 1
  fi
done
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
zip="$(realpath -m "${1:-$root/target/package/aci-dns.zip}")"
cd "$root"

# Everything but the path goes where it does not get into a caller's way.
exec 3>&1 1>&2

target=x86_64-unknown-linux-musl
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
cargo zigbuild --release --locked --bin aci-dns --target "$target"

mkdir -p "$(dirname "$zip")"
python3 infra/zip.py "$CARGO_TARGET_DIR/$target/release/aci-dns" "$zip"
images="${zip%.zip}-images.zip"
python3 infra/zip.py "$CARGO_TARGET_DIR/$target/release/aci-dns" "$images" apps/images
sha256sum "$zip" "$images"
echo "$zip" >&3
