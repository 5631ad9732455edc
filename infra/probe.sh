#!/usr/bin/env bash
# Proves that the app reads and deletes the messages of its retry queue.
#
#   infra/probe.sh STORAGE_ACCOUNT_ID
#
# A queue that answers 403 ends the Functions host, and with it every function. So before any event is delivered, a
# message with an event that the app ignores is put into the queue, and has to be deleted again. The number of messages
# is read from Resource Manager, which needs no right to the data. Putting the message needs the role Storage Queue Data
# Message Sender and, for a closed account, a network that reaches it.
set -euo pipefail
storage_id="${1:?the id of the storage account}"

now="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
event='{"id":"probe","eventType":"aci-dns.probe","subject":"/","eventTime":"'"$now"'","dataVersion":"1","metadataVersion":"1","data":{}}'
message="$(printf '{"version":1,"event":%s,"since":"%s"}' "$event" "$now" | base64 | tr -d '\n')"

count() {
  az rest --method get --url "$storage_id/queueServices/default/queues/aci-dns-retry?api-version=2023-05-01" \
    --query properties.approximateMessageCount --output tsv
}

# Invisible at first, so that it is counted before the app can take it.
if ! az storage message put --account-name "${storage_id##*/}" --queue-name aci-dns-retry --content "$message" \
  --visibility-timeout 60 --auth-mode login --only-show-errors --output none; then
  echo "no message can be put into the queue aci-dns-retry: that needs the role Storage Queue Data Message Sender on" >&2
  echo "$storage_id, and a network that reaches it" >&2
  exit 1
fi

most=0
for _ in $(seq 60); do
  messages="$(count)"
  if [ "$messages" -lt "$most" ]; then
    echo "the app reads its retry queue"
    exit 0
  fi
  most="$messages"
  sleep 15
done
echo "the app does not read its retry queue: the message is still there after 15 minutes." >&2
echo "Its identity needs the role Storage Queue Data Contributor on $storage_id." >&2
exit 1
