#!/usr/bin/env bash
# Builds the archive of one target for a release, and prints its path: the binary, the completions of the shells, and
# the texts. The machine has to be able to run binaries of the target, because they print their own completions.
#
#   infra/archive.sh TARGET FOLDER
#
# TARGET as in build.sh. The same commit gives the same bytes.
set -euo pipefail
if [ $# -ne 2 ]; then
  echo "usage: infra/archive.sh TARGET FOLDER" >&2
  exit 2
fi
target="${1%%.*}"
folder="$(realpath -m "$2")"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
name="aci-dns-$version-$target"
binary="$(infra/build.sh "$1")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder" "$work/$name/completions"
install -m 755 "$binary" "$work/$name/aci-dns"
install -m 644 LICENSE README.md CHANGELOG.md "$work/$name/"
while read -r shell file; do
  "$binary" completions "$shell" >"$work/$name/completions/$file"
done <<'SHELLS'
bash aci-dns.bash
elvish aci-dns.elv
fish aci-dns.fish
powershell _aci-dns.ps1
zsh _aci-dns
SHELLS
tar --create --directory "$work" --format ustar --sort name --mtime @0 --owner 0 --group 0 --numeric-owner \
  --mode u+rwX,go+rX,go-w "$name" | gzip --no-name --best >"$folder/$name.tar.gz"
echo "$folder/$name.tar.gz"
