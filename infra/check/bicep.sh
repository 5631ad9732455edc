#!/usr/bin/env bash
# What only the Bicep compiler can say: that the templates compile, lint and are formatted, and what comes out of the
# example parameters.
#
#   infra/check/bicep.sh
#
# It needs `bicep` 0.36.1 or later on the PATH; `az bicep` has no `snapshot`. A snapshot that stands beside its
# parameter file is compared; otherwise the parameters are only evaluated, with everything that the templates refuse.
set -euo pipefail
infra="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp -R "$infra" "$work/infra"
cd "$work/infra"

bicep --version

for template in main.bicep subscriptions.bicep image-subscriptions.bicep; do
  bicep build "$template" --outfile "$work/template.json"
  bicep lint "$template"
done

while IFS= read -r -d '' file; do
  bicep format "$file" --outfile "$work/formatted.bicep"
  diff -u "$file" "$work/formatted.bicep"
done < <(find . -name '*.bicep' -print0)

evaluate() {
  bicep snapshot "$1" --mode "$2" --subscription-id 00000000-0000-0000-0000-00000000000a \
    --resource-group rg-aci-dns --location westeurope
}

for parameters in parameters/*.bicepparam; do
  bicep build-params "$parameters" --outfile "$work/parameters.json"
  if [ -e "${parameters%.bicepparam}.snapshot.json" ]; then
    evaluate "$parameters" validate
  else
    evaluate "$parameters" overwrite
  fi
done

# What the templates refuse; what they say then is shown.
refused() {
  printf "using '../main.bicep'\n%s\n" "$1" >parameters/refused.bicepparam
  if evaluate parameters/refused.bicepparam overwrite >"$work/said" 2>&1; then
    printf 'this is not refused:\n%s\n' "$1" >&2
    exit 1
  fi
  grep -F "$2" "$work/said"
}

zone="forwardZone: 'a.internal', reverseZones: []"
refused "param spokes = [{ resourceGroup: 'rg-*', zoneResourceGroup: 'rg-dns', $zone }]" 'No topic carries'
refused "param spokes = [{ resourceGroup: 'rg-*', $zone }]
param topics = [{ resourceGroup: 'rg-events', source: 'subscription' }]" 'needs a zoneResourceGroup'
refused "param spokes = [{ resourceGroup: 'rg', $zone }]
param privateEndpointSubnetId = '/subnet'" 'integrationSubnetId'
echo "the templates compile"
