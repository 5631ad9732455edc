//! The findings of a sweep: which groups drift and how, which changes would repair them, and how large a
//! repair would be.
//!
//! Pure: [`crate::sweep`] creates them, the command line prints them, and [`crate::telemetry`] reports them.

mod json;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    net::Ipv4Addr,
};

use anstyle::{AnsiColor, Style};

pub use self::json::json;
use crate::{
    config::UnmatchedKeys,
    decide::{
        Evidence, ExtraLookups,
        change::{Change, Effect, Write},
        report::{DriftKind, Outcome, Report},
    },
    domain::{
        dns::{DomainName, Owner, RecordType, RelativeName, ZoneKey},
        resource_id::{ContainerGroupId, Scope, fold},
        secret::SecretEdit,
        text::printable,
    },
};

/// The findings of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The container groups with a finding, by id.
    pub found: Vec<GroupFinding>,
    /// Marked record sets that belong to no group of the sweep.
    pub unattributed: Vec<UnattributedRecord>,
    /// The failed lists. All results that depend on them are unknown.
    pub failures: Vec<ListFailure>,
    /// The groups with an address.
    pub names: Vec<LiveName>,
    /// The numbers of compared groups.
    pub tally: Coverage,
    /// The number of record sets with an owner mark, by zone.
    pub managed: BTreeMap<ZoneKey, usize>,
    /// The keys of the map that match no resource group.
    pub unmatched: UnmatchedKeys,
    /// The resource groups in which container groups are listed: subscription and name, in lower case.
    pub resource_groups: BTreeSet<(String, String)>,
}

/// A group with an address, and its expected forward and reverse names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveName {
    /// The container group.
    pub id: ContainerGroupId,
    /// Its name.
    pub fqdn: DomainName,
    /// The forward zone.
    pub zone: DomainName,
    /// Its address.
    pub address: Ipv4Addr,
    /// The addresses in its A record set.
    pub recorded: Vec<Ipv4Addr>,
    /// The reverse zone and the reverse name, if it should have a PTR record.
    pub reverse: Option<(DomainName, DomainName)>,
    /// The targets in its PTR record set.
    pub recorded_ptr: Vec<String>,
}

/// A container group with a finding.
#[derive(Clone, Debug)]
pub struct GroupFinding {
    /// The container group, which may be deleted. For a service, the id contains its label instead of the name.
    pub id: ContainerGroupId,
    /// Whether it is a service.
    pub is_service: bool,
    /// The kind of the finding.
    pub verdict: FindingKind,
    /// The report of a dry run, with the drift.
    pub report: Report,
    /// The changes of that dry run.
    pub changes: Vec<Change>,
    /// The changes of the secret in that dry run.
    pub secret_changes: Vec<SecretEdit>,
    /// The extra lookups of that dry run.
    pub lookups: ExtraLookups,
    /// How much a 404 of the group proves.
    pub evidence: Evidence,
    /// Whether a repair may only make these changes, and only if each record set still has its ETag.
    pub is_reviewed: bool,
}

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// DNS and the live group differ.
    Drift,
    /// DNS answers correctly; only metadata would change.
    Marks,
    /// The comparison failed.
    Unknown,
}

/// A record set that belongs to no group of the sweep: the group of its mark cannot be checked, or it is in a
/// replaced zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnattributedRecord {
    /// Type and fully qualified name, and the value in question.
    pub record: String,
    /// The group in its mark, if it has one.
    pub owner: Option<Owner>,
    /// Why it belongs to no group of the sweep.
    pub reason: &'static str,
}

/// A list that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFailure {
    /// The outcome of an invocation that needs the list.
    pub outcome: Outcome,
    /// The error with all its causes.
    pub error: String,
    /// Its causes, without the list that failed.
    pub cause: String,
    /// Whether there is no access token.
    pub is_sign_in: bool,
}

