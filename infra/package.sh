#!/usr/bin/env bash
# Builds the package of the function app and prints its path: target/package/aci-dns.zip, or the path that is given.
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
target/package/aci-dns.zip. It needs rustup, cargo, and python3.

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
sha256sum "$zip" >&2
echo "$zip"
