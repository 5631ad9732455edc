#!/usr/bin/env bash
# Makes the records of one container group right with the Azure CLI: reads, and writes only what differs.
#
#   cli.sh RESOURCE_GROUP NAME ZONE_RESOURCE_GROUP FORWARD_ZONE REVERSE_ZONE TTL
set -euo pipefail
group=$1 name=$2 zones=$3 forward=$4 reverse=$5 ttl=$6

# What a command prints; nothing when it says that there is no such thing, which is exit code 3.
found() {
  local code=0
  "$@" || code=$?
  [ "$code" = 0 ] || [ "$code" = 3 ]
}

a() {
  verb=$1
  shift
  az network private-dns record-set a "$verb" --resource-group "$zones" --zone-name "$forward" "$@"
}

ptr() {
  verb=$1
  shift
  az network private-dns record-set ptr "$verb" --resource-group "$zones" --zone-name "$reverse" "$@"
}

relative() {
  IFS=. read -r first second third fourth <<<"$1"
  full="$fourth.$third.$second.$first.in-addr.arpa"
  echo "${full%".$reverse"}"
}

address=$(found az container show --resource-group "$group" --name "$name" --query ipAddress.ip --output tsv)
before=$(found a show --name "$name" --query 'aRecords[0].ipv4Address' --output tsv)

if [ -z "$address" ]; then
  if [ -n "$before" ]; then
    ptr delete --name "$(relative "$before")" --yes
    a delete --name "$name" --yes
  fi
  echo "$name: gone"
  exit
fi

if [ -z "$before" ]; then
  a create --name "$name" --ttl "$ttl" --output none
  a add-record --record-set-name "$name" --ipv4-address "$address" --output none
elif [ "$before" != "$address" ]; then
  a update --name "$name" --set "aRecords[0].ipv4Address=$address" --output none
  ptr delete --name "$(relative "$before")" --yes
fi
target=$(found ptr show --name "$(relative "$address")" --query 'ptrRecords[0].ptrdname' --output tsv)
if [ "$target" != "$name.$forward" ]; then
  ptr create --name "$(relative "$address")" --ttl "$ttl" --output none
  ptr add-record --record-set-name "$(relative "$address")" --ptrdname "$name.$forward" --output none
fi
echo "$name: $address"
