//! The time in unix seconds, as simulations can set it.

use std::{fmt, sync::Arc};

/// Tells the time in unix seconds. Simulations bring their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that asks a function.
    pub fn new(unix_seconds: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(unix_seconds))
    }

    /// The time now.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Clock").field(&self.unix_seconds()).finish()
    }
}
