//! The file of `plan --out` and `sync FILE`: the reviewed changes, with the ETags on which they depend.
//!
//! docs/operate.md documents its members.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use aci_dns::{
    config::Takeover,
    decide::change::Write,
    domain::text,
    sweep::findings::{Findings, GroupFinding},
};
use serde_json::{Value, json};

use super::failure::Failure;

/// The only version of the format.
const VERSION: u64 = 1;

const TAKEOVERS: [(Takeover, &str); 4] = [
    (Takeover::AsConfigured, "configured"),
    (Takeover::Never, "never"),
    (Takeover::All, "all"),
    (Takeover::MarksOnly, "marksOnly"),
];

/// A reviewed plan.
#[derive(Debug)]
pub(super) struct PlanFile {
    pub(super) takeover: Takeover,
    /// The writes by container group (its resource id) and by service (the resource id of its resource group, and its
    /// label). All in lower case.
    groups: BTreeMap<(String, Option<String>), BTreeSet<Write>>,
}

/// Writes the changes of these findings to a file.
pub(super) fn write(path: &Path, findings: &Findings, takeover: Takeover) -> Result<(), Failure> {
    let word = TAKEOVERS.iter().find(|(known, _)| *known == takeover).map(|(_, word)| *word);
    let groups = findings.found.iter().filter(|found| found.is_planned()).map(|found| {
        let changes = found.writes().into_iter();
        let changes =
            changes.map(|Write { zone, etag, change }| json!({"zone": zone, "etag": etag, "change": change}));
        let mut group = json!({"id": found.resource_id(), "changes": changes.collect::<Vec<_>>()});
        if let (Some(label), Some(members)) = (found.service(), group.as_object_mut()) {
            members.insert("service".to_owned(), label.into());
        }
        group
    });
    let plan = json!({"version": VERSION, "takeover": word, "groups": groups.collect::<Vec<_>>()});
    fs::write(path, format!("{plan:#}\n"))
        .map_err(|source| Failure::PlanFile { path: path.to_owned(), source: source.into() })
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<PlanFile, Failure> {
    let wrong = |source| Failure::PlanFile { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(|error| wrong(error.into()))?;
    let text = text::decode(&bytes).map_err(|error| wrong(error.into()))?;
    let plan: Value = serde_json::from_str(&text).map_err(|error| wrong(error.into()))?;
    if plan.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(wrong(
            format!("it is not a plan of version {VERSION}; write one with aci-dns plan --out").into(),
        ));
    }
    parse(&plan).ok_or_else(|| wrong("a member is missing or has the wrong type".into()))
}

fn parse(plan: &Value) -> Option<PlanFile> {
    let word = plan.get("takeover")?.as_str()?;
    let (takeover, _) = *TAKEOVERS.iter().find(|(_, known)| *known == word)?;
    let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
    let mut groups = BTreeMap::new();
    for group in plan.get("groups")?.as_array()? {
        let mut writes = BTreeSet::new();
        for change in group.get("changes")?.as_array()? {
            let etag = match change.get("etag")? {
                Value::Null => None,
                etag => Some(etag.as_str()?.to_owned()),
            };
            writes.insert(Write { zone: text(change, "zone")?, etag, change: text(change, "change")? });
        }
        let service = match group.get("service") {
            None => None,
            Some(label) => Some(label.as_str()?.to_lowercase()),
        };
        groups.insert((text(group, "id")?.to_lowercase(), service), writes);
    }
    Some(PlanFile { takeover, groups })
}

impl PlanFile {
    /// Keeps the groups whose changes are those of the plan, and allows only these changes. Returns the groups that
    /// need other changes now.
    pub(super) fn restrict(&self, findings: &mut Findings) -> Vec<GroupFinding> {
        let mut outdated = Vec::new();
        findings.found = std::mem::take(&mut findings.found)
            .into_iter()
            .filter_map(|found| {
                let key = (found.resource_id().to_lowercase(), found.service().map(str::to_lowercase));
                let reviewed = self.groups.get(&key)?;
                if found.writes() == *reviewed {
                    return Some(GroupFinding { is_reviewed: true, ..found });
                }
                outdated.push(found);
                None
            })
            .collect();
        outdated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_with_a_wrong_member_is_refused_as_a_whole() {
        let plan = |change: Value| json!({"version": 1, "takeover": "never", "groups": [{"id": "/A", "changes": [change]}]});
        let right = parse(&plan(json!({"zone": "/z", "etag": null, "change": "+ A web 10.1.5.4"}))).unwrap();
        assert_eq!((right.takeover, right.groups[&("/a".to_owned(), None)].len()), (Takeover::Never, 1));
        for wrong in [
            json!({"zone": "/z", "change": "+ A web 10.1.5.4"}),
            json!({"zone": "/z", "etag": 1, "change": "+ A web 10.1.5.4"}),
            json!({"zone": "/z", "etag": null}),
            json!(null),
        ] {
            assert!(parse(&plan(wrong.clone())).is_none(), "{wrong}");
        }
        assert!(parse(&json!({"takeover": "perhaps", "groups": []})).is_none());
    }
}
