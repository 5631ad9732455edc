//! Key vaults: whether the addresses of container groups can be published in secrets.

use std::collections::BTreeMap;

use super::{
    diagnosis::{Check, Finding, Severity, Title, count, grant},
    evidence::{Inspection, SecretInspection, VaultInspection},
    rights::{holder, is_data_granted, principal_text},
};
use crate::{
    config::Policy,
    domain::{
        inventory::{Caller, Permission, Seen},
        secret::{SecretId, Vault},
    },
};

pub(super) const SECRETS: Title = Title { group: "secrets", name: "addresses can be published" };

/// The additional action that the reads need if the map has secrets.
pub const READ: &str = "Microsoft.KeyVault/vaults/read";

const ROLE: &str = "Key Vault Secrets Officer";

/// The data actions of the function on secrets.
#[must_use]
pub fn of_secrets(policy: Policy) -> Vec<String> {
    let names: &[&str] = if policy.is_read_only() { &["getSecret"] } else { &["getSecret", "setSecret"] };
    names.iter().map(|name| format!("Microsoft.KeyVault/vaults/secrets/{name}/action")).collect()
}

/// The check of all vaults.
pub(super) fn of_vaults(evidence: &Inspection, policy: Policy, caller: &Caller) -> Check {
    let mut findings = vec![];
    let mut secrets = 0;
    for (vault, inspection) in &evidence.vaults {
        secrets += inspection.secrets.len();
        findings.extend(of_state(vault, inspection, caller));
        findings.extend(of_rights(vault, inspection, policy, &holder(evidence, caller), caller));
        findings.extend(of_contents(vault, inspection));
    }
    let examined = format!("{}, {}", count(evidence.vaults.len(), "key vault"), count(secrets, "secret"));
    Check { title: SECRETS, examined: principal_text(evidence, &examined), findings }
}

fn of_state(vault: &Vault, inspection: &VaultInspection, caller: &Caller) -> Vec<Finding> {
    let mut findings = vec![];
    match &inspection.state {
        Err(unseen) => findings.push(Finding::unseen(unseen, &format!("the key vault {vault}"), caller)),
        Ok(None) if vault.is_local() => {}
        Ok(None) => findings.push(Finding::new(
            Severity::NotChecked,
            format!("the key vault {vault} is in none of the subscriptions of the map"),
            "its network rules, and whether the app may read and set its secrets, are unknown",
            format!("az keyvault show --name {vault}"),
        )),
        Ok(Some(state)) => {
            if !state.uses_roles {
                findings.push(Finding::new(
                    Severity::NotChecked,
                    format!("the key vault {vault} uses access policies"),
                    "whether the app may read and set its secrets is unknown",
                    format!("az keyvault set-policy --name {vault} --object-id OBJECT_ID --secret-permissions get set"),
                ));
            }
            if state.is_closed {
                findings.push(Finding::new(
                    Severity::Warning,
                    format!("the network rules of the key vault {vault} refuse callers by default"),
                    "unless they allow the app, the events of its groups end in failed (500); DNS stays correct",
                    format!("az keyvault network-rule add --name {vault} --subnet SUBNET, or a private endpoint"),
                ));
            }
        }
    }
    findings
}

fn of_rights(
    vault: &Vault,
    inspection: &VaultInspection,
    policy: Policy,
    holder: &Caller,
    caller: &Caller,
) -> Vec<Finding> {
    let Ok(Some(state)) = &inspection.state else { return vec![] };
    if !state.uses_roles {
        return vec![];
    }
    let id = state.id.to_string();
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let whole = match inspection.rights.get(&None) {
        Some(Ok(rights)) => rights.as_deref().unwrap_or_default(),
        Some(Err(unseen)) => return vec![Finding::unseen(unseen, &id, caller)],
        None => return vec![],
    };
    for action in of_secrets(policy).into_iter().filter(|action| !is_data_granted(whole, action)) {
        let lacks = |rights: &Seen<Option<Vec<Permission>>>| match rights {
            Ok(rights) => !is_data_granted(rights.as_deref().unwrap_or_default(), &action),
            Err(_) => true,
        };
        let single = inspection.rights.iter().filter_map(|(id, rights)| Some((id.as_ref()?, rights)));
        let without: Vec<String> =
            single.filter(|(_, rights)| lacks(rights)).map(|(id, _)| id.name.as_str().to_owned()).collect();
        if inspection.secrets.is_empty() || !without.is_empty() {
            missing.insert(action, without);
        }
    }
    let finding = |(action, secrets): (String, Vec<String>)| {
        let scope_text =
            if secrets.is_empty() { String::new() } else { format!(", for {}", secrets.join(", ")) };
        Finding::new(
            Severity::Problem,
            format!("{action} is missing on the key vault {vault}{scope_text}"),
            "the secrets are not updated: the events of their groups end in failed (500)",
            grant(holder, ROLE, &id),
        )
    };
    missing.into_iter().map(finding).collect()
}

fn of_contents(vault: &Vault, inspection: &VaultInspection) -> Vec<Finding> {
    let impact = "the events of its group end in failed (500); DNS stays correct";
    let finding = |(id, secret): (&SecretId, &SecretInspection)| {
        let name = id.name.as_str();
        match secret {
            SecretInspection::Readable => None,
            SecretInspection::Deleted => Some(Finding::new(
                Severity::Problem,
                format!("the secret {id} is deleted, and its name is reserved"),
                impact,
                format!("az keyvault secret recover --vault-name {vault} --name {name}"),
            )),
            SecretInspection::Disabled => Some(Finding::new(
                Severity::Problem,
                format!("the secret {id} is disabled"),
                impact,
                format!(
                    "az keyvault secret set-attributes --vault-name {vault} --name {name} --enabled true"
                ),
            )),
            SecretInspection::Unseen(error) => Some(Finding::new(
                Severity::NotChecked,
                error.clone(),
                "unknown",
                "run this from a network that the vault allows, with permission to read its secrets",
            )),
        }
    };
    inspection.secrets.iter().filter_map(finding).collect()
}
