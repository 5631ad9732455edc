#!/usr/bin/env bash
# Deploys aci-dns: checks what has to be there, shows what would change, applies it, publishes the package, and
# subscribes the functions to events. Running it again changes what is not as the parameters say, and nothing else.
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
  --images-package FILE  the package of the app that updates images, where the parameters ask for it; default: the one
                         beside --package, with -images in its name
  --stack ACTION         apply as a deployment stack; ACTION is what happens to resources that the parameters do not
                         call for any more: detach leaves them, delete deletes them, zones with their records included
  --skip-queue-probe     do not prove that the app reads its retry queue before it gets events: for deployers without the
                         role Storage Queue Data Message Sender, or outside of the network of a closed storage account
  --what-if              show what would change, and stop; nothing is changed
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

resource_group='' location='' parameters='' subscription='' package='' images_package='' stack='' smoke_test_subnet=''
what_if_only=false confirmed=false probing=true
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --what-if) what_if_only=true; shift; continue ;;
    --yes) confirmed=true; shift; continue ;;
    --skip-queue-probe) probing=false; shift; continue ;;
    --resource-group | --location | --parameters | --subscription | --package | --images-package | --stack | --smoke-test) ;;
    *) refuse "unknown argument: $1" ;;
  esac
  [ -n "${2:-}" ] || refuse "$1 needs a value"
  case "$1" in
    --resource-group) resource_group="$2" ;;
    --location) location="$2" ;;
    --parameters) parameters="$2" ;;
    --subscription) subscription="$2" ;;
    --package) package="$2" ;;
    --images-package) images_package="$2" ;;
    --stack) stack="$2" ;;
    --smoke-test) smoke_test_subnet="$2" ;;
  esac
  shift 2
done
[ -n "$resource_group" ] || refuse "--resource-group is required"
[ -n "$location" ] || refuse "--location is required"
[ -n "$parameters" ] || refuse "--parameters is required"
[ -r "$parameters" ] || refuse "$parameters cannot be read"
[ -z "$package" ] || [ -r "$package" ] || refuse "$package cannot be read"
[ -z "$images_package" ] || [ -r "$images_package" ] || refuse "$images_package cannot be read"
case "$stack" in
  '') on_unmanage='' ;;
  detach) on_unmanage=detachAll ;;
  delete) on_unmanage=deleteResources ;;
  *) refuse "--stack is detach or delete" ;;
esac

for tool in az python3; do
  if ! command -v "$tool" >/dev/null; then
    printf '%s is missing; nothing was changed\n' "$tool" >&2
    [ "$tool" != az ] || echo 'Install the Azure CLI (https://aka.ms/azure-cli), and sign in with: az login' >&2
    exit 1
  fi
done

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

# Until the host shows these functions of an app.
wait_for_functions() {
  local app="$1" function
  shift
  for function in "$@"; do
    retry 20 15 az functionapp function show --subscription "$subscription" --resource-group "$resource_group" \
      --name "$app" --function-name "$function" --query name --output tsv
  done
}

# An output of main.bicep.
output() {
  if [ -n "$stack" ]; then
    az stack group show --subscription "$subscription" --resource-group "$resource_group" --name aci-dns \
      --query "outputs.$1" --output "${2:-tsv}"
  else
    az deployment group show --subscription "$subscription" --resource-group "$resource_group" --name aci-dns \
      --query "properties.outputs.$1" --output "${2:-tsv}"
  fi
}

step "tools"
"$infra/publish.sh" --check
python3 --version

step "subscription"
if [ -z "$subscription" ]; then
  subscription="$(az account show --query id --output tsv)"
fi
echo "$subscription"

step "parameters"
case "$parameters" in
  *.bicepparam) given="$(az bicep build-params --file "$parameters" --stdout)" ;;
  *) given="$(cat "$parameters")" ;;
esac
all_facts="$(python3 "$infra/preflight.py" facts "$subscription" "$resource_group" <<<"$given")"

# The facts of one kind that the parameters give; see preflight.py.
facts() {
  awk -F '\t' -v kind="$1" '$1 == kind { sub(/^[^\t]*\t/, ""); print }' <<<"$all_facts"
}

updates_images=false
if facts role | grep -q '^aci-dns image updates'; then
  updates_images=true
  if [ -n "$package" ]; then
    images_package="${images_package:-${package%.zip}-images.zip}"
    [ -r "$images_package" ] || refuse "$images_package cannot be read: the parameters ask for image updates"
  fi
fi

step "resource groups"
missing=0
groups="$(facts group)"
while IFS=$'\t' read -r -u 3 group_subscription group purpose; do
  [ -n "$group" ] || continue
  if [ "$group_subscription/$group" = "$subscription/$resource_group" ]; then
    continue
  fi
  exists="$(az group exists --subscription "$group_subscription" --name "$group")"
  if [ "$exists" != true ]; then
    printf 'the resource group %s in subscription %s does not exist (%s)\n' "$group" "$group_subscription" "$purpose" >&2
    missing=$((missing + 1))
  fi
done 3<<<"$groups"
if [ "$missing" -gt 0 ]; then
  echo "only $resource_group is created here: create the others first, or correct the parameters" >&2
  exit 1
fi
group_exists="$(az group exists --subscription "$subscription" --name "$resource_group")"

step "tags of zones"
found=''
zone_groups="$(facts zone | cut -f 1,2 | sort -u)"
while IFS=$'\t' read -r -u 3 zone_subscription zone_group; do
  [ -n "$zone_group" ] || continue
  zones="$(az network private-dns zone list --subscription "$zone_subscription" --resource-group "$zone_group" \
    --query '[].{name: name, tags: tags}' --output json)"
  found+="found"$'\t'"$zone_subscription"$'\t'"$zone_group"$'\t'"${zones//$'\n'/ }"$'\n'
