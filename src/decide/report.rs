//! The outcome of one event in one function, with all values of its log line and its HTTP response.
//!
//! Pure. [`crate::reconcile`] and [`crate::drift`] create reports; [`crate::telemetry`] logs them, and
//! [`crate::functions::host`] turns them into responses.

use std::{error::Error, fmt, net::Ipv4Addr, time::Duration};

use crate::{
    config::ZoneMap,
    domain::{dns::DomainName, resource_id::ContainerGroupId},
};

/// The function that writes.
pub const RECONCILE: &str = "function_aci_reconcile";
/// The function that retries unfinished work.
pub const RETRY: &str = "function_aci_retry";
/// The function that reports drift of single groups.
pub const TRACK_DRIFT: &str = "function_drift_tracker";
/// The function that compares all groups and zones.
pub const SWEEP: &str = "function_drift_sweep";

/// The outcome of an event, in ascending order of severity. The most severe outcome of an array of events is its
/// response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The event does not concern a container group.
    Ignored,
    /// A container group that this deployment does not manage.
    Unmanaged,
    /// Nothing had to be written.
    Converged,
    /// The drift tracker emitted its event.
    Reported,
    /// Writes are needed, but the policy is `observe`.
    Planned,
    /// Record sets were written or removed.
    Changed,
    /// Not finished, and stored in the retry queue.
    Deferred,
    /// The envelope or the event cannot be read.
    Malformed,
    /// The name belongs to another owner, so it was not changed.
    Conflict,
    /// A person has to fix the cause.
    Failed,
    /// A retry may succeed.
    Unavailable,
}

impl Outcome {
    /// The HTTP status of the response to the Functions host.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Ignored
            | Self::Unmanaged
            | Self::Converged
            | Self::Reported
            | Self::Planned
            | Self::Changed
            | Self::Deferred => 200,
            Self::Malformed => 400,
            Self::Conflict => 409,
            Self::Failed => 500,
            Self::Unavailable => 503,
        }
    }

    /// The name of the outcome in log lines and responses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Unmanaged => "unmanaged",
            Self::Converged => "converged",
            Self::Reported => "reported",
            Self::Planned => "planned",
            Self::Changed => "changed",
            Self::Deferred => "deferred",
            Self::Malformed => "malformed",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The report of one event of a container group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The outcome.
    pub outcome: Outcome,
    /// One sentence for people.
    pub message: String,
    /// Whether the message is a warning although the outcome is a success.
    pub is_warning: bool,
    /// The fully qualified name of the container group.
    pub fqdn: Option<DomainName>,
    /// Its live address.
    pub address: Option<Ipv4Addr>,
    /// The changes that were made or, in a dry run, would be made; one string each.
    pub plan: Vec<String>,
    /// The changes that the policy forbade.
    pub withheld: Vec<String>,
    /// The number of requests to Resource Manager, including retries.
    pub arm_calls: u32,
    /// The number of requests to key vaults.
    pub vault_calls: usize,
    /// These requests, in the order in which they ended; at most the first 256.
    pub request_records: Vec<RequestRecord>,
    /// Whether the run of another event served this one. The other report counts the requests.
    pub is_shared: bool,
    /// Why work was deferred: the outcome without a retry queue, and its message.
    pub reason: Option<String>,
    /// The error with all its causes.
    pub error: Option<String>,
    /// The message that was stored in the retry queue.
    pub deferral: Option<Deferral>,
    /// The retry message that started it.
    pub retry: Option<RetryFacts>,
    /// How long Azure throttles, if throttling is the cause of the failure.
    pub throttled: Option<Duration>,
    /// How long Azure asks to wait before a retry.
    pub retry_after: Option<Duration>,
    /// The container group that owns the name, from its owner mark, if it is another one.
    pub conflict_owner: Option<String>,
    /// The services that failed without failing this event, with their errors.
    pub services_failed: Vec<String>,
    /// The result of the drift tracker.
    pub drift: Option<Drift>,
}

impl Report {
    /// A report with only an outcome and a message.
    #[must_use]
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            message: message.into(),
            is_warning: false,
            fqdn: None,
            address: None,
            plan: Vec::new(),
            withheld: Vec::new(),
            arm_calls: 0,
            vault_calls: 0,
            request_records: Vec::new(),
            is_shared: false,
            reason: None,
            error: None,
            deferral: None,
            retry: None,
            throttled: None,
            retry_after: None,
            conflict_owner: None,
            services_failed: Vec::new(),
            drift: None,
        }
    }

    /// The report of an error, with all its causes.
    #[must_use]
    pub fn failed(outcome: Outcome, error: &(dyn Error + 'static)) -> Self {
        let chain = Chain(error).to_string();
        Self { error: Some(chain.clone()), ..Self::new(outcome, chain) }
    }

    /// Adds the report for the secret of the same group: the more severe outcome, and both errors.
    pub(crate) fn beside(mut self, secret: Self) -> Self {
        let both = |one: Option<String>, other: Option<String>| match (one, other) {
            (Some(one), Some(other)) => Some(format!("{one}; and {other}")),
            (one, other) => one.or(other),
        };
        self.message = match (&self.error, &secret.error) {
            (Some(_), Some(_)) => format!("{}; and {}", self.message, secret.message),
            (None, Some(_)) => secret.message,
            (_, None) => self.message,
        };
        self.error = both(self.error, secret.error);
        self.outcome = self.outcome.max(secret.outcome);
        self.plan.extend(secret.plan);
        self.arm_calls += secret.arm_calls;
        self.vault_calls += secret.vault_calls;
        self.request_records.extend(secret.request_records);
        self.conflict_owner = self.conflict_owner.or(secret.conflict_owner);
        self.retry_after = self.retry_after.max(secret.retry_after);
        self
    }

    /// Adds the report of another group whose records this invocation had to correct.
    pub(crate) fn followed_by(mut self, next: Self) -> Self {
        if next.outcome > self.outcome {
            self.outcome = next.outcome;
        }
        if !next.plan.is_empty() || next.error.is_some() {
            self.message = format!("{}; then {}", self.message, next.message);
        }
        self.plan.extend(next.plan);
        self.withheld.extend(next.withheld);
        self.error = self.error.or(next.error);
        self.throttled = self.throttled.max(next.throttled);
        self.retry_after = self.retry_after.max(next.retry_after);
        self
    }
}