/// The numbers of compared groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Container groups that the map serves.
    pub groups: usize,
    /// Those with correct records.
    pub right: usize,
    /// Those that are being provisioned, so that nothing can be compared yet.
    pub settling: usize,
    /// Those that a tag ignores, or that intentionally have no address.
    pub unmanaged: usize,
    /// Those that were not read before the deadline.
    pub left: usize,
    /// Those that were read individually, because the lists were not sufficient.
    pub asked: usize,
    /// Requests to Resource Manager.
    pub requests: u32,
}

/// Why a repair is probably a consequence of wrong settings or of a failure of Azure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeGuard {
    /// Too many of the managed record sets of one zone would be changed or removed.
    Zone {
        /// The zone.
        zone: DomainName,
        /// How many would be changed or removed.
        touched: usize,
        /// How many managed record sets the zone has.
        managed: usize,
    },
    /// All container groups with records in a resource group are missing.
    ResourceGroup {
        /// The resource group.
        resource_group: String,
        /// How many container groups are missing.
        groups: usize,
    },
}

/// The number of managed record sets from which a percentage is meaningful.
const GUARDED_FROM: usize = 10;
/// The largest percentage of the managed record sets of a zone that a repair changes without `--force`.
const MOST_PERCENT: usize = 30;
/// From this number on, missing container groups of one resource group are probably not a coincidence.
const VANISHED_GROUPS: usize = 3;

impl Findings {
    /// The number of groups that drift.
    #[must_use]
    pub fn drifted(&self) -> usize {
        self.count(FindingKind::Drift)
    }

    /// The number of groups with a kind of finding.
    #[must_use]
    pub fn count(&self, verdict: FindingKind) -> usize {
        self.found.iter().filter(|found| found.verdict == verdict).count()
    }

    /// Whether a part of the comparison failed.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        !self.failures.is_empty()
            || self.tally.left > 0
            || self.count(FindingKind::Unknown) > 0
            || self.unmatched.is_error()
    }

    /// The first record sets that belong to no group of the sweep, for one line.
    #[must_use]
    pub fn incomplete_reason(&self) -> Option<String> {
        const NAMED: usize = 5;
        let (first, rest) = self.unattributed.split_at_checked(NAMED).unwrap_or((&self.unattributed, &[]));
        let records: Vec<&str> = first.iter().map(|record| record.record.as_str()).collect();
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        (!first.is_empty())
            .then(|| format!("record sets without a known group: {}{more}", records.join(", ")))
    }

    /// The reason to ask for `--force`, if there is one.
    #[must_use]
    pub fn change_guard(&self) -> Option<ChangeGuard> {
        self.vanished_resource_group().or_else(|| self.zone_guard())
    }

    /// A resource group whose container groups with records are all missing. Additions and new marks do not
    /// count.
    #[must_use]
    pub fn vanished_resource_group(&self) -> Option<ChangeGuard> {
        let mut missing: BTreeMap<(String, String), usize> = BTreeMap::new();
        for found in self.found.iter().filter(|found| found.kinds().contains(&DriftKind::Orphan)) {
            *missing.entry(place_of(&found.id)).or_default() += 1;
        }
        let is_vanished = |(place, groups): &(&(String, String), &usize)| {
            **groups >= VANISHED_GROUPS && !self.resource_groups.contains(*place)
        };
        let (place, groups) = missing.iter().find(is_vanished)?;
        Some(ChangeGuard::ResourceGroup { resource_group: place.1.clone(), groups: *groups })
    }

    /// The zone in which a repair would change too much. Additions and new marks do not count.
    fn zone_guard(&self) -> Option<ChangeGuard> {
        let changes = || self.found.iter().flat_map(|found| &found.changes);
        let named = |change: &Change| -> (ZoneKey, RecordType, RelativeName) {
            let (record_type, name) = change.record_set();
            (change.zone().key(), record_type, name.clone())
        };
        let touched: BTreeSet<_> = changes()
            .filter(|change| matches!(change.effect(), Effect::Alters | Effect::Removes))
            .map(named)
            .collect();
        let taken_over: BTreeSet<_> = changes().filter(|change| change.is_adoption()).map(named).collect();
        let zones: BTreeSet<&ZoneKey> = touched.iter().map(|(zone, ..)| zone).collect();
        zones.into_iter().find_map(|zone| {
            let of_zone = |sets: &BTreeSet<(ZoneKey, RecordType, RelativeName)>| {
                sets.iter().filter(|(place, ..)| place == zone).count()
            };
            let managed = self.managed.get(zone).copied().unwrap_or_default() + of_zone(&taken_over);
            let touched = of_zone(&touched);
            let is_too_much = managed >= GUARDED_FROM && touched * 100 > managed * MOST_PERCENT;
            is_too_much.then(|| ChangeGuard::Zone { zone: zone.2.clone(), touched, managed })
        })
    }

    /// The number of changes of a repair, by effect and takeover.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.found.iter().map(|found| found.changes.len() + found.secret_changes.len()).sum()
    }

    /// A summary in one sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let Coverage { groups, right, settling, unmanaged, left, asked, requests, .. } = self.tally;
        let mut parts = vec![format!("{right} correct")];
        let mut add = |count: usize, word: &str| {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        };
        let orphans = self.kinds().get(&DriftKind::Orphan).copied().unwrap_or_default();
        add(self.drifted().saturating_sub(orphans), "drifted");
        add(self.count(FindingKind::Marks), "to be marked");
        add(settling, "being provisioned");
        add(unmanaged, "unmanaged");
        add(self.count(FindingKind::Unknown), "unknown");
        add(left, "not read before the deadline");
        let orphans = match orphans {
            0 => String::new(),
            1 => "; records of 1 deleted group".to_owned(),
            count => format!("; records of {count} deleted groups"),
        };
        let failures = match self.failures.len() {
            0 => String::new(),
            1 => "; 1 list failed".to_owned(),
            count => format!("; {count} lists failed"),
        };
        let of_requests = if requests == 1 { "request" } else { "requests" };
        let of_groups = if groups == 1 { "container group" } else { "container groups" };
        format!(
            "{groups} {of_groups}: {}{orphans}{failures} ({requests} {of_requests}, {asked} of them for single groups)",
            parts.join(", ")
        )
    }

    /// The number of groups by kind of drift.
    #[must_use]
    pub fn kinds(&self) -> BTreeMap<DriftKind, usize> {
        let mut kinds = BTreeMap::new();
        for kind in self.found.iter().flat_map(GroupFinding::kinds) {
            *kinds.entry(*kind).or_default() += 1;
        }
        kinds
    }
}

