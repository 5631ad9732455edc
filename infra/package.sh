#!/usr/bin/env bash
# Builds the packages of the two function apps from one binary, and prints the path of the first:
# target/package/aci-dns.zip, or the path that is given. The second, of the app that updates images, is beside it:
# aci-dns-images.zip.
#
#   infra/package.sh [FILE]
#
# The binary is linked against musl, statically: it needs nothing of the image that it runs on. The same commit gives
# the same bytes, wherever it is built: see build.sh, and the archive has no time.
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
infra="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
zip="$(realpath -m "${1:-$infra/../target/package/aci-dns.zip}")"

binary="$("$infra/build.sh" x86_64-unknown-linux-musl)"
mkdir -p "$(dirname "$zip")"
python3 "$infra/zip.py" "$binary" "$zip"
images="${zip%.zip}-images.zip"
python3 "$infra/zip.py" "$binary" "$images" "$infra/../apps/images"
sha256sum "$zip" "$images" >&2
echo "$zip"
