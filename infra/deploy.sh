#!/usr/bin/env bash
# Deploys aci-dns: shows what would change, applies it, publishes the package, and subscribes the functions to events.
# Running it again changes what is not as the parameters say, and nothing else.
set -euo pipefail
infra="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

usage() {
  cat <<'USAGE'
Usage: infra/deploy.sh --resource-group NAME --location REGION --parameters FILE [options]

  --resource-group NAME  where the function app lives; created if it does not exist
  --location REGION      region of that resource group
  --parameters FILE      parameters of main.bicep: see infra/parameters
  --subscription ID      subscription of the resource group; default: the current one
  --package FILE         the package to publish; default: the one that infra/package.sh builds now
  --what-if              show what would change, and stop
  --yes                  do not ask before applying
  --smoke-test SUBNET    afterwards create and delete a container group in the first spoke, in the subnet with this id
                         (delegated to Microsoft.ContainerInstance/containerGroups), and look for its records
  --help                 this text
USAGE
}

refuse() {
  printf '%s\n\n' "$1" >&2
  usage >&2
  exit 2
}

resource_group='' location='' parameters='' subscription='' package='' smoke_test_subnet=''
what_if_only=false confirmed=false
while [ $# -gt 0 ]; do
  case "$1" in
    --help) usage; exit 0 ;;
    --what-if) what_if_only=true; shift; continue ;;
    --yes) confirmed=true; shift; continue ;;
    --resource-group | --location | --parameters | --subscription | --package | --smoke-test) ;;
    *) refuse "unknown argument: $1" ;;
  esac
  [ -n "${2:-}" ] || refuse "$1 needs a value"
  case "$1" in
    --resource-group) resource_group="$2" ;;
    --location) location="$2" ;;
    --parameters) parameters="$2" ;;
    --subscription) subscription="$2" ;;
    --package) package="$2" ;;
    --smoke-test) smoke_test_subnet="$2" ;;
  esac
  shift 2
done
[ -n "$resource_group" ] || refuse "--resource-group is required"
[ -n "$location" ] || refuse "--location is required"
[ -n "$parameters" ] || refuse "--parameters is required"
[ -r "$parameters" ] || refuse "$parameters cannot be read"
[ -z "$package" ] || [ -r "$package" ] || refuse "$package cannot be read"

step() {
  printf '\n== %s\n' "$1"
}

# Tries a command so many times, with so many seconds between: what was just granted takes minutes to be known.
retry() {
  local times="$1" pause="$2"
  shift 2
  until "$@"; do
    times=$((times - 1))
    [ "$times" -gt 0 ] || return 1
    sleep "$pause"
  done
}

# An output of main.bicep.
output() {
  az deployment group show --subscription "$subscription" --resource-group "$resource_group" --name aci-dns \
    --query "properties.outputs.$1" --output "${2:-tsv}"
}

step "subscription"
if [ -z "$subscription" ]; then
  subscription="$(az account show --query id --output tsv)"
fi
echo "$subscription"

group_exists="$(az group exists --subscription "$subscription" --name "$resource_group")"
if [ "$group_exists" = false ]; then
  step "resource group $resource_group"
  az group create --subscription "$subscription" --name "$resource_group" --location "$location" --output none
fi

step "what would change"
az deployment group what-if --subscription "$subscription" --resource-group "$resource_group" --name aci-dns \
  --template-file "$infra/main.bicep" --parameters "$parameters"
if [ "$what_if_only" = true ]; then
  exit 0
fi
if [ "$confirmed" = false ]; then
  read -r -p 'Apply this? [y/N] ' answer
  [ "$answer" = y ] || exit 1
fi

if [ -z "$package" ]; then
  step "package"
  package="$("$infra/package.sh")"
fi

step "apply"
az deployment group create --subscription "$subscription" --resource-group "$resource_group" --name aci-dns \
  --template-file "$infra/main.bicep" --parameters "$parameters" --output none
app="$(output functionAppName.value)"
app_id="$(output functionAppId.value)"
storage_id="$(output storageAccountId.value)"
prefix="$(output namePrefix.value)"
topics="$(output topics.value json)"

step "publish $package to $app"
retry 10 30 az functionapp deployment source config-zip --subscription "$subscription" \
  --resource-group "$resource_group" --name "$app" --src "$package" --output none

step "wait for the functions"
for function in function_aci_reconcile function_drift_tracker; do
  retry 20 15 az functionapp function show --subscription "$subscription" --resource-group "$resource_group" \
    --name "$app" --function-name "$function" --query name --output tsv
done

step "subscribe to events"
retry 10 30 az deployment group create --subscription "$subscription" --resource-group "$resource_group" \
  --name aci-dns-subscriptions --template-file "$infra/subscriptions.bicep" --output none \
  --parameters "topics=$topics" "functionAppId=$app_id" "storageAccountId=$storage_id" "namePrefix=$prefix"

if [ -z "$smoke_test_subnet" ]; then
  printf '\n%s is deployed.\n' "$app"
  exit 0
fi

step "smoke test"
spoke='spokes.value[?!isPattern] | [0]'
spoke_subscription="$(output "$spoke.subscriptionId")"
spoke_group="$(output "$spoke.resourceGroup")"
zone_subscription="$(output "$spoke.zoneSubscriptionId")"
zone_group="$(output "$spoke.zoneResourceGroup")"
forward_zone="$(output "$spoke.forwardZone")"
mapfile -t reverse_zones < <(output "$spoke.reverseZones[]")
name="aci-dns-smoke-$RANDOM"

delete_group() {
  az container delete --subscription "$spoke_subscription" --resource-group "$spoke_group" --name "$name" --yes \
    --output none
}

address_of_record() {
  az network private-dns record-set a list --subscription "$zone_subscription" --resource-group "$zone_group" \
    --zone-name "$forward_zone" --query "[?name=='$name'].aRecords[0].ipv4Address" --output tsv
}

# The names of the PTR record sets that lead to the group.
reverse_names() {
  local zone
  for zone in "${reverse_zones[@]}"; do
    az network private-dns record-set ptr list --subscription "$zone_subscription" --resource-group "$zone_group" \
      --zone-name "$zone" --query "[?ptrRecords[?starts_with(ptrdname, '$name.$forward_zone')]].fqdn" --output tsv ||
      return
  done
}

records_are_there() {
  local found reverse
  found="$(address_of_record)" && reverse="$(reverse_names)" || return
  [ "$found" = "$address" ] && { [ "${#reverse_zones[@]}" -eq 0 ] || [ -n "$reverse" ]; }
}

records_are_gone() {
  local found reverse
  found="$(address_of_record)" && reverse="$(reverse_names)" || return
  [ -z "$found$reverse" ]
}

trap 'delete_group || true' EXIT
az container create --subscription "$spoke_subscription" --resource-group "$spoke_group" --name "$name" \
  --image mcr.microsoft.com/azuredocs/aci-helloworld --os-type Linux --cpu 1 --memory 1 \
  --ip-address Private --ports 80 --subnet "$smoke_test_subnet" --output none
address="$(az container show --subscription "$spoke_subscription" --resource-group "$spoke_group" --name "$name" \
  --query ipAddress.ip --output tsv)"
echo "$name has $address"
retry 24 10 records_are_there || { echo "its records did not come within four minutes" >&2; exit 1; }
echo "its records are there: $name.$forward_zone, $(reverse_names)"
trap - EXIT
delete_group
retry 24 10 records_are_gone || { echo "its records did not go within four minutes" >&2; exit 1; }
echo "its records are gone"
printf '\n%s is deployed and works.\n' "$app"
