//! The result of a preflight: checks, and the findings of each with impact and fix.

use crate::domain::inventory::{Caller, Unseen};

/// The whole result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The checks, in the order in which they depend on each other.
    pub checks: Vec<Check>,
    /// Whether no key of the map matches a resource group.
    pub is_map_void: bool,
    /// Requests to Resource Manager.
    pub requests: u32,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The subject of the check.
    pub title: Title,
    /// What was checked.
    pub examined: String,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// The title of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Title {
    /// A group of related checks.
    pub group: &'static str,
    /// The required state.
    pub name: &'static str,
}

/// A problem or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The severity.
    pub state: Severity,
    /// What is wrong.
    pub what: String,
    /// The consequences.
    pub impact: String,
    /// How to fix it, as a command if possible.
    pub fix: String,
}

/// The severity, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Correct.
    Ok,
    /// It works, but possibly not for long or not everywhere.
    Warning,
    /// It could not be checked.
    NotChecked,
    /// It does not work.
    Problem,
}

impl Severity {
    /// Every state, the most severe last.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::NotChecked, Self::Problem];

    /// The name of the state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::NotChecked => "not checked",
            Self::Problem => "problem",
        }
    }
}

impl Diagnosis {
    /// The most severe state.
    #[must_use]
    pub fn state(&self) -> Severity {
        self.checks.iter().map(Check::state).max().unwrap_or(Severity::Ok)
    }

    /// The number of checks in a state.
    #[must_use]
    pub fn count(&self, state: Severity) -> usize {
        self.checks.iter().filter(|check| check.state() == state).count()
    }
}

impl Check {
    /// The most severe state of its findings.
    #[must_use]
    pub fn state(&self) -> Severity {
        self.findings.iter().map(|finding| finding.state).max().unwrap_or(Severity::Ok)
    }
}

/// The start of a finding about a read that failed.
pub(super) const FAILED_READ: &str = "a read failed: ";

impl Finding {
    pub(super) fn new(
        state: Severity,
        what: impl Into<String>,
        impact: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { state, what: what.into(), impact: impact.into(), fix: fix.into() }
    }

    /// A scope that could not be checked.
    pub(super) fn unseen(unseen: &Unseen, scope: &str, caller: &Caller) -> Self {
        let impact = "unknown";
        let fix = match unseen {
            Unseen::Forbidden { .. } => grant(caller, "Reader", scope),
            Unseen::Failed(_) => "run aci-dns doctor again".to_owned(),
        };
        let what = format!("{FAILED_READ}{unseen}");
        Self::new(Severity::NotChecked, what, impact, fix)
    }
}

/// The command that grants a role at a scope to the caller.
pub(super) fn grant(caller: &Caller, role: &str, scope: &str) -> String {
    let assignee = caller.object_id.as_deref().unwrap_or("OBJECT_ID");
    format!("az role assignment create --assignee {assignee} --role \"{role}\" --scope {scope}")
}

/// `1 zone`, `2 zones`, `2 addresses`.
pub(super) fn count(count: usize, word: &str) -> String {
    let ending = match (count, word.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {word}{ending}")
}