done 3<<<"$zone_groups"
zone_tags="$(python3 "$infra/preflight.py" tags <<<"$all_facts"$'\n'"${found%$'\n'}")"
echo "$zone_tags"

step "what would change"
if [ "$group_exists" = true ]; then
  az deployment group what-if --subscription "$subscription" --resource-group "$resource_group" --name aci-dns \
    --template-file "$infra/main.bicep" --parameters "$parameters" "zoneTags=$zone_tags"
else
  echo "+ the resource group $resource_group in $location, and all that main.bicep describes"
  echo "  (Azure shows no details for a resource group that does not exist)"
fi

step "what would change, and what-if does not show"
facts role | sed 's/^/role: /'
while IFS=$'\t' read -r -u 3 who role scope; do
  printf 'right: %s: %s: %s\n' "$who" "$role" "$scope"
done 3<<<"$(facts grant)"
unregistered=()
providers="$(facts provider | sort)"
listed='' registered=''
while IFS=$'\t' read -r -u 3 provider_subscription namespace; do
  if [ "$provider_subscription" != "$listed" ]; then
    registered="$(az provider list --subscription "$provider_subscription" \
      --query "[?registrationState=='Registered'].namespace" --output tsv)"
    listed="$provider_subscription"
  fi
  if ! grep -qixF "$namespace" <<<"$registered"; then
    printf 'resource provider to register: %s in subscription %s\n' "$namespace" "$provider_subscription"
    unregistered+=("$provider_subscription"$'\t'"$namespace")
  fi
done 3<<<"$providers"

if [ "$what_if_only" = true ]; then
  exit 0
fi
if [ "$confirmed" = false ]; then
  read -r -p 'Apply this? [y/N] ' answer
  [ "$answer" = y ] || exit 1
fi

if [ "${#unregistered[@]}" -gt 0 ]; then
  step "register resource providers"
  for provider in "${unregistered[@]}"; do
    IFS=$'\t' read -r provider_subscription namespace <<<"$provider"
    echo "$namespace in $provider_subscription"
    if ! az provider register --subscription "$provider_subscription" --namespace "$namespace" --wait; then
      printf 'an identity with the right %s/register/action in subscription %s has to run:\n' \
        "$namespace" "$provider_subscription" >&2
      printf '  az provider register --subscription %s --namespace %s --wait\n' \
        "$provider_subscription" "$namespace" >&2
      exit 1
    fi
  done
fi

if [ "$group_exists" != true ]; then
  step "resource group $resource_group"
  az group create --subscription "$subscription" --name "$resource_group" --location "$location" --output none
fi

if [ -z "$package" ]; then
  step "package"
  package="$("$infra/package.sh")"
fi
images_package="${images_package:-${package%.zip}-images.zip}"

step "apply"
if [ -n "$stack" ]; then
  az stack group create --subscription "$subscription" --resource-group "$resource_group" --name aci-dns \
    --template-file "$infra/main.bicep" --parameters "$parameters" "zoneTags=$zone_tags" \
    --action-on-unmanage "$on_unmanage" --deny-settings-mode none --yes --output none
else
  az deployment group create --subscription "$subscription" --resource-group "$resource_group" --name aci-dns \
    --template-file "$infra/main.bicep" --parameters "$parameters" "zoneTags=$zone_tags" --output none
fi
app="$(output functionAppName.value)"
app_id="$(output functionAppId.value)"
storage_id="$(output storageAccountId.value)"
prefix="$(output namePrefix.value)"
topics="$(output topics.value json)"

step "publish $package to $app"
"$infra/publish.sh" "$subscription" "$resource_group" "$app" "$package"

step "wait for the functions"
wait_for_functions "$app" function_aci_reconcile function_aci_retry function_drift_tracker

step "retry queue"
if [ "$(output retryQueue.value)" != true ]; then
  echo "not used: Event Grid delivers unfinished events again"
elif [ "$probing" = false ]; then
  echo "not proved: --skip-queue-probe"
else
  "$infra/probe.sh" "$storage_id" || { echo "or pass --skip-queue-probe to go on without this proof" >&2; exit 1; }
fi

step "subscribe to events"
retry 10 30 az deployment group create --subscription "$subscription" --resource-group "$resource_group" \
  --name aci-dns-subscriptions --template-file "$infra/subscriptions.bicep" --output none \
  --parameters "topics=$topics" "functionAppId=$app_id" "storageAccountId=$storage_id" "namePrefix=$prefix"

if [ "$updates_images" = true ]; then
  images_app="$(output imagesFunctionAppName.value)"
  images_app_id="$(output imagesFunctionAppId.value)"
  images_storage_id="$(output imagesStorageAccountId.value)"
  image_topics="$(output imageTopics.value json)"

  step "publish $images_package to $images_app"
  "$infra/publish.sh" "$subscription" "$resource_group" "$images_app" "$images_package"

  step "wait for the functions of $images_app"
  wait_for_functions "$images_app" function_image_pushed function_image_retry function_image_webhook

  step "subscribe to pushes"
  retry 10 30 az deployment group create --subscription "$subscription" --resource-group "$resource_group" \
    --name aci-dns-image-subscriptions --template-file "$infra/image-subscriptions.bicep" --output none \
    --parameters "imageTopics=$image_topics" "imagesFunctionAppId=$images_app_id" \
    "imagesStorageAccountId=$images_storage_id" "namePrefix=$prefix"
fi

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
# Not as a process substitution: its failure would go unseen.
reverse_zone_lines="$(output "$spoke.reverseZones[]")"
reverse_zones=()
[ -z "$reverse_zone_lines" ] || mapfile -t reverse_zones <<<"$reverse_zone_lines"
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
