//! Rights: each action that the function needs, wherever it needs it.
//!
//! They are those of whoever asks, as the permissions API tells them, or of somebody else, as his roles grant them. Azure
//! adds up what all roles grant; what a role excepts, it only does not grant itself. Deny assignments, and conditions of
//! assignments, are not looked at.
//!
//! Source: <https://learn.microsoft.com/azure/role-based-access-control/role-definitions>.

use std::collections::BTreeMap;

use super::{
    diagnosis::{Check, Finding, State, Title, count, grant},
    evidence::Evidence,
};
use crate::{
    config::Policy,
    dns::RecordType,
    inventory::{Asker, Permission, Unseen},
    resource_id::{Scope, fold},
};

pub(super) const CONTAINER_GROUPS: Title = Title { group: "rights", name: "container groups can be read" };
pub(super) const RECORD_SETS: Title = Title { group: "rights", name: "record sets can be read and written" };

/// What the function does with container groups.
pub const OF_CONTAINER_GROUPS: [&str; 1] = ["Microsoft.ContainerInstance/containerGroups/read"];

/// What the function does with the record sets of a zone.
#[must_use]
pub fn of_zone(record_type: RecordType, policy: Policy) -> Vec<String> {
    let verbs = policy.record_set_verbs().iter();
    verbs.map(|verb| format!("Microsoft.Network/privateDnsZones/{record_type}/{verb}")).collect()
}

pub(super) fn of_container_groups(evidence: &Evidence, asker: &Asker) -> Check {
    let (holder, mut findings, mut looked) = (holder(evidence, asker), vec![], 0);
    let mut alone: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (scope, territory) in &evidence.scopes {
        let rights = match &territory.rights {
            Ok(Some(rights)) => rights,
            // It is told elsewhere that there is no such resource group.
            Ok(None) => continue,
            Err(unseen) => {
                findings.push(Finding::unseen(unseen, &scope.to_string(), asker));
                continue;
            }
        };
        looked += 1;
        for action in OF_CONTAINER_GROUPS.into_iter().filter(|action| !is_granted(rights, action)) {
            findings.push(Finding::new(
                State::Problem,
                format!("{action} is missing on {scope}"),
                "no group there can be read: every event of them ends in failed (500)",
                grant(&holder, "Reader", &scope.to_string()),
            ));
        }
        if is_granted_here_only(evidence, scope, rights) {
            alone.entry(scope.subscription()).or_default().extend(scope.resource_group());
        }
    }
    findings.extend(
        alone.iter().map(|(subscription, names)| of_resource_groups_alone(subscription, names, &holder)),
    );
    Check { title: CONTAINER_GROUPS, looked: of_whom(evidence, &count(looked, "scope")), findings }
}

/// A role assignment of a resource group is deleted with it, and then Azure answers 403 for its container groups.
fn is_granted_here_only(evidence: &Evidence, scope: &Scope, rights: &[Permission]) -> bool {
    let [action] = OF_CONTAINER_GROUPS;
    let is_granted_above = match evidence.subscriptions.get(scope.subscription()) {
        Some(Ok(whole)) => is_granted(whole.as_deref().unwrap_or_default(), action),
        // Who may not even read rights there has none. Of the rights of others that says nothing.
        Some(Err(Unseen::Forbidden { .. })) => evidence.principal.is_some(),
        Some(Err(Unseen::Failed(_))) | None => true,
    };
    scope.resource_group().is_some() && is_granted(rights, action) && !is_granted_above
}

/// One finding for each subscription in which rights go with their resource groups.
fn of_resource_groups_alone(subscription: &str, names: &[&str], holder: &Asker) -> Finding {
    let [action] = OF_CONTAINER_GROUPS;
    let subscription = format!("/subscriptions/{subscription}");
    Finding::new(
        State::Warning,
        format!("{action} is granted on {} only, not on {subscription}", names.join(", ")),
        "the right is deleted together with the resource group: then the delete events of its groups end in failed \
         (500), and their records stay until somebody who may read the subscription runs aci-dns sync",
        grant(holder, "Reader", &subscription),
    )
}

