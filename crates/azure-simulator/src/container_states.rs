//! The states of the containers of a group, and what answers hide of it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Secrets of a group by their place, such as `containers/web/PASSWORD/secureValue`.
pub(super) type Secrets = BTreeMap<String, String>;

/// The state of the containers of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Containers {
    /// They are not started yet; answers omit them.
    Waiting,
    Running,
    Terminated(Termination),
}

/// The end of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Termination {
    pub(super) exit_code: i64,
    pub(super) started: Duration,
    pub(super) finished: Duration,
    pub(super) detail: &'static str,
}

/// The time between the end of a container and its restart, in which the group keeps its address.
///
/// The real service answers in two forms, both recorded (`test_container_create_msi-012` and `-004` of
/// Azure/azure-cli): first the container is `Terminated` and the group `Succeeded`, as if it had ended
/// finally; then the container is `Waiting` and the group `Running`. Here each takes half of the time. It is
/// not recorded whether the group is `Failed` in the first half after another exit code than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BackOff {
    pub(super) waiting: Duration,
    pub(super) due: Duration,
    pub(super) length: Duration,
}

/// Whether a group belongs to a standby pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standby {
    Never,
    /// It is ready and not in use.
    Pooled,
    /// It was taken from a pool.
    Claimed,
}
