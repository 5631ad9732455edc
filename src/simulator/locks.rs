//! Management locks (<https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources>): what is
//! locked, and the refusal of a request that a lock forbids.
//!
//! A lock holds for its scope and everything below. Resource Manager checks it after the rights of the caller and before
//! the resource provider sees the request, so a request for something that does not exist is refused as well. The
//! messages are those of the real service
//! (<https://github.com/Azure/azure-cli/issues/20232>, <https://github.com/Azure/azure-sdk-for-java/issues/2560>).

use http::{Method, StatusCode};

use super::authorization::is_above;
use super::messages::{Answer, Request, gateway};
use super::{Azure, World};

/// What a lock forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockLevel {
    /// Deleting.
    CanNotDelete,
    /// Deleting, writing and actions (POST).
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

/// A lock, and its scope as it was spelled.
#[derive(Debug)]
pub(super) struct Lock {
    scope: String,
    level: LockLevel,
}

impl Azure {
    /// Locks a scope (the id of a subscription, a resource group or a resource). One lock per scope: a second one
    /// replaces the first.
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