impl fmt::Display for ChangeGuard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zone { zone, touched, managed } => write!(
                formatter,
                "{touched} of {managed} managed record sets of {zone} would change or be removed, which is more than {MOST_PERCENT} %"
            ),
            Self::ResourceGroup { resource_group, groups } => write!(
                formatter,
                "all {groups} container groups of {resource_group} that have records are missing: the resource group may be deleted, or Azure may not list it"
            ),
        }
    }
}

/// Subscription and resource group, normalized as Resource Manager compares them.
#[must_use]
pub fn place_of(id: &ContainerGroupId) -> (String, String) {
    (fold(id.subscription()), fold(id.resource_group()))
}

impl GroupFinding {
    /// Whether a repair would write something.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        !self.changes.is_empty() || !self.secret_changes.is_empty()
    }

    /// The resource id of the container group, or of the resource group of the service.
    #[must_use]
    pub fn resource_id(&self) -> String {
        if self.is_service { Scope::of(&self.id).to_string() } else { self.id.to_string() }
    }

    /// The label, if it is a service.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.is_service.then(|| self.id.name())
    }

    /// The conditional writes of its changes.
    #[must_use]
    pub fn writes(&self) -> BTreeSet<Write> {
        self.changes
            .iter()
            .map(Change::write)
            .chain(self.secret_changes.iter().map(Write::of_secret))
            .collect()
    }

    /// Every kind of drift of the group.
    #[must_use]
    pub fn kinds(&self) -> &[DriftKind] {
        self.report.drift.as_ref().map_or(&[], |drift| &drift.kinds)
    }
}

/// The text before the cause in an error that depends on a failed list.
const UNLISTED: &str = "could not read the list that contains it: ";

