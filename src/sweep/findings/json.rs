//! The findings as JSON.

use serde_json::{Value, json};

use super::{FindingKind, Findings};
use crate::{decide::change::Effect, domain::dns::Owner};

/// The findings as JSON. The key `strays` is part of the interface.
#[must_use]
pub fn json(findings: &Findings) -> Value {
    let groups = findings.found.iter().map(|found| {
        let report = &found.report;
        let drift = report.drift.as_ref();
        let changes = found.changes.iter().map(|change| {
            let effect = match change.effect() {
                Effect::Adds => "adds",
                Effect::Alters => "alters",
                Effect::Removes => "removes",
                Effect::Marks => "marks",
            };
            json!({"change": change.to_string(), "effect": effect, "takesOver": change.is_adoption()})
        });
        let secrets = found.secret_changes.iter().map(|change| {
            let effect = match &change.before {
                None => "adds",
                Some(before) if before.value == change.after.value => "marks",
                Some(_) => "alters",
            };
            json!({"change": change.to_string(), "effect": effect, "takesOver": change.is_adoption()})
        });
        let mut group = json!({
            "id": found.resource_id(),
            "fqdn": report.fqdn.as_ref().map(ToString::to_string),
            "verdict": match found.verdict {
                FindingKind::Drift => "drift",
                FindingKind::Marks => "marks",
                FindingKind::Unknown => "unknown",
            },
            "kinds": found.kinds().iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
            "address": report.address.map(|address| address.to_string()),
            "dnsAddresses": drift
                .map(|drift| drift.dns_addresses.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "dnsPtr": drift.map(|drift| drift.dns_ptr.clone()),
            "plan": changes.chain(secrets).collect::<Vec<_>>(),
            "withheld": report.withheld,
            "error": report.error,
        });
        if let (Some(label), Some(members)) = (found.service(), group.as_object_mut()) {
            members.insert("service".to_owned(), label.into());
            let services = drift.map(|drift| drift.services.clone());
            members.insert("driftServices".to_owned(), json!(services));
        }
        group
    });
    let unattributed = findings
        .unattributed
        .iter()
        .map(|record| json!({"record": record.record, "owner": record.owner.as_ref().map(Owner::as_str), "reason": record.reason}));
    let tally = findings.tally;
    json!({
        "groups": groups.collect::<Vec<_>>(),
        "strays": unattributed.collect::<Vec<_>>(),
        "unmatchedKeys": findings.unmatched.keys.iter()
            .map(|(key, nearest)| json!({"key": key, "nearest": nearest})).collect::<Vec<_>>(),
        "failures": findings.failures.iter().map(|failure| &failure.error).collect::<Vec<_>>(),
        "summary": {
            "groups": tally.groups,
            "right": tally.right,
            "drifted": findings.drifted(),
            "toBeMarked": findings.count(FindingKind::Marks),
            "unknown": findings.count(FindingKind::Unknown),
            "settling": tally.settling,
            "unmanaged": tally.unmanaged,
            "left": tally.left,
            "managedRecordSets": findings.managed.values().sum::<usize>(),
            "requests": tally.requests,
            "askedFor": tally.asked,
        },
    })
}
