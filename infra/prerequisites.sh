#!/usr/bin/env bash
# Checks what infra/deploy.sh needs: tools, sign-in, and, with a parameter file, resource groups and rights. It only reads.
#
# This script runs in every version of Bash, because it checks the version.
set -euo pipefail
infra="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage() {
  cat <<'USAGE'
Usage: infra/prerequisites.sh [--parameters FILE] [--resource-group NAME] [--subscription ID]

  --parameters FILE      also check the resource groups and rights that these parameters of main.bicep need
  --resource-group NAME  where the function app will be; default: rg-aci-dns
  --subscription ID      subscription of that resource group; default: the current one
  --help                 this text

Exit codes: 0 everything is there, 1 something is missing, 2 wrong arguments.
USAGE
}

refuse() {
  printf '%s\n\n' "$1" >&2
  usage >&2
  exit 2
}

parameters='' resource_group=rg-aci-dns subscription=''
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --parameters | --resource-group | --subscription) [ -n "${2:-}" ] || refuse "$1 needs a value" ;;
    *) refuse "unknown argument: $1" ;;
  esac
  case "$1" in
    --parameters) parameters="$2" ;;
    --resource-group) resource_group="$2" ;;
    --subscription) subscription="$2" ;;
  esac
  shift 2
done
[ -z "$parameters" ] || [ -r "$parameters" ] || refuse "$parameters cannot be read"

missing=0
ok() { printf 'ok       %s\n' "$1"; }
note() { printf 'note     %s\n' "$1"; }
lacks() {
  printf 'MISSING  %s\n' "$1"
  missing=$((missing + 1))
}

finish() {
  if [ "$missing" -gt 0 ]; then
    printf '\nmissing: %d\n' "$missing"
    exit 1
  fi
  printf '\nall prerequisites are there\n'
  exit 0
}

# Whether a version is at least another one. Not with `sort -V`, which macOS lacks in old versions.
at_least() {
  python3 - "$1" "$2" <<'PYTHON'
import sys

found, least = ([int(part) for part in version.split(".")] for version in sys.argv[1:])
sys.exit(found < least)
PYTHON
}

# A tool, its version, the least version, and what to do.
version_of() {
  if [ -z "$2" ]; then
    lacks "$1: $4"
  elif at_least "$2" "$3"; then
    ok "$1 $2"
  else
    lacks "$1 $3 or later (this is $2): $4"
  fi
}

first_version() { sed -n 's/[^0-9]*\([0-9][0-9]*\.[0-9][0-9.]*[0-9]\).*/\1/p' | head -n 1; }

echo "== tools"
if ! command -v python3 >/dev/null; then
  lacks "Python 3.10: install it from https://www.python.org"
  finish
fi
version_of Python "$(python3 --version 2>&1 | first_version)" 3.10 "install it from https://www.python.org"
version_of Bash "${BASH_VERSINFO[0]}.${BASH_VERSINFO[1]}" 4.4 "on macOS: brew install bash"
for tool in timeout sha256sum realpath; do
  if command -v "$tool" >/dev/null; then
    ok "$tool"
  else
    lacks "$tool: part of GNU coreutils; on macOS: brew install coreutils, and put its gnubin folder on the PATH"
  fi
done
if command -v rustup >/dev/null; then
  ok "rustup, which builds the package"
else
  note "no rustup: pass --package aci-dns.zip, from a release, to deploy.sh"
fi
if ! command -v az >/dev/null; then
  lacks "the Azure CLI: https://aka.ms/azure-cli"
  finish
fi
least="$(sed -n 's/^least_version=//p' "$infra/publish.sh")"
version_of "Azure CLI" "$(az version --query '"azure-cli"' --output tsv | first_version)" "$least" "az upgrade"
# `az bicep version` ends with an error where Bicep is not installed.
bicep="$(az bicep version --only-show-errors 2>/dev/null | first_version)" || bicep=''
version_of Bicep "$bicep" 0.36 "az bicep install, or az bicep upgrade"

echo "== sign-in"
if current="$(az account show --query id --output tsv 2>/dev/null)"; then
  ok "subscription ${subscription:-$current}"
else
  lacks "a sign-in: az login"
  finish
fi
subscription="${subscription:-$current}"

if [ -z "$parameters" ]; then
  finish
fi
echo "== parameters"
case "$parameters" in
  *.bicepparam)
    if [ -z "$bicep" ]; then
      finish
    fi
    given="$(az bicep build-params --file "$parameters" --stdout)"
    ;;
  *) given="$(cat "$parameters")" ;;
esac
facts="$(python3 "$infra/preflight.py" facts "$subscription" "$resource_group" <<<"$given")"
tab=$'\t'

while IFS="$tab" read -r -u 3 kind group_subscription group purpose; do
  if [ "$kind" != group ] || [ "$group_subscription/$group" = "$subscription/$resource_group" ]; then
    continue
  fi
  if [ "$(az group exists --subscription "$group_subscription" --name "$group")" != true ]; then
    lacks "resource group $group in subscription $group_subscription ($purpose): az group create"
    continue
  fi
  ok "resource group $group ($purpose)"
  if [ "$purpose" = spoke ]; then
    private="$(az container list --subscription "$group_subscription" --resource-group "$group" \
      --query "length([?ipAddress.type=='Private'])" --output tsv)"
    note "container groups with a private address in $group: $private"
  fi
done 3<<<"$facts"

# The rights at the subscriptions. A deployer with smaller scopes has some of them only at resource groups.
while read -r -u 3 where; do
  permissions="$(az rest --method get --output json --url \
    "/subscriptions/$where/providers/Microsoft.Authorization/permissions?api-version=2022-04-01")"
  absent="$(python3 "$infra/preflight.py" missing Microsoft.Resources/deployments/write \
    Microsoft.Authorization/roleAssignments/write Microsoft.Authorization/roleDefinitions/write <<<"$permissions")"
  if [ -z "$absent" ]; then
    ok "rights in subscription $where"
  else
    while read -r -u 4 action; do
      note "not allowed at subscription $where: $action; see docs/deploy.md, rights of the deployer"
    done 4<<<"$absent"
  fi
done 3<<<"$(awk -F '\t' '$1 == "provider" { print $2 }' <<<"$facts" | sort -u)"
finish