const STRONG: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const OTHER: Style = AnsiColor::Yellow.on_default();

/// The table of `aci-dns drift`, with colors that the writer may remove.
#[must_use]
pub fn table(findings: &Findings) -> String {
    let mut rows = vec![["GROUP", "NAME", "DRIFT", "ADDRESS", "DNS"].map(str::to_owned)];
    let spelled = Spelling::of(findings);
    let mut notes = vec![String::new()];
    for found in findings.found.iter().filter(|found| found.verdict != FindingKind::Marks) {
        let kinds: Vec<&str> = found.kinds().iter().map(|kind| kind.as_str()).collect();
        let addresses = found.report.drift.iter().flat_map(|drift| &drift.dns_addresses);
        let addresses: Vec<String> = addresses.map(ToString::to_string).collect();
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        // Names and addresses are validated when they are read; texts are not.
        rows.push([
            spelled.group(&found.id),
            or_dash(found.report.fqdn.as_ref().map(ToString::to_string).unwrap_or_default()),
            if kinds.is_empty() { "unknown".to_owned() } else { kinds.join(", ") },
            or_dash(found.report.address.map(|address| address.to_string()).unwrap_or_default()),
            or_dash(addresses.join(" ")),
        ]);
        notes.push(printable(&error_of(&found.report)).into_owned());
    }
    let mut text = String::new();
    if rows.len() > 1 {
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..5).filter_map(width).collect();
        for (number, (row, note)) in rows.iter().zip(&notes).enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let style = if number == 0 { QUIET } else { Style::new() };
            _ = writeln!(text, "{style}{}{style:#}", line.trim_end());
            if !note.is_empty() {
                _ = writeln!(text, "  {BAD}{note}{BAD:#}");
            }
        }
        text.push('\n');
    }
    text + &closing(findings)
}

