//! Rights: each action that the function needs, at each scope where it needs it.
//!
//! The rights are those of the caller, from the permissions API, or those of another principal, from its
//! roles. Azure adds up what all roles grant; an exception only limits its own role. Deny assignments and
//! conditions of assignments are not checked.
//!
//! Source: <https://learn.microsoft.com/azure/role-based-access-control/role-definitions>.

use std::collections::BTreeMap;

use super::{
    diagnosis::{Check, Finding, Severity, Title, count, grant},
    evidence::Inspection,
};
use crate::{
    config::Policy,
    domain::{
        dns::RecordType,
        inventory::{Caller, Permission, Unseen},
        resource_id::{Scope, fold},
    },
};

pub(super) const CONTAINER_GROUPS: Title = Title { group: "rights", name: "container groups can be read" };
pub(super) const RECORD_SETS: Title = Title { group: "rights", name: "record sets can be read and written" };

/// The actions of the function on container groups.
pub const OF_CONTAINER_GROUPS: [&str; 1] = ["Microsoft.ContainerInstance/containerGroups/read"];

/// The actions of the function on the record sets of a zone.
#[must_use]
pub fn of_zone(record_type: RecordType, policy: Policy) -> Vec<String> {
    let verbs = policy.record_set_verbs().iter();
    verbs.map(|verb| format!("Microsoft.Network/privateDnsZones/{record_type}/{verb}")).collect()
}

pub(super) fn of_container_groups(evidence: &Inspection, caller: &Caller) -> Check {
    let (holder, mut findings, mut examined) = (holder(evidence, caller), vec![], 0);
    let mut own_only: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (scope, found) in &evidence.scopes {
        let rights = match &found.rights {
            Ok(Some(rights)) => rights,
            // Another check reports the missing resource group.
            Ok(None) => continue,
            Err(unseen) => {
                findings.push(Finding::unseen(unseen, &scope.to_string(), caller));
                continue;
            }
        };
        examined += 1;
        for action in OF_CONTAINER_GROUPS.into_iter().filter(|action| !is_granted(rights, action)) {
            findings.push(Finding::new(
                Severity::Problem,
                format!("{action} is missing on {scope}"),
                "no container group there can be read: every event ends in failed (500)",
                grant(&holder, "Reader", &scope.to_string()),
            ));
        }
        if is_granted_here_only(evidence, scope, rights) {
            own_only.entry(scope.subscription()).or_default().extend(scope.resource_group());
        }
    }
    findings.extend(
        own_only.iter().map(|(subscription, names)| of_resource_groups_only(subscription, names, &holder)),
    );
    Check { title: CONTAINER_GROUPS, examined: principal_text(evidence, &count(examined, "scope")), findings }
}

/// A role assignment at a resource group is deleted with the group; then Azure answers 403 for its container
/// groups.
fn is_granted_here_only(evidence: &Inspection, scope: &Scope, rights: &[Permission]) -> bool {
    let [action] = OF_CONTAINER_GROUPS;
    let is_granted_above = match evidence.subscriptions.get(scope.subscription()) {
        Some(Ok(whole)) => is_granted(whole.as_deref().unwrap_or_default(), action),
        // A caller who may not read the rights has none there. For another principal, that proves nothing.
        Some(Err(Unseen::Forbidden { .. })) => evidence.principal.is_some(),
        Some(Err(Unseen::Failed(_))) | None => true,
    };
    scope.resource_group().is_some() && is_granted(rights, action) && !is_granted_above
}

/// One finding for each subscription in which rights are deleted with their resource groups.
fn of_resource_groups_only(subscription: &str, names: &[&str], holder: &Caller) -> Finding {
    let [action] = OF_CONTAINER_GROUPS;
    let subscription = format!("/subscriptions/{subscription}");
    Finding::new(
        Severity::Warning,
        format!("{action} is granted on {} only, not on {subscription}", names.join(", ")),
        "the right is deleted together with the resource group: then the delete events of its groups end in failed \
         (500), and their records stay until a person with read access to the subscription runs aci-dns sync",
        grant(holder, "Reader", &subscription),
    )
}

