"""Stand-ins for the two Terraform providers, so that Terraform itself evaluates the module without a provider registry.

    python3 tests/infra/terraform_stand_in.py FOLDER     writes a mirror of both, and a CLI configuration that uses it
    python3 tests/infra/terraform_stand_in.py azurerm    is a provider; Terraform starts it

The stand-ins know the names, the types and the necessity of arguments, and nothing else: `terraform validate` and
`terraform test` with `mock_provider` ask for no more. So counts, loops, validations, references and values are checked
by Terraform; the schemas are copied by hand from the documentation of azurerm 5.2 and azapi 2.12, and only the real
providers can say whether they are right.
"""

import sys
from pathlib import Path

STRING, BOOL, NUMBER, DYNAMIC = '"string"', '"bool"', '"number"', '"dynamic"'
STRINGS, TAGS = '["list","string"]', '["map","string"]'
VERSIONS = {"hashicorp/azurerm": "5.2.0", "Azure/azapi": "2.12.0"}

# Arguments by name: a type; `!` in front of a name: required; `=` in front: computed. Blocks are dictionaries.
COMMON = {"!name": STRING, "!resource_group_name": STRING, "!location": STRING, "tags": TAGS, "=id": STRING}
PLACED = {"!name": STRING, "!resource_group_name": STRING, "tags": TAGS, "=id": STRING}
ACTION = {"action_groups": STRINGS}

