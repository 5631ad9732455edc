//! A container group: its tags, and the state of its address.
//!
//! Rules: an address counts only while the group is provisioned and runs; a missing field never means
//! "deleted". The table is in `docs/design.md`, "The address"; the states are those of
//! <https://learn.microsoft.com/azure/container-instances/container-state>.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::domain::resource_id::ResourceId;

/// A container group as Resource Manager describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerGroup {
    /// Tags by name. Azure keeps the spelling of a tag's name but compares it without regard to case.
    pub tags: BTreeMap<String, String>,
    /// `properties.provisioningState`.
    pub provisioning_state: Option<String>,
    /// `properties.instanceView.state`; lists omit it.
    pub state: Option<String>,
    /// `properties.ipAddress`; a group without ports has none.
    pub ip_address: Option<IpAddress>,
    /// The state of each container; lists omit it.
    pub containers: Vec<Container>,
    /// `properties.restartPolicy`; `Always` if missing.
    pub restart_policy: Option<String>,
    /// `properties.subnetIds`, in lists only; a single read does not parse them.
    pub subnets: Vec<ResourceId>,
}

/// `instanceView.currentState` of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// `state`.
    pub state: Option<String>,
    /// `exitCode`, if the container ended.
    pub exit_code: Option<i64>,
}

/// `properties.ipAddress` of a container group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpAddress {
    /// `Private` or `Public`.
    pub kind: Option<String>,
    /// The address; missing, empty or `0.0.0.0` while it is being assigned.
    pub ip: Option<String>,
}

/// The three final states of the ARM resource provider contract; every other state, now or in a later
/// version, leads to one of them.
const FINAL: [&str; 3] = ["Succeeded", "Failed", "Canceled"];

/// The state of a container group's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressState {
    /// The group does not exist.
    Deleted,
    /// The group has a public address, which does not belong in a private zone.
    Public,
    /// The group is in a standby pool.
    StandbyPool,
    /// The group is being deleted.
    Deleting,
    /// The address is being assigned, or the group is between two restarts without one.
    Pending,
    /// The group was stopped, or has ended and is not restarted. Another workload may get its address.
    Released,
    /// The group runs at this address, or is between two restarts.
    Running(Ipv4Addr),
    /// The deployment failed, and the group has no address.
    ProvisioningFailed,
    /// The group runs without ports, so Azure reports no address.
    NoAddress,
}

impl AddressState {
    /// The state of a group, or of a missing group.
    #[must_use]
    pub fn of(group: Option<&ContainerGroup>) -> Self {
        group.map_or(Self::Deleted, ContainerGroup::address_state)
    }
}

impl ContainerGroup {
    /// Whether its containers may end without a restart, which raises no event.
    #[must_use]
    pub fn may_end(&self) -> bool {
        self.restart_policy.as_deref().is_some_and(|policy| !is(policy, "Always"))
    }

    /// Whether a deployment, a restart or a deletion is in progress.
    #[must_use]
    pub fn is_in_transition(&self) -> bool {
        let state = self.provisioning_state.as_deref().unwrap_or_default();
        !FINAL.iter().any(|end| is(state, end))
    }

    /// The address that Azure shows for the group, whatever its state.
    #[must_use]
    pub fn shown_address(&self) -> Option<Ipv4Addr> {
        self.ip_address.as_ref().and_then(IpAddress::usable)
    }

    fn address_state(&self) -> AddressState {
        let provisioning = self.provisioning_state.as_deref().unwrap_or_default();
        if self.ip_address.as_ref().and_then(|ip| ip.kind.as_deref()).is_some_and(|kind| is(kind, "Public")) {
            return AddressState::Public;
        }
        if is(provisioning, "PreProvisioned") {
            return AddressState::StandbyPool;
        }
        if is(provisioning, "Deleting") {
            return AddressState::Deleting;
        }
        if self.is_in_transition() {
            return AddressState::Pending;
        }
        if self.is_released() {
            return AddressState::Released;
        }
        match self.ip_address.as_ref().map(IpAddress::usable) {
            Some(Some(address)) => AddressState::Running(address),
            _ if is(provisioning, "Failed") => AddressState::ProvisioningFailed,
            None if self.runs() && is(provisioning, "Succeeded") => AddressState::NoAddress,
            None | Some(None) => AddressState::Pending,
        }
    }

    /// Whether the group is stopped, or every container has ended and none is restarted: with the restart
    /// policy `Never`, or with `OnFailure` after success. With `Always`, also if it is missing, an ended
    /// container is between two restarts.
    fn is_released(&self) -> bool {
        let state = self.state.as_deref().unwrap_or_default();
        if is(state, "Stopped") || is(state, "Terminated") {
            return true;
        }
        let is_ended = is(state, "Succeeded") || is(state, "Failed");
        let is_terminated =
            |container: &Container| container.state.as_deref().is_some_and(|state| is(state, "Terminated"));
        let policy = self.restart_policy.as_deref().unwrap_or_default();
        let stays_ended = |container: &Container| {
            is(policy, "Never") || (is(policy, "OnFailure") && container.exit_code == Some(0))
        };
        is_ended
            && !self.containers.is_empty()
            && self.containers.iter().all(|container| is_terminated(container) && stays_ended(container))
    }

    fn runs(&self) -> bool {
        self.state.as_deref().is_none_or(|state| is(state, "Running"))
    }
}

impl IpAddress {
    fn usable(&self) -> Option<Ipv4Addr> {
        self.ip.as_deref()?.trim().parse().ok().filter(|address: &Ipv4Addr| !address.is_unspecified())
    }
}