pub(super) fn of_record_sets(evidence: &Inspection, policy: Policy, caller: &Caller) -> Check {
    let (holder, mut findings, mut examined) = (holder(evidence, caller), vec![], 0);
    for inspection in evidence.zones.values().filter(|inspection| inspection.state != Ok(None)) {
        let id = inspection.zone.id();
        let rights = match &inspection.rights {
            Ok(rights) => rights,
            Err(unseen) => {
                findings.push(Finding::unseen(unseen, &id, caller));
                continue;
            }
        };
        examined += 1;
        let record_type = if inspection.reverse.is_some() { RecordType::Ptr } else { RecordType::A };
        for action in of_zone(record_type, policy).into_iter().filter(|action| !is_granted(rights, action)) {
            let (impact, role) = match action.rsplit('/').next() {
                Some("read") => ("no record can be compared: every event ends in failed (500)", "Reader"),
                Some("write") => (
                    "the names of new and moved groups are not corrected: their events end in failed (500)",
                    CONTRIBUTOR,
                ),
                _ => (
                    "the records of deleted groups and old addresses are not removed: their events end in failed (500)",
                    CONTRIBUTOR,
                ),
            };
            let what = format!("{action} is missing on {}", inspection.zone);
            findings.push(Finding::new(Severity::Problem, what, impact, grant(&holder, role, &id)));
        }
    }
    Check { title: RECORD_SETS, examined: principal_text(evidence, &count(examined, "zone")), findings }
}

/// The principal whose rights are checked.
pub(super) fn holder(evidence: &Inspection, caller: &Caller) -> Caller {
    match &evidence.principal {
        Some(principal) => Caller { object_id: Some(principal.clone()), ..Caller::default() },
        None => caller.clone(),
    }
}

pub(super) fn principal_text(evidence: &Inspection, examined: &str) -> String {
    format!("{examined}, rights of {}", evidence.principal.as_deref().unwrap_or("the caller"))
}

const CONTRIBUTOR: &str = "Private DNS Zone Contributor";

/// Whether any permission grants an action.
fn is_granted(rights: &[Permission], action: &str) -> bool {
    let action = fold(action);
    let is_named = |patterns: &[String]| patterns.iter().any(|pattern| covers(&fold(pattern), &action));
    rights.iter().any(|right| is_named(&right.actions) && !is_named(&right.not_actions))
}

/// Whether any permission grants a data action.
pub(super) fn is_data_granted(rights: &[Permission], action: &str) -> bool {
    let action = fold(action);
    let is_named = |patterns: &[String]| patterns.iter().any(|pattern| covers(&fold(pattern), &action));
    rights.iter().any(|right| is_named(&right.data_actions) && !is_named(&right.not_data_actions))
}

/// Whether a pattern, in which `*` stands for any text, matches an action.
fn covers(pattern: &str, action: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == action };
    let Some(action) = action.strip_prefix(start) else { return false };
    // The shortest match of each star leaves the most for the rest; the last star matches the remainder.
    let ends = action.char_indices().map(|(at, _)| at).chain([action.len()]);
    ends.filter_map(|at| action.get(at..)).any(|left| covers(rest, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(actions: &[&str], not_actions: &[&str]) -> Permission {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Permission { actions: owned(actions), not_actions: owned(not_actions), ..Permission::default() }
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
    fn an_exception_of_one_role_does_not_limit_another_role() {
        check(&[], false);
        check(&[right(&["*"], &["Microsoft.Network/*/read"])], false);
        check(&[right(&["*"], &["*/write"])], true);
        check(&[right(&["*"], &["*/read"]), right(&["*/read"], &[])], true);
    }
}