AZURERM = {
    "azurerm_resource_group": {"!name": STRING, "!location": STRING, "tags": TAGS, "=id": STRING},
    "azurerm_user_assigned_identity": COMMON
    | {"=principal_id": STRING, "=client_id": STRING, "=tenant_id": STRING},
    "azurerm_subnet": {
        "!name": STRING,
        "!resource_group_name": STRING,
        "!virtual_network_name": STRING,
        "address_prefixes": STRINGS,
        "=id": STRING,
    },
    "azurerm_storage_account": COMMON
    | {
        "account_kind": STRING,
        "!account_tier": STRING,
        "!account_replication_type": STRING,
        "access_tier": STRING,
        "allow_nested_items_to_be_public": BOOL,
        "cross_tenant_replication_enabled": BOOL,
        "shared_access_key_enabled": BOOL,
        "default_to_oauth_authentication": BOOL,
        "local_user_enabled": BOOL,
        "min_tls_version": STRING,
        "https_traffic_only_enabled": BOOL,
        "public_network_access_enabled": BOOL,
        "network_rules": {"!default_action": STRING, "bypass": '["set","string"]'},
        "blob_properties": {
            "delete_retention_policy": {"days": NUMBER},
            "container_delete_retention_policy": {"days": NUMBER},
        },
        "=primary_blob_endpoint": STRING,
        "=primary_queue_endpoint": STRING,
        "=primary_table_endpoint": STRING,
    },
    "azurerm_storage_container": {"!name": STRING, "!storage_account_id": STRING, "=id": STRING},
    "azurerm_storage_management_policy": {
        "!storage_account_id": STRING,
        "=id": STRING,
        "rule": {
            "!name": STRING,
            "!enabled": BOOL,
            "filters": {"!blob_types": '["set","string"]', "prefix_match": '["set","string"]'},
            "actions": {"base_blob": {"delete_after_days_since_creation_greater_than": NUMBER}},
        },
    },
    "azurerm_private_endpoint": COMMON
    | {
        "!subnet_id": STRING,
        "private_service_connection": {
            "!name": STRING,
            "!is_manual_connection": BOOL,
            "private_connection_resource_id": STRING,
            "subresource_names": STRINGS,
        },
        "private_dns_zone_group": {"!name": STRING, "!private_dns_zone_ids": STRINGS},
    },
    "azurerm_log_analytics_workspace": COMMON
    | {"sku": STRING, "retention_in_days": NUMBER, "local_authentication_enabled": BOOL},
    "azurerm_application_insights": COMMON
    | {
        "!application_type": STRING,
        "workspace_id": STRING,
        "local_authentication_enabled": BOOL,
        "=connection_string!": STRING,
    },
    "azurerm_role_definition": {
        "role_definition_id": STRING,
        "!name": STRING,
        "!scope": STRING,
        "description": STRING,
        "assignable_scopes": STRINGS,
        "=id": STRING,
        "permissions": {"actions": STRINGS, "data_actions": '["set","string"]'},
    },
    "azurerm_role_assignment": {
        "name": STRING,
        "!scope": STRING,
        "role_definition_id": STRING,
        "!principal_id": STRING,
        "principal_type": STRING,
        "=id": STRING,
    },
    "azurerm_management_lock": {"!name": STRING, "!scope": STRING, "!lock_level": STRING, "notes": STRING, "=id": STRING},
    "azurerm_monitor_action_group": PLACED
    | {
        "!short_name": STRING,
        "email_receiver": {"!name": STRING, "!email_address": STRING, "use_common_alert_schema": BOOL},
    },
    "azurerm_monitor_diagnostic_setting": {
        "!name": STRING,
        "!target_resource_id": STRING,
        "log_analytics_workspace_id": STRING,
        "=id": STRING,
        "enabled_log": {"category": STRING, "category_group": STRING},
        "enabled_metric": {"!category": STRING},
    },
    "azurerm_monitor_scheduled_query_rules_alert_v2": COMMON
    | {
        "display_name": STRING,
        "description": STRING,
        "!severity": NUMBER,
        "!scopes": STRINGS,
        "evaluation_frequency": STRING,
        "!window_duration": STRING,
        "auto_mitigation_enabled": BOOL,
        "skip_query_validation": BOOL,
        "criteria": {
            "!query": STRING,
            "!time_aggregation_method": STRING,
            "!operator": STRING,
            "!threshold": NUMBER,
            "dimension": {"!name": STRING, "!operator": STRING, "!values": STRINGS},
            "failing_periods": {
                "!number_of_evaluation_periods": NUMBER,
                "!minimum_failing_periods_to_trigger_alert": NUMBER,
            },
        },
        "action": ACTION,
    },
    "azurerm_monitor_metric_alert": PLACED
    | {
        "description": STRING,
        "severity": NUMBER,
        "!scopes": '["set","string"]',
        "frequency": STRING,
        "window_size": STRING,
        "auto_mitigate": BOOL,
        "criteria": {
            "!metric_namespace": STRING,
            "!metric_name": STRING,
            "!aggregation": STRING,
            "!operator": STRING,
            "!threshold": NUMBER,
        },
        "action": {"!action_group_id": STRING},
    },
    "azurerm_application_insights_workbook": COMMON
    | {"!display_name": STRING, "source_id": STRING, "!data_json": STRING},
}
AZURERM_DATA = {
    "azurerm_client_config": {"=id": STRING, "=subscription_id": STRING, "=tenant_id": STRING, "=client_id": STRING},
}
AZURERM_PROVIDER = {
    "subscription_id": STRING,
    "resource_providers_to_register": '["set","string"]',
    "resource_provider_registrations": STRING,
    "storage_use_azuread": BOOL,
    "features": {},
}

TIMEOUTS = {"create": STRING, "update": STRING, "read": STRING, "delete": STRING}
AZAPI = {
    "azapi_resource": {
        "!type": STRING,
        "name": STRING,
        "parent_id": STRING,
        "location": STRING,
        "tags": TAGS,
        "body": DYNAMIC,
        "locks": STRINGS,
        "ignore_null_property": BOOL,
        "response_export_values": DYNAMIC,
        "retry": DYNAMIC,
        "=id": STRING,
        "=output": DYNAMIC,
        "identity": {"!type": STRING, "identity_ids": STRINGS, "=principal_id": STRING, "=tenant_id": STRING},
        "timeouts": TIMEOUTS,
    },
    "azapi_update_resource": {
        "!type": STRING,
        "name": STRING,
        "parent_id": STRING,
        "resource_id": STRING,
        "body": DYNAMIC,
        "=id": STRING,
        "=output": DYNAMIC,
    },
}
AZAPI_DATA = {
    "azapi_resource": {
        "!type": STRING,
        "name": STRING,
        "parent_id": STRING,
        "resource_id": STRING,
        "response_export_values": DYNAMIC,
        "=id": STRING,
        "=output": DYNAMIC,
    },
}
AZAPI_PROVIDER = {"subscription_id": STRING}


