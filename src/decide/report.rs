//! What became of one event, and in which function: the outcome, and everything that its log line and its answer
//! say.
//!
//! Pure: made by [`crate::reconcile`] and [`crate::drift`], told by [`crate::telemetry`] and [`crate::functions::host`].

use std::{error::Error, fmt, net::Ipv4Addr, time::Duration};

use crate::{
    config::ZoneMap,
    domain::{dns::DomainName, resource_id::ContainerGroupId},
};

/// The function that writes.
pub const RECONCILE: &str = "function_aci_reconcile";
/// The function that finishes what an event could not finish.
pub const RETRY: &str = "function_aci_retry";
/// The function that reports.
pub const TRACK_DRIFT: &str = "function_drift_tracker";
/// The function that looks at everything.
pub const SWEEP: &str = "function_drift_sweep";

/// The function that updates images after a push that Event Grid reports.
pub const IMAGE_PUSHED: &str = "function_image_pushed";
/// The function that updates images after a push that a webhook reports.
pub const IMAGE_WEBHOOK: &str = "function_image_webhook";
/// The function that finishes what a push could not finish.
pub const IMAGE_RETRY: &str = "function_image_retry";

/// What became of an event, gravest last: the answer to an array of events is the gravest of its outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Not one of our events.
    Ignored,
    /// A container group that this deployment does not manage.
    Unmanaged,
    /// Nothing had to be written.
    Converged,
    /// The drift tracker emitted its event.
    Reported,
    /// Something would have to be written, and the policy is to observe.
    Planned,
    /// Record sets were written or removed.
    Changed,
    /// Not finished, and stored in the retry queue.
    Deferred,
    /// The envelope or the event cannot be read.
    Malformed,
    /// The name belongs to somebody else; nothing of it was touched.
    Conflict,
    /// A person has to act.
    Failed,
    /// Redelivery will do.
    Unavailable,
}

impl Outcome {
    /// The HTTP status that the Functions host is answered with.
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

    /// The word for it in log lines and answers.
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

/// What there is to say about one event of a container group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What became of it.
    pub outcome: Outcome,
    /// One sentence for people.
    pub message: String,
    /// Whether the sentence is a warning although the outcome is a good one.
    pub is_warning: bool,
    /// The fully qualified name of the container group.
    pub fqdn: Option<DomainName>,
    /// Its live address.
    pub address: Option<Ipv4Addr>,
    /// The changes that were made, or would be, one string each.
    pub plan: Vec<String>,
    /// The changes that the policy forbade.
    pub withheld: Vec<String>,
    /// How many requests went to Resource Manager, retries included.
    pub arm_calls: u32,
    /// How many requests went to key vaults.
    pub vault_calls: usize,
    /// All these requests, in the order in which they ended; of very many only the first.
    pub request_records: Vec<RequestRecord>,
    /// Whether another event's pass served this one, too; its requests are counted there.
    pub is_shared: bool,
    /// Why work was deferred: the outcome that it would have been, and the sentence for it.
    pub reason: Option<String>,
    /// The error with all its causes.
    pub error: Option<String>,
    /// What was stored of it in the retry queue.
    pub deferral: Option<Deferral>,
    /// The message that asked for it.
    pub retry: Option<RetryFacts>,
    /// How long Azure wants to be left alone, where it failed because of a throttle.
    pub throttled: Option<Duration>,
    /// How long Azure asks to wait before a retry.
    pub retry_after: Option<Duration>,
    /// Where the name belongs to another container group: that group, as its mark says it.
    pub conflict_owner: Option<String>,
    /// The services that failed without failing this event, with their errors.
    pub services_failed: Vec<String>,
    /// What the drift tracker found.
    pub drift: Option<Drift>,
    /// The push that it is about.
    pub image: Option<ImageFacts>,
}

/// The pushed image of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// Host and path of the repository.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest.
    pub digest: Option<String>,
}