fn is(state: &str, expected: &str) -> bool {
    state.eq_ignore_ascii_case(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> ContainerGroup {
        ContainerGroup {
            provisioning_state: Some("Succeeded".into()),
            state: Some("Running".into()),
            ip_address: Some(private(Some("10.1.5.4"))),
            containers: vec![container("Running", None)],
            ..ContainerGroup::default()
        }
    }

    fn container(state: &str, exit_code: Option<i64>) -> Container {
        Container { state: Some(state.into()), exit_code }
    }

    fn private(ip: Option<&str>) -> IpAddress {
        IpAddress { kind: Some("Private".into()), ip: ip.map(str::to_owned) }
    }

    fn check(change: impl FnOnce(&mut ContainerGroup), expected: AddressState) {
        let mut group = running();
        change(&mut group);
        assert_eq!(AddressState::of(Some(&group)), expected, "{group:?}");
    }

    const LIVE: AddressState = AddressState::Running(Ipv4Addr::new(10, 1, 5, 4));

    #[test]
    fn a_missing_group_is_deleted() {
        assert_eq!(AddressState::of(None), AddressState::Deleted);
    }

    #[test]
    fn a_group_that_is_being_deleted_is_deleting() {
        check(|group| group.provisioning_state = Some("Deleting".into()), AddressState::Deleting);
    }

    #[test]
    fn a_group_of_a_standby_pool_is_not_managed() {
        check(|group| group.provisioning_state = Some("PreProvisioned".into()), AddressState::StandbyPool);
    }

    #[test]
    fn a_public_address_does_not_belong_in_a_private_zone() {
        check(
            |group| group.ip_address = Some(IpAddress { kind: Some("Public".into()), ip: None }),
            AddressState::Public,
        );
    }

    #[test]
    fn a_running_group_without_ports_has_no_address() {
        check(|group| group.ip_address = None, AddressState::NoAddress);
        for state in ["Pending", "Succeeded"] {
            check(
                |group| {
                    group.ip_address = None;
                    group.state = Some(state.into());
                },
                AddressState::Pending,
            );
        }
    }

    #[test]
    fn unfinished_provisioning_is_pending() {
        for state in ["Pending", "Creating", "Updating", "Repairing", "Accepted", "Unhealthy", "Novel", ""] {
            check(|group| group.provisioning_state = Some(state.into()), AddressState::Pending);
        }
        check(|group| group.provisioning_state = None, AddressState::Pending);
        check(
            |group| {
                group.provisioning_state = Some("Creating".into());
                group.ip_address = None;
                group.state = Some("Stopped".into());
            },
            AddressState::Pending,
        );
    }

    #[test]
    fn an_unusable_address_is_pending() {
        for ip in [None, Some(""), Some("0.0.0.0"), Some("::1"), Some("10.1.5")] {
            check(|group| group.ip_address = Some(private(ip)), AddressState::Pending);
        }
    }

    #[test]
    fn a_stopped_group_has_released_its_address() {
        check(|group| group.state = Some("Stopped".into()), AddressState::Released);
        check(|group| group.state = Some("Terminated".into()), AddressState::Released);
    }

    #[test]
    fn an_ended_group_has_released_its_address_unless_a_container_restarts() {
        let terminated = |exit_code| container("Terminated", exit_code);
        for state in ["Succeeded", "Failed"] {
            let ended = |policy: Option<&str>, containers: Vec<Container>, expected| {
                check(
                    |group| {
                        group.state = Some(state.into());
                        group.restart_policy = policy.map(str::to_owned);
                        group.containers = containers;
                    },
                    expected,
                );
            };
            ended(Some("Never"), vec![terminated(Some(0)), terminated(None)], AddressState::Released);
            ended(Some("onfailure"), vec![terminated(Some(0)); 2], AddressState::Released);
            ended(Some("OnFailure"), vec![terminated(Some(0)), terminated(Some(1))], LIVE);
            ended(Some("OnFailure"), vec![terminated(None)], LIVE);
            ended(Some("Always"), vec![terminated(Some(0))], LIVE);
            ended(None, vec![terminated(Some(0))], LIVE);
            ended(Some("Never"), vec![terminated(Some(0)), container("Running", None)], LIVE);
            ended(Some("Never"), vec![], LIVE);
        }
    }

    #[test]
    fn a_group_between_two_restarts_without_an_address_is_pending() {
        check(
            |group| {
                group.state = Some("Succeeded".into());
                group.containers = vec![container("Terminated", Some(0))];
                group.ip_address = None;
            },
            AddressState::Pending,
        );
    }

    #[test]
    fn a_running_group_has_its_address() {
        check(|_| (), LIVE);
        check(|group| group.provisioning_state = Some("Failed".into()), LIVE);
        check(|group| group.state = None, LIVE);
    }

    #[test]
    fn only_a_group_that_is_not_always_restarted_may_end() {
        for (policy, expected) in
            [(None, false), (Some("always"), false), (Some("OnFailure"), true), (Some("Never"), true)]
        {
            let group = ContainerGroup { restart_policy: policy.map(str::to_owned), ..running() };
            assert_eq!(group.may_end(), expected, "{policy:?}");
        }
    }

    #[test]
    fn a_failed_deployment_without_an_address_is_a_state_of_its_own() {
        for ip in [None, Some(private(None))] {
            check(
                |group| {
                    group.provisioning_state = Some("Failed".into());
                    group.ip_address = ip;
                },
                AddressState::ProvisioningFailed,
            );
        }
    }
}