/// The diff of `aci-dns plan`, with colors that the writer may remove.
#[must_use]
pub fn diff(findings: &Findings) -> String {
    let spelled = Spelling::of(findings);
    let mut text = String::new();
    for found in &findings.found {
        let kinds: Vec<&str> = found.kinds().iter().map(|kind| kind.as_str()).collect();
        let why = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
        _ = writeln!(text, "{STRONG}{}{STRONG:#}{QUIET}{why}{QUIET:#}", spelled.group(&found.id));
        for change in &found.changes {
            let style = match change.effect() {
                Effect::Adds => GOOD,
                Effect::Removes => BAD,
                Effect::Alters | Effect::Marks => OTHER,
            };
            let note = if change.is_adoption() { "takes over: " } else { "" };
            _ = writeln!(text, "  {note}{style}{}{style:#}", printable(&change.to_string()));
        }
        for change in &found.secret_changes {
            let style = if change.before.is_none() { GOOD } else { OTHER };
            let note = if change.is_adoption() { "takes over: " } else { "" };
            _ = writeln!(text, "  {note}{style}{}{style:#}", printable(&change.to_string()));
        }
        for change in &found.report.withheld {
            _ = writeln!(text, "  withheld: {}", printable(change));
        }
        if found.report.error.is_some() {
            _ = writeln!(text, "  {BAD}{}{BAD:#}", printable(&error_of(&found.report)));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let mut effects = [(Effect::Adds, "added", 0), (Effect::Alters, "altered", 0)].to_vec();
    effects.extend([(Effect::Removes, "removed", 0), (Effect::Marks, "marked", 0)]);
    for change in findings.found.iter().flat_map(|found| &found.changes) {
        for (effect, _, count) in &mut effects {
            *count += usize::from(*effect == change.effect());
        }
    }
    let counts = effects.iter().map(|(_, word, count)| format!("{count} {word}"));
    _ = writeln!(text, "Record sets: {}", counts.collect::<Vec<_>>().join(", "));
    let secrets: usize = findings.found.iter().map(|found| found.secret_changes.len()).sum();
    if secrets > 0 {
        _ = writeln!(text, "Secrets: {secrets} to be written");
    }
    text + &closing(findings)
}

/// The end of table and diff.
fn closing(findings: &Findings) -> String {
    let mut text = String::new();
    text += &failures(&findings.failures);
    for record in &findings.unattributed {
        let owner = record.owner.as_ref().map(|owner| format!(" of {}", printable(owner.as_str())));
        let (name, owner) = (printable(&record.record), owner.unwrap_or_default());
        _ = writeln!(text, "{QUIET}{name}{owner}: {}{QUIET:#}", record.reason);
    }
    let (style, word) = if findings.unmatched.is_error() { (BAD, "error") } else { (OTHER, "warning") };
    for sentence in findings.unmatched.messages() {
        _ = writeln!(text, "{style}{word}{style:#}: {}", printable(&sentence));
    }
    _ = writeln!(text, "{}", findings.summary());
    text
}

/// The failed lists, those with the same cause together.
fn failures(failures: &[ListFailure]) -> String {
    let mut text = String::new();
    let mut causes: Vec<&str> = failures.iter().map(|failure| failure.cause.as_str()).collect();
    let mut seen = BTreeSet::new();
    causes.retain(|cause| seen.insert(*cause));
    for cause in causes {
        let of_cause: Vec<&ListFailure> = failures.iter().filter(|failure| failure.cause == cause).collect();
        let mut lines = Vec::new();
        match of_cause.as_slice() {
            [one, ..] if one.is_sign_in => {
                let lists = if of_cause.len() == 1 { "list" } else { "lists" };
                lines.push(format!("not signed in: {} {lists} could not be read: {cause}", of_cause.len()));
            }
            [one] => lines.push(one.error.clone()),
            several => {
                lines.push(format!("{} lists failed: {cause}", several.len()));
                lines.extend(several.iter().map(|failure| {
                    let list = failure.error.strip_suffix(cause).unwrap_or(&failure.error);
                    format!("  {}", list.trim_end_matches(": "))
                }));
            }
        }
        for line in lines {
            _ = writeln!(text, "{BAD}{}{BAD:#}", printable(&line));
        }
    }
    text
}

/// The error of a group. The cause of a failed list is not repeated for each group that depends on the list.
fn error_of(report: &Report) -> String {
    let error = report.error.as_deref().unwrap_or_default();
    match error.split_once(UNLISTED) {
        Some((operation, _)) => format!("{operation}its list failed, see below"),
        None => error.to_owned(),
    }
}

/// How container groups are named: with their subscription only if there are several.
pub struct Spelling {
    has_subscription: bool,
}

impl fmt::Debug for Spelling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Spelling").field("has_subscription", &self.has_subscription).finish()
    }
}

impl Spelling {
    /// The names of the groups of these findings.
    #[must_use]
    pub fn of(findings: &Findings) -> Self {
        let subscriptions = findings.found.iter().map(|found| found.id.subscription().to_lowercase());
        Self { has_subscription: subscriptions.collect::<BTreeSet<_>>().len() > 1 }
    }

    /// The name of this group.
    #[must_use]
    pub fn group(&self, id: &ContainerGroupId) -> String {
        let group = format!("{}/{}", id.resource_group(), id.name());
        if self.has_subscription { format!("{}/{group}", id.subscription()) } else { group }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let evil = "\u{1b}]0;evil\u{7}\nsecond line";
        let owner = Owner::from(&ContainerGroupId::new("s1", "rg", "web").unwrap());
        let findings = Findings {
            unattributed: vec![UnattributedRecord {
                record: evil.to_owned(),
                owner: Some(owner),
                reason: "deleted",
            }],
            failures: vec![ListFailure {
                outcome: Outcome::Failed,
                error: evil.to_owned(),
                cause: String::new(),
                is_sign_in: false,
            }],
            ..Findings::default()
        };
        for text in [table(&findings), diff(&findings)] {
            let displayed = r"\u{1b}]0;evil\u{7}\u{a}second line";
            assert_eq!(text.matches(displayed).count(), 2, "{text}");
            assert!(!text.contains(evil), "{text}");
        }
    }
}