impl Report {
    /// A report that says no more than its outcome and a sentence.
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
            image: None,
        }
    }

    /// A report that says why something failed, with all causes.
    #[must_use]
    pub fn failed(outcome: Outcome, error: &(dyn Error + 'static)) -> Self {
        let chain = Chain(error).to_string();
        Self { error: Some(chain.clone()), ..Self::new(outcome, chain) }
    }

    /// Adds what became of the secret of the same group: the most severe outcome, and both errors.
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

    /// Adds what became of another group that this invocation had to make good.
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
    /// The outcome that it would have been.
    pub outcome: Outcome,
    /// When it is tried again.
    pub delay: Duration,
}

/// What a message of the retry queue asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// To finish what a retry can finish.
    Unavailable,
    /// To look again at what needs a person.
    Failed,
    /// To look again at what ended well.
    Recheck,
}

impl MessageKind {
    /// The word for it in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
            Self::Recheck => "recheck",
        }
    }
}

/// The message that a retry works for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryFacts {
    /// Which try it is.
    pub attempt: u64,
    /// When the first message of this work was stored, as RFC 3339 has it.
    pub since: Option<String>,
    /// Whether it is a recheck of work that ended well.
    pub is_recheck: bool,
}

/// The report for a container group that the map does not serve.
#[must_use]
pub fn unmapped(zones: &ZoneMap, id: &ContainerGroupId) -> Report {
    let reason = zones.find(id).err().map(|reason| format!(": {reason}")).unwrap_or_default();
    Report::new(Outcome::Unmanaged, format!("no entry of ACI_DNS_ZONES serves {id}{reason}"))
}

/// An error with all its causes, once each: the only place where causes are printed.
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
    /// What was done to what: the method, or `LIST`, and `container group`, `A`, `PTR` or `secret`.
    pub operation: String,
    /// Scheme, host and path.
    pub url: String,
    /// The host that was asked.
    pub host: String,
    /// 1 for the first time that this was sent, 2 for its first repetition.
    pub attempt: u32,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// How long before its report was made the request went out.
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
            && !self.operation.ends_with(" container group")
            && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// What the drift tracker found for one container group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which of its three events it is.
    pub event: DriftEvent,
    /// Every kind of drift that applies.
    pub kinds: Vec<DriftKind>,
    /// What the A record set says.
    pub dns_addresses: Vec<Ipv4Addr>,
    /// What the PTR record set at the live address says.
    pub dns_ptr: Vec<String>,
    /// The services whose record set differs, with wanted and found addresses.
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
    /// The word for it in log lines and rows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstSeen => "first_seen",
            Self::NoChange => "no_change",
            Self::DriftDetected => "drift_detected",
        }
    }
}

/// How DNS and reality can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftKind {
    /// The A record set does not hold exactly the live address.
    Address,
    /// A record set has another TTL than it should have.
    Ttl,
    /// There is no PTR record at the live address.
    PtrMissing,
    /// There is a PTR record at the live address, and it names somebody else.
    PtrMismatch,
    /// A PTR at an address that the A record set holds or remembers still names us.
    PtrStale,
    /// A record set at our name or address belongs to somebody else.
    Foreign,
    /// There is no A record set. Only a sweep tells it as a kind; the drift tracker's word is `first_seen`.
    AMissing,
    /// An A record set carries our mark under a name that is not ours, or although the group has no address.
    AStale,
    /// Record sets carry the mark of a group that is gone.
    Orphan,
    /// No reverse zone contains the live address.
    PtrUncovered,
    /// A tag of the group cannot be read.
    BadTag,
    /// The live address lies outside of the ranges of the map.
    AddressRefused,
    /// The record set of a service differs from its members.
    Service,
    /// There is no secret with the address.
    SecretMissing,
    /// The secret holds another value, or carries another owner mark or none.
    Secret,
}

impl DriftKind {
    /// The word for it in log lines and rows.
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
