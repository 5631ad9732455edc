//! The container group as this crate cares about it: its tags, and what its address is treated as.
//!
//! Rules: an address counts only when the group is provisioned and runs; a field that Azure left out never
//! reads as "gone". The table is in `docs/design.md`, "The address"; the states are those of
//! <https://learn.microsoft.com/azure/container-instances/container-state>.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::resource_id::ResourceId;

/// A container group as Resource Manager described it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerGroup {
    /// Tags by name. Azure keeps the spelling of a tag's name but compares it without regard to case.
    pub tags: BTreeMap<String, String>,
    /// `properties.provisioningState`.
    pub provisioning_state: Option<String>,
    /// `properties.instanceView.state`; lists leave it out.
    pub state: Option<String>,
    /// `properties.ipAddress`; a group without ports has none.
    pub ip_address: Option<IpAddress>,
    /// What each container does; lists leave it out.
    pub containers: Vec<Container>,
    /// `properties.restartPolicy`; `Always` where it is left out.
    pub restart_policy: Option<String>,
    /// `properties.subnetIds`, as lists tell them; of a group that is asked for by itself they are not read.
    pub subnets: Vec<ResourceId>,
}

/// `instanceView.currentState` of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// `state`.
    pub state: Option<String>,
    /// `exitCode`, where the container ended.
    pub exit_code: Option<i64>,
}

/// `properties.ipAddress` of a container group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpAddress {
    /// `Private` or `Public`.
    pub kind: Option<String>,
    /// The address; absent, empty or `0.0.0.0` while it is being assigned.
    pub ip: Option<String>,
}

/// The three final states of the ARM resource provider contract; whatever else a service says, now or in a later
/// version, is on its way to one of them.
const FINAL: [&str; 3] = ["Succeeded", "Failed", "Canceled"];

/// What a container group's address is treated as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressState {
    /// There is no such group.
    Deleted,
    /// The group has a public address, which has no place in a private zone.
    Public,
    /// The group waits in a standby pool.
    StandbyPool,
    /// The group is being deleted.
    Deleting,
    /// The address is being assigned, or the group is between two restarts without one.
    Pending,
    /// The group was stopped, or has run to its end and is not started again. Its address may go to another workload.
    Released,
    /// The group runs at this address, or is between two restarts.
    Running(Ipv4Addr),
    /// The deployment failed, and the group has no address.
    ProvisioningFailed,
    /// The group runs and was deployed without ports, so Azure shows no address.
    NoAddress,
}

impl AddressState {
    /// What a group (or its absence) is treated as.
    #[must_use]
    pub fn of(group: Option<&ContainerGroup>) -> Self {
        group.map_or(Self::Deleted, ContainerGroup::address_state)
    }
}

impl ContainerGroup {
    /// Whether its containers may end and stay ended, which raises no event.
    #[must_use]
    pub fn may_end(&self) -> bool {
        self.restart_policy.as_deref().is_some_and(|policy| !is(policy, "Always"))
    }

    /// Whether a deployment, a restart or a deletion of it is under way.
    #[must_use]
    pub fn is_in_transition(&self) -> bool {
        let state = self.provisioning_state.as_deref().unwrap_or_default();
        !FINAL.iter().any(|end| is(state, end))
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

    /// Whether the group is stopped, or every container has ended and none is started again: with the restart policy
    /// `Never`, or with `OnFailure` after success. With `Always`, which a missing policy means, an ended container is
    /// between two restarts.
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
    fn a_group_that_is_not_there_is_gone() {
        assert_eq!(AddressState::of(None), AddressState::Deleted);
    }

    #[test]
    fn a_group_that_is_being_deleted_is_waited_for() {
        check(|group| group.provisioning_state = Some("Deleting".into()), AddressState::Deleting);
    }

    #[test]
    fn a_group_of_a_standby_pool_is_not_managed() {
        check(|group| group.provisioning_state = Some("PreProvisioned".into()), AddressState::StandbyPool);
    }

    #[test]
    fn a_public_address_has_no_place_in_a_private_zone() {
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
    fn provisioning_that_is_not_final_is_waited_for() {
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
    fn an_address_that_cannot_be_used_is_waited_for() {
        for ip in [None, Some(""), Some("0.0.0.0"), Some("::1"), Some("10.1.5")] {
            check(|group| group.ip_address = Some(private(ip)), AddressState::Pending);
        }
    }

    #[test]
    fn a_stopped_group_has_released_its_address_whatever_it_says() {
        check(|group| group.state = Some("Stopped".into()), AddressState::Released);
        check(|group| group.state = Some("Terminated".into()), AddressState::Released);
    }

    #[test]
    fn a_group_that_ended_has_released_its_address_unless_a_container_is_started_again() {
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
    fn a_group_between_two_restarts_without_an_address_is_waited_for() {
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