/// Unfinished work in the retry queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// The outcome without a retry queue.
    pub outcome: Outcome,
    /// The delay of the retry.
    pub delay: Duration,
}

/// The kind of a retry message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// Work that a retry can finish.
    Unavailable,
    /// Work that needs a person.
    Failed,
    /// A recheck of work that succeeded.
    Recheck,
}

impl MessageKind {
    /// The name of the kind in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
            Self::Recheck => "recheck",
        }
    }
}

/// The facts about the message of a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryFacts {
    /// The number of the attempt.
    pub attempt: u64,
    /// When the first message of this work was stored, in the format of RFC 3339.
    pub since: Option<String>,
    /// Whether it is a recheck of work that succeeded.
    pub is_recheck: bool,
}

/// The report for a container group that the map does not serve.
#[must_use]
pub fn unmapped(zones: &ZoneMap, id: &ContainerGroupId) -> Report {
    let reason = zones.find(id).err().map(|reason| format!(": {reason}")).unwrap_or_default();
    Report::new(Outcome::Unmanaged, format!("no entry of ACI_DNS_ZONES serves {id}{reason}"))
}

/// An error with all its causes, without repetition. Causes are printed only here.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// One request to Resource Manager or to a key vault, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// The HTTP method.
    pub method: &'static str,
    /// Verb and subject: the method or `LIST`, and `container group`, `A`, `PTR` or `secret`.
    pub operation: String,
    /// Scheme, host and path.
    pub url: String,
    /// The host of the request.
    pub host: String,
    /// The number of the attempt: 1 for the first one, 2 for the first retry.
    pub attempt: u32,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The time from sending the request to the creation of the report.
    pub age: Duration,
    /// How long the answer took.
    pub duration: Duration,
}

impl RequestRecord {
    /// Whether a record set was written or removed.
    #[must_use]
    pub fn has_written(&self) -> bool {
        self.method != "GET"
            && !self.operation.ends_with(" secret")
            && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The result of the drift tracker for one container group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The drift event.
    pub event: DriftEvent,
    /// Every kind of drift that applies.
    pub kinds: Vec<DriftKind>,
    /// The addresses in the A record set.
    pub dns_addresses: Vec<Ipv4Addr>,
    /// The names in the PTR record set of the live address.
    pub dns_ptr: Vec<String>,
    /// The services whose record set differs, with desired and actual addresses.
    pub services: Vec<String>,
}

impl Drift {
    /// Adds a kind. The event stays the first one for a group without an A record set.
    pub(crate) fn add(&mut self, kind: DriftKind) {
        self.kinds.push(kind);
        if self.event == DriftEvent::NoChange {
            self.event = DriftEvent::DriftDetected;
        }
    }
}

/// The drift tracker's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftEvent {
    /// No A record set exists.
    FirstSeen,
    /// No kind of drift applies.
    NoChange,
    /// Some kind of drift applies.
    DriftDetected,
}

impl DriftEvent {
    /// The name in log lines and rows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstSeen => "first_seen",
            Self::NoChange => "no_change",
            Self::DriftDetected => "drift_detected",
        }
    }
}

/// A kind of difference between DNS and the live group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftKind {
    /// The A record set does not contain exactly the live address.
    Address,
    /// A record set has the wrong TTL.
    Ttl,
    /// There is no PTR record at the live address.
    PtrMissing,
    /// The PTR record at the live address names another host.
    PtrMismatch,
    /// The PTR record of another current or previous address of the A record set names the group.
    PtrStale,
    /// A record set at our name or address belongs to another owner.
    Foreign,
    /// There is no A record set. Only sweeps report this kind; the drift tracker reports the event `first_seen`.
    AMissing,
    /// An A record set carries our mark under a name that is not ours, or although the group has no address.
    AStale,
    /// Record sets carry the mark of a deleted group.
    Orphan,
    /// No reverse zone contains the live address.
    PtrUncovered,
    /// A tag of the group cannot be read.
    BadTag,
    /// The live address is outside the ranges of the map.
    AddressRefused,
    /// The record set of a service differs from its members.
    Service,
    /// There is no secret with the address.
    SecretMissing,
    /// The secret has another value, or another owner mark or none.
    Secret,
}

impl DriftKind {
    /// The name in log lines and rows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Ttl => "ttl",
            Self::PtrMissing => "ptr_missing",
            Self::PtrMismatch => "ptr_mismatch",
            Self::PtrStale => "ptr_stale",
            Self::Foreign => "foreign",
            Self::AMissing => "a_missing",
            Self::AStale => "a_stale",
            Self::Orphan => "orphan",
            Self::PtrUncovered => "ptr_uncovered",
            Self::BadTag => "bad_tag",
            Self::AddressRefused => "address_refused",
            Self::Service => "service",
            Self::SecretMissing => "secret_missing",
            Self::Secret => "secret",
        }
    }
}
