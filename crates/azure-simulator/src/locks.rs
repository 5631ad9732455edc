//! Management locks (<https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources>),
//! and the refusal of requests that a lock forbids.
//!
//! A lock applies to its scope and below. Resource Manager checks it after the caller's rights and before the
//! resource provider, so it also refuses a request for a missing resource. The messages are those of the real
//! service (<https://github.com/Azure/azure-cli/issues/20232>,
//! <https://github.com/Azure/azure-sdk-for-java/issues/2560>).

use http::{Method, StatusCode};

use super::authorization::is_above;
use super::messages::{Answer, Request, gateway};
use super::{Azure, World};

/// The level of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockLevel {
    /// Forbids deletions.
    CanNotDelete,
    /// Forbids deletions, writes and actions (POST).
    ReadOnly,
}

impl LockLevel {
    /// The level with this name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let is = |level: &str| name.eq_ignore_ascii_case(level);
        match () {
            () if is("CanNotDelete") => Some(Self::CanNotDelete),
            () if is("ReadOnly") => Some(Self::ReadOnly),
            () => None,
        }
    }

    fn forbids(self, method: &Method) -> bool {
        match *method {
            Method::GET => false,
            Method::DELETE => true,
            _ => self == Self::ReadOnly,
        }
    }
}

/// A lock, with its scope as given.
#[derive(Debug)]
pub(super) struct Lock {
    scope: String,
    level: LockLevel,
}

impl Azure {
    /// Locks a scope (the id of a subscription, a resource group or a resource). Replaces an existing lock of the
    /// scope.
    pub fn lock(&self, scope: &str, level: LockLevel) {
        let scope = scope.trim_end_matches('/').to_owned();
        self.world().locks.insert(scope.to_ascii_lowercase(), Lock { scope, level });
    }

    /// Removes the lock of a scope, if there is one.
    pub fn unlock(&self, scope: &str) {
        self.world().locks.remove(&scope.trim_end_matches('/').to_ascii_lowercase());
    }
}

impl World {
    /// The refusal of a request that locks forbid.
    pub(super) fn refuse_locked(&self, request: &Request) -> Option<Answer> {
        let path = request.path.to_ascii_lowercase();
        let above = self.locks.iter().filter(|(scope, _)| is_above(scope, &path));
        let forbidding = above.filter(|(_, lock)| lock.level.forbids(&request.method));
        let scopes: Vec<_> = forbidding.map(|(_, lock)| format!("'{}'", lock.scope)).collect();
        if scopes.is_empty() {
            return None;
        }
        let operation = if request.method == Method::DELETE { "delete" } else { "write" };
        let message = format!(
            "The scope '{}' cannot perform {operation} operation because following scope(s) are locked: {}. Please \
             remove the lock and try again.",
            request.path,
            scopes.join(",")
        );
        Some(gateway(StatusCode::CONFLICT, "ScopeLocked", &message))
    }
}
