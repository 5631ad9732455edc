"""The Python function of articles on this subject, written well: warm, with Microsoft's clients.

Clients, connections and the token are kept between events. The live group and the live record sets are read, and only
what differs is written. There are no conditional writes, no ownership, no memory and no second look.
"""

import os

from azure.core.exceptions import ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.containerinstance import ContainerInstanceManagementClient
from azure.mgmt.privatedns import PrivateDnsManagementClient
from azure.mgmt.privatedns.models import ARecord, PtrRecord, RecordSet

import worker

ENDPOINT = os.environ["ACI_DNS_ARM_ENDPOINT"].rstrip("/")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
CREDENTIAL = ManagedIdentityCredential()
GROUPS = ContainerInstanceManagementClient(CREDENTIAL, SUBSCRIPTION, base_url=ENDPOINT).container_groups
RECORDS = PrivateDnsManagementClient(CREDENTIAL, SUBSCRIPTION, base_url=ENDPOINT).record_sets


def found(operation, *arguments):
    try:
        return operation(*arguments, enforce_https=False)
    except ResourceNotFoundError:
        return None


def reconcile(_subscription, resource_group, name):
    zones = worker.Zones(resource_group)

    def forward(operation, *arguments):
        return found(operation, zones.resource_group, zones.forward, "A", name, *arguments)

    def reverse(operation, address, *arguments):
        relative = zones.relative_reverse_name(address)
        return found(operation, zones.resource_group, zones.reverse, "PTR", relative, *arguments)

    group = found(GROUPS.get, resource_group, name)
    address = group.ip_address.ip if group and group.ip_address else None
    known = forward(RECORDS.get)
    before = [record.ipv4_address for record in known.a_records or []] if known else []
    if address is None:
        for old in before:
            reverse(RECORDS.delete, old)
        if known:
            forward(RECORDS.delete)
        return f"{name}: gone"

    if before != [address] or known.ttl != zones.ttl:
        forward(RECORDS.create_or_update, RecordSet(ttl=zones.ttl, a_records=[ARecord(ipv4_address=address)]))
    for old in before:
        if old != address:
            reverse(RECORDS.delete, old)
    fqdn = f"{name}.{zones.forward}"
    pointer = reverse(RECORDS.get, address)
    if not pointer or [record.ptrdname for record in pointer.ptr_records or []] != [fqdn]:
        reverse(
            RECORDS.create_or_update, address, RecordSet(ttl=zones.ttl, ptr_records=[PtrRecord(ptrdname=fqdn)])
        )
    return f"{name}: {address}"


worker.serve(reconcile)
