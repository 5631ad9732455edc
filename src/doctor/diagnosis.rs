//! What a preflight found: checks, and under each what is not as it should be, what that breaks, and how to mend it.

use crate::inventory::{Asker, Unseen};

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Each check, in the order in which one depends on another.
    pub checks: Vec<Check>,
    /// Whether no key of the map matches a resource group.
    pub is_map_void: bool,
    /// Requests to Resource Manager.
    pub requests: u32,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is about.
    pub title: Title,
    /// What was looked at.
    pub looked: String,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Title {
    /// Several checks are about the same.
    pub group: &'static str,
    /// What has to be so.
    pub name: &'static str,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub state: State,
    /// What is not as it should be.
    pub what: String,
    /// What that breaks.
    pub breaks: String,
    /// How to mend it: a command where there is one.
    pub mend: String,
}

/// How grave something is; the gravest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// All is well.
    Ok,
    /// It works, and may not for long.
    Warning,
    /// It could not be looked at.
    NotChecked,
    /// It does not work.
    Problem,
}

impl State {
    /// Every state, the gravest last.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Warning, Self::NotChecked, Self::Problem];

    /// The state in words.
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
    /// The gravest that was found.
    #[must_use]
    pub fn state(&self) -> State {
        self.checks.iter().map(Check::state).max().unwrap_or(State::Ok)
    }

    /// How many checks are in a state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.checks.iter().filter(|check| check.state() == state).count()
    }
}

impl Check {
    /// The gravest of its findings.
    #[must_use]
    pub fn state(&self) -> State {
        self.findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok)
    }
}

impl Finding {
    pub(super) fn new(
        state: State,
        what: impl Into<String>,
        breaks: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { state, what: what.into(), breaks: breaks.into(), mend: mend.into() }
    }

    /// Something at a scope that could not be looked at.
    pub(super) fn unseen(unseen: &Unseen, scope: &str, asker: &Asker) -> Self {
        let breaks = "not known: what this check would have found";
        let mend = match unseen {
            Unseen::Forbidden { .. } => grant(asker, "Reader", scope),
            Unseen::Failed(_) => "run aci-dns doctor again".to_owned(),
        };
        let what = format!("could not be looked at: {unseen}");
        Self::new(State::NotChecked, what, breaks, mend)
    }
}

/// The command that gives whoever asks a role at a scope.
pub(super) fn grant(asker: &Asker, role: &str, scope: &str) -> String {
    let assignee = asker.object_id.as_deref().unwrap_or("OBJECT_ID");
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
