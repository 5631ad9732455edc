//! Resource ids of container groups.

pub(super) const DEFAULT_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
pub(super) const PROVIDER: &str = "Microsoft.ContainerInstance";

pub(super) fn group_id(subscription: &str, resource_group: &str, name: &str) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/{PROVIDER}/containerGroups/{name}"
    )
}