def install(folder: Path) -> Path:
    """Writes the mirror, and gives the path of the CLI configuration."""
    for source, version in VERSIONS.items():
        name = source.partition("/")[2]
        place = folder / "mirror" / "registry.terraform.io" / source / version / "linux_amd64"
        place.mkdir(parents=True, exist_ok=True)
        program = place / f"terraform-provider-{name}_v{version}"
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{Path(__file__).resolve()}' {name}\n")
        program.chmod(0o755)
    configuration = folder / "terraform.rc"
    mirror = f'filesystem_mirror {{\n    path = "{folder / "mirror"}"\n  }}'
    configuration.write_text(f"provider_installation {{\n  {mirror}\n}}\n")
    return configuration


def serve(name: str) -> None:
    from tf import runner, schema  # noqa: PLC0415: the mirror is written without them.
    from tf.gen import tfplugin_pb2 as protocol  # noqa: PLC0415

    class Kind:
        def __init__(self, text: str) -> None:
            self.text = text

        def tf_type(self) -> bytes:
            return self.text.encode()

        def encode(self, value: object) -> object:
            return value

        decode = encode

        def semantically_equal(self, one: object, other: object) -> bool:
            return one == other

    class Nested(schema.NestedBlock):
        """A block that may stand several times, in order; `timeouts` once."""

        def __init__(self, name: str, block: schema.Block) -> None:
            super().__init__(name, schema.NestMode.Set, block)

        def to_pb(self) -> object:
            modes = protocol.Schema.NestedBlock.NestingMode
            mode = modes.SINGLE if self.type_name == "timeouts" else modes.LIST
            return protocol.Schema.NestedBlock(type_name=self.type_name, block=self.block.to_pb(), nesting=mode)

        def encode(self, value: object) -> object:
            return value

        decode = encode

        def semantically_equal(self, one: object, other: object) -> bool:
            return one == other

    def parts(arguments: dict) -> dict:
        attributes, blocks = [], []
        for key, kind in arguments.items():
            if isinstance(kind, dict):
                blocks.append(Nested(key, schema.Block(**parts(kind))))
                continue
            is_required, is_computed = key.startswith("!"), key.startswith("=")
            attributes.append(
                schema.Attribute(
                    key.strip("!="),
                    Kind(kind),
                    required=is_required,
                    computed=is_computed,
                    optional=not is_required and not is_computed,
                    sensitive=is_computed and key.endswith("!"),
                )
            )
        return {"attributes": attributes, "block_types": blocks}

    def known(kinds: dict) -> list:
        def one(type_name: str, arguments: dict) -> type:
            class Known:
                def __init__(self, provider: object) -> None:
                    pass

                @classmethod
                def get_name(cls) -> str:
                    return type_name.removeprefix(f"{name}_")

                @classmethod
                def get_schema(cls) -> schema.Schema:
                    return schema.Schema(**parts(arguments))

                def validate(self, *_: object) -> None:
                    pass

                def read(self, _context: object, given: dict) -> dict:
                    # A data source of an example; what it reads is looked at nowhere.
                    return given

            return Known

        return [one(*item) for item in kinds.items()]

    resources, data_sources, arguments = {
        "azurerm": (AZURERM, AZURERM_DATA, AZURERM_PROVIDER),
        "azapi": (AZAPI, AZAPI_DATA, AZAPI_PROVIDER),
    }[name]

    class Provider:
        def get_model_prefix(self) -> str:
            return f"{name}_"

        def full_name(self) -> str:
            return next(source for source in VERSIONS if source.endswith(f"/{name}"))

        def get_provider_schema(self, _: object) -> schema.Schema:
            return schema.Schema(**parts(arguments))

        def validate_config(self, *_: object) -> None:
            pass

        configure_provider = validate_config

        def get_resources(self) -> list:
            return known(resources)

        def get_data_sources(self) -> list:
            return known(data_sources)

        def get_functions(self) -> list:
            return []

        def new_resource(self, kind: type) -> object:
            return kind(self)

        new_data_source = new_resource

    runner.run_provider(Provider(), sys.argv)


if __name__ == "__main__":
    if sys.argv[1] in ("azurerm", "azapi"):
        serve(sys.argv[1])
    else:
        print(install(Path(sys.argv[1]).resolve()))
