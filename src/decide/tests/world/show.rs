//! Writes steps, changes and verdicts as text.

use super::*;

impl World {
    /// All record sets, without what they remember and without versions.
    pub(super) fn records(&self) -> (Vec<String>, Vec<String>) {
        let a = self.a.iter().map(|(name, set)| {
            let mut content = set.content.clone();
            content.metadata.remove(PREVIOUS_KEY);
            format!("{name}{}", show_content(&content, ToString::to_string))
        });
        let ptr = self
            .ptr
            .iter()
            .map(|(key, set)| format!("{key:?}{}", show_content(&set.content, ToString::to_string)));
        (a.collect(), ptr.collect())
    }

    pub(super) fn show_step(&self, goal: &Goal, step: &Step, failures: &Failures) -> Vec<String> {
        let note = |key: &Key| {
            failures.get(key).map(|kind| format!(" ({kind:?})").to_lowercase()).unwrap_or_default()
        };
        let (read, write) = match step {
            Step::Act { read, write } => (read, write),
            Step::Poll => return vec!["poll".to_owned()],
            Step::Verify => return vec!["verify".to_owned()],
            Step::Repeat => return vec!["repeat".to_owned()],
            Step::Done(_) => return vec![],
        };
        let show_write =
            |change: &Change| format!("{}{}", self.show_change(change), note(&goal.key_of(change).unwrap()));
        let mut lines: Vec<String> = write.iter().map(show_write).collect();
        if !read.is_empty() {
            let reads = read.iter().map(|key| format!("{}{}", self.show_key(key), note(key)));
            lines.push(format!("read {}", reads.collect::<Vec<_>>().join(", ")));
        }
        lines.iter_mut().skip(1).for_each(|line| *line = format!("& {}", mem::take(line)));
        lines
    }

    pub(super) fn show_change(&self, change: &Change) -> String {
        let key = self.goal().key_of(change).map_or_else(|| "outside".to_owned(), |key| self.show_key(&key));
        let show = |sign: &str, content: Option<String>| match content {
            Some(content) => format!("{sign} {key}{content}"),
            None => format!("{sign} {key}"),
        };
        let sign = |before: bool, after: bool| match (before, after) {
            (false, true) => "+",
            (true, true) => "~",
            (true, false) => "-",
            (false, false) => "nothing",
        };
        match change {
            Change::A(edit) => {
                let content = edit.after.as_ref().map(|content| show_content(content, ToString::to_string));
                show(sign(edit.before.is_some(), edit.after.is_some()), content)
            }
            Change::Ptr(edit) => {
                let target = |target: &PtrTarget| self.show_target(target);
                let content = edit.after.as_ref().map(|content| show_content(content, target));
                show(sign(edit.before.is_some(), edit.after.is_some()), content)
            }
        }
    }

    pub(super) fn show_target(&self, target: &PtrTarget) -> String {
        let forward = &self.zones.forward.name;
        let short = target.as_str().strip_suffix(forward.as_str()).and_then(|name| name.strip_suffix('.'));
        short.filter(|name| !name.contains('.')).unwrap_or(target.as_str()).to_owned()
    }

    pub(super) fn show_key(&self, key: &Key) -> String {
        let zone = |index: usize| self.zones.reverse[index].zone().name.as_str().replace(".in-addr.arpa", "");
        match key {
            Key::A(name) => format!("A {name}"),
            Key::Cname(name) => format!("CNAME {name}"),
            Key::Group => "group".to_owned(),
            Key::Confirmation => "group again".to_owned(),
            Key::Owner(owner) => format!("owner {}", show_owner(owner.as_str())),
            Key::OwnerConfirmation(owner) => format!("owner {} again", show_owner(owner.as_str())),
            Key::Ptr(key) => match key.address {
                Some(address) if self.goal().ptr_key(address).as_ref() == Some(key) => {
                    format!("PTR {address}")
                }
                Some(address) => format!("PTR {address}/{}", zone(key.zone)),
                None => format!("PTR {}/{}", key.name, zone(key.zone)),
            },
            Key::PtrList(index) => format!("list {}", zone(*index)),
            Key::AList => "list A".to_owned(),
        }
    }

    pub(super) fn show_verdict(
        &self,
        target: Option<&Target>,
        verdict: &Verdict,
        failures: &Failures,
    ) -> String {
        let target = target.map_or_else(String::new, |target| {
            let name = self.show_target(&PtrTarget::from(&target.fqdn));
            target.address.map_or_else(|| format!("{name}: "), |address| format!("{name} at {address}: "))
        });
        let verdict = match verdict {
            Verdict::Right(Right::Named(address)) => format!("named {address}"),
            Verdict::Right(Right::Absent) => "absent".to_owned(),
            Verdict::Right(Right::Kept) => "kept".to_owned(),
            Verdict::Unmanaged(reason) => format!("unmanaged, {reason:?}"),
            Verdict::Compared(drift) => {
                let kinds: Vec<&str> = drift.kinds.iter().map(|kind| kind.as_str()).collect();
                let kinds = list("kinds", &kinds);
                let (dns, ptr) = (list("dns", &drift.dns_addresses), list("ptr", &drift.dns_ptr));
                format!("{}{kinds}{dns}{ptr}", drift.event.as_str())
            }
            Verdict::Failed(error) => format!("failed, {}", self.show_error(error, failures)),
        };
        format!("{target}{verdict}")
    }

    pub(super) fn show_error(&self, error: &PlanError, failures: &Failures) -> String {
        match error {
            PlanError::Tag(error) => error.to_string(),
            PlanError::Conflict(conflict) | PlanError::PtrConflict(conflict) => conflict.to_string(),
            PlanError::HolderPending(conflict) => format!("for now, {conflict}"),
            PlanError::AddressRefused { address, .. } => format!("{address} is outside of the ranges"),
            PlanError::NoReverseZone { address, fqdn } => format!("no reverse zone for {address} of {fqdn}"),
            PlanError::AddressPending => "address pending".to_owned(),
            PlanError::Deleting => "deleting".to_owned(),
            PlanError::NotVisible => "not visible".to_owned(),
            PlanError::LostRaces => "lost races".to_owned(),
            PlanError::Request(key) => {
                let kind = failures.get(key).expect("the request that is named failed");
                format!("{} ({kind:?})", self.show_key(key))
                    .replace(&format!("{kind:?}"), &format!("{kind:?}").to_lowercase())
            }
        }
    }
}

pub(super) fn show_content<Record>(content: &Content<Record>, record: impl Fn(&Record) -> String) -> String {
    let mut words: Vec<String> = content.records.iter().map(record).collect();
    if content.ttl != TTL {
        words.push(format!("ttl={}", content.ttl));
    }
    words.extend(content.metadata.iter().map(|(key, value)| match key.as_str() {
        OWNER_KEY => format!("owner={}", show_owner(value)),
        PREVIOUS_KEY => format!("previous={}", value.replace(' ', ",")),
        _ => format!("{key}={value}"),
    }));
    words.iter().flat_map(|word| [" ", word]).collect()
}

pub(super) fn list<Item: Display>(name: &str, items: &[Item]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    if items.is_empty() { String::new() } else { format!(" {name}={}", items.join(",")) }
}

pub(super) fn show_owner(mark: &str) -> &str {
    OWNERS.iter().find(|(_, known)| *known == mark).map_or(mark, |(short, _)| *short)
}
