//! The container group as this crate cares about it: its tags, and what its address is treated as.
//!
//! Rules: an address counts only when the group is provisioned and runs; a field that Azure left out never
//! reads as "gone". The table is section 3.2 of the design; the states are those of
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
    /// `instanceView.currentState.state` of each container; lists leave it out.
    pub containers: Vec<Option<String>>,
    /// `properties.restartPolicy`; `Always` where it is left out.
    pub restart_policy: Option<String>,
    /// `properties.subnetIds`, as lists tell them; of a group that is asked for by itself they are not read.
    pub subnets: Vec<ResourceId>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressState {
    /// There is no such group.
    Deleted,
    /// The group is on its way out; its address is given up, its mark holds until it is gone.
    Deleting,
    /// The group is reached by a public address, which has no place in a private zone.
    Public,
    /// The group runs and was deployed without ports, so Azure tells no address of it.
    NoAddress,
    /// The address is being assigned.
    Pending,
    /// The group was stopped or has run to its end; its address may go to another workload.
    Released,
    /// The group runs at this address.
    Running(Ipv4Addr),
}

impl AddressState {
    /// What a group (or its absence) is treated as.
    #[must_use]
    pub fn of(group: Option<&ContainerGroup>) -> Self {
        group.map_or(Self::Deleted, ContainerGroup::standing)
    }
}

impl ContainerGroup {
    /// Whether its containers may run to their end, of which no event tells.
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

    fn standing(&self) -> AddressState {
        let provisioning = self.provisioning_state.as_deref().unwrap_or_default();
        if is(provisioning, "Deleting") {
            return AddressState::Deleting;
        }
        if self.ip_address.as_ref().and_then(|ip| ip.kind.as_deref()).is_some_and(|kind| is(kind, "Public")) {
            return AddressState::Public;
        }
        if self.is_in_transition() {
            return AddressState::Pending;
        }
        if self.is_released() {
            return AddressState::Released;
        }
        match &self.ip_address {
            Some(ip) => ip.usable().map_or(AddressState::Pending, AddressState::Running),
            None if self.runs() && is(provisioning, "Succeeded") => AddressState::NoAddress,
            None => AddressState::Pending,
        }
    }

    fn is_released(&self) -> bool {
        let state = self.state.as_deref().unwrap_or_default();
        let ended = ["Succeeded", "Failed"].iter().any(|end| is(state, end));
        let terminated =
            |container: &Option<String>| container.as_deref().is_some_and(|state| is(state, "Terminated"));
        is(state, "Stopped")
            || (ended && !self.containers.is_empty() && self.containers.iter().all(terminated))
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
            containers: vec![Some("Running".into())],
            ..ContainerGroup::default()
        }
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
    fn a_deleting_group_gives_up_its_address() {
        check(|group| group.provisioning_state = Some("Deleting".into()), AddressState::Deleting);
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
        for state in [
            "Pending",
            "Creating",
            "Updating",
            "Repairing",
            "Accepted",
            "PreProvisioned",
            "Unhealthy",
            "Novel",
            "",
        ] {
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
    }

    #[test]
    fn a_group_that_ran_to_its_end_has_released_its_address() {
        for state in ["Succeeded", "Failed"] {
            check(
                |group| {
                    group.state = Some(state.into());
                    group.containers = vec![Some("Terminated".into()); 2];
                },
                AddressState::Released,
            );
            check(
                |group| {
                    group.state = Some(state.into());
                    group.containers = vec![Some("Terminated".into()), Some("Running".into())];
                },
                LIVE,
            );
            check(
                |group| {
                    group.state = Some(state.into());
                    group.containers = vec![];
                },
                LIVE,
            );
        }
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
    fn a_failed_deployment_without_an_address_is_waited_for() {
        check(
            |group| {
                group.provisioning_state = Some("Failed".into());
                group.ip_address = None;
            },
            AddressState::Pending,
        );
    }
}
