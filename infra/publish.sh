#!/usr/bin/env bash
# Publishes a package to the function app.
#
#   infra/publish.sh SUBSCRIPTION RESOURCE_GROUP APP PACKAGE
#   infra/publish.sh --check        only whether the tools are there
#
# `az functionapp deployment source config-zip` uploads the package, waits for the deployment, and then asks the app
# whether it is healthy. An app that is closed to the caller cannot answer, and up to Azure CLI 2.86 the command then
# asks for ever. So the version is checked, the command is bounded in time, and where it fails, the status of the
# deployment itself decides.
set -euo pipefail

least_version=2.87.0
seconds=1200

check() {
  local version
  if ! command -v timeout >/dev/null; then
    echo "timeout is missing; it is part of GNU coreutils" >&2
    return 1
  fi
  version="$(az version --query '"azure-cli"' --output tsv)"
  if [ "$(printf '%s\n%s\n' "$least_version" "$version" | sort -V | head -n 1)" != "$least_version" ]; then
    printf 'Azure CLI %s is too old: publishing needs %s or later (az upgrade)\n' "$version" "$least_version" >&2
    return 1
  fi
}

check
if [ "$#" -eq 1 ] && [ "$1" = --check ]; then
  exit 0
fi
if [ "$#" -ne 4 ]; then
  echo "usage: infra/publish.sh SUBSCRIPTION RESOURCE_GROUP APP PACKAGE" >&2
  exit 2
fi
subscription="$1" resource_group="$2" app="$3" package="$4"

# Id and status of the newest deployment. 4 is success.
newest() {
  az functionapp log deployment list --subscription "$subscription" --resource-group "$resource_group" --name "$app" \
    --query 'sort_by(@, &received_time)[-1].{id: id, status: status}' --output tsv
}

before="$(newest)" || before=''
# A right that was granted a moment ago takes minutes to reach the app.
for pause in 0 30 60 120 240; do
  sleep "$pause"
  if timeout --kill-after=30 "$seconds" az functionapp deployment source config-zip --only-show-errors --output none \
    --subscription "$subscription" --resource-group "$resource_group" --name "$app" --src "$package"; then
    exit 0
  fi
  now="$(newest)" || now=''
  if [ "${now%%$'\t'*}" != "${before%%$'\t'*}" ] && [ "${now##*$'\t'}" = 4 ]; then
    echo "the deployment succeeded; whether the app is healthy could not be asked"
    exit 0
  fi
done
echo "the package was not published to $app" >&2
exit 1