pub(super) fn of_record_sets(evidence: &Evidence, policy: Policy, asker: &Asker) -> Check {
    let (holder, mut findings, mut looked) = (holder(evidence, asker), vec![], 0);
    for sight in evidence.zones.values().filter(|sight| sight.state != Ok(None)) {
        let id = sight.zone.id();
        let rights = match &sight.rights {
            Ok(rights) => rights,
            Err(unseen) => {
                findings.push(Finding::unseen(unseen, &id, asker));
                continue;
            }
        };
        looked += 1;
        let record_type = if sight.reverse.is_some() { RecordType::Ptr } else { RecordType::A };
        for action in of_zone(record_type, policy).into_iter().filter(|action| !is_granted(rights, action)) {
            let (breaks, role) = match action.rsplit('/').next() {
                Some("read") => ("no record can be compared: every event ends in failed (500)", "Reader"),
                Some("write") => (
                    "names of new and moved groups stay wrong: their events end in failed (500)",
                    CONTRIBUTOR,
                ),
                _ => (
                    "records of groups that are gone, and old addresses, stay: their events end in failed (500)",
                    CONTRIBUTOR,
                ),
            };
            let what = format!("{action} is missing on {}", sight.zone);
            findings.push(Finding::new(State::Problem, what, breaks, grant(&holder, role, &id)));
        }
    }
    Check { title: RECORD_SETS, looked: of_whom(evidence, &count(looked, "zone")), findings }
}

/// Whose rights they are.
fn holder(evidence: &Evidence, asker: &Asker) -> Asker {
    match &evidence.principal {
        Some(principal) => Asker { object_id: Some(principal.clone()), ..Asker::default() },
        None => asker.clone(),
    }
}

fn of_whom(evidence: &Evidence, looked: &str) -> String {
    format!("{looked}, rights of {}", evidence.principal.as_deref().unwrap_or("whoever asks"))
}

const CONTRIBUTOR: &str = "Private DNS Zone Contributor";

/// Whether any of these grants an action.
fn is_granted(rights: &[Permission], action: &str) -> bool {
    let action = fold(action);
    let is_named = |patterns: &[String]| patterns.iter().any(|pattern| covers(&fold(pattern), &action));
    rights.iter().any(|right| is_named(&right.actions) && !is_named(&right.not_actions))
}

/// Whether a pattern, in which `*` stands for any text, stands for an action.
fn covers(pattern: &str, action: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == action };
    let Some(action) = action.strip_prefix(start) else { return false };
    // The shortest text that will do leaves the most to the rest; the last star takes whatever there is.
    let ends = action.char_indices().map(|(at, _)| at).chain([action.len()]);
    ends.filter_map(|at| action.get(at..)).any(|left| covers(rest, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(actions: &[&str], not_actions: &[&str]) -> Permission {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Permission { actions: owned(actions), not_actions: owned(not_actions) }
    }

    fn check(rights: &[Permission], expected: bool) {
        let action = "Microsoft.Network/privateDnsZones/A/read";
        assert_eq!(is_granted(rights, action), expected, "{rights:?}");
    }

    #[test]
    fn a_star_stands_for_any_text_and_case_does_not_count() {
        for (pattern, expected) in [
            ("*", true),
            ("*/read", true),
            ("*/READ", true),
            ("microsoft.network/privatednszones/*", true),
            ("Microsoft.Network/*/read", true),
            ("Microsoft.Network/*/A/*", true),
            ("Microsoft.Network/privateDnsZones/A/read", true),
            ("Microsoft.Network/privateDnsZones/A", false),
            ("Microsoft.Network/privateDnsZones/A/read/more", false),
            ("Microsoft.Network/privateDnsZones/PTR/*", false),
            ("Microsoft.Network/*/A/write", false),
            ("*/write", false),
            ("", false),
        ] {
            check(&[right(&[pattern], &[])], expected);
        }
    }

    #[test]
    fn what_one_role_excepts_another_may_grant() {
        check(&[], false);
        check(&[right(&["*"], &["Microsoft.Network/*/read"])], false);
        check(&[right(&["*"], &["*/write"])], true);
        check(&[right(&["*"], &["*/read"]), right(&["*/read"], &[])], true);
    }
}
