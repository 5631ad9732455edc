//! Injected faults: which requests they affect, and how.
//!
//! Every effect says whether it applies before or after the request's own effect, because a client cannot see
//! that: an answer that is lost *before* means that nothing happened, and one that is lost *after* means that
//! everything did.

use std::time::Duration;

use http::Method;
use tokio::sync::watch;

use super::history::Staleness;

/// Whether a fault applies before or after the request's own effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The request has not changed anything yet. An answer or a loss here means that it never will.
    Before,
    /// The request took effect.
    After,
}

/// An answer instead of Azure's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultAnswer {
    /// HTTP status code.
    pub status: u16,
    /// The code in the body, such as `TooManyRequests`.
    pub code: String,
    /// The message in the body.
    pub message: String,
    /// The `Retry-After` header, in seconds.
    pub retry_after_seconds: Option<u64>,
    /// The raw body instead of `{"error":{"code","message"}}`.
    pub body: Option<String>,
}

impl FaultAnswer {
    /// An answer with this status and code, in the form of Resource Manager's errors.
    #[must_use]
    pub fn new(status: u16, code: &str) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: format!("The simulator answers {code} because of an injected fault."),
            retry_after_seconds: None,
            body: None,
        }
    }

    /// The same answer with a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }
}

/// The effect of a fault on a request.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Another answer than the request's own.
    Answer(When, FaultAnswer),
    /// The connection closes without an answer.
    Drop(When),
    /// The request takes longer.
    Delay(When, Duration),
    /// The answer's own body, truncated after this number of bytes.
    Truncate(usize),
    /// The answer's own status and headers with this body.
    ReplaceBody(String),
    /// The server's certificate cannot be verified, so the client ends the connection before the request.
    UntrustedCertificate,
    /// A stale replica answers, if the request reads a container group, a record set, or a list of either.
    Stale(Staleness),
    /// The request waits until the gate is opened.
    Hold(When, Gate),
    /// All of these, in this order.
    All(Vec<Effect>),
}

impl Effect {
    /// The effects in this one, without `All`.
    pub(super) fn flatten(self) -> Vec<Self> {
        match self {
            Self::All(effects) => effects.into_iter().flat_map(Self::flatten).collect(),
            effect => vec![effect],
        }
    }
}

/// A fault: which requests it affects, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Only requests with this method; any method by default.
    pub method: Option<Method>,
    /// Only requests whose path and query contain this, in any case.
    pub path_contains: String,
    /// The number of matching requests that are not affected at first.
    pub skip: u64,
    /// The number of affected requests after that.
    pub times: u64,
    /// No request is affected from this time on, counted from the creation of the simulator.
    pub until: Option<Duration>,
    /// The effect on them.
    pub effect: Effect,
}

impl Fault {
    /// Affects the first request with this method whose path contains this text.
    #[must_use]
    pub fn once(method: Method, path_contains: &str, effect: Effect) -> Self {
        let path_contains = path_contains.to_owned();
        Self { method: Some(method), path_contains, skip: 0, times: 1, until: None, effect }
    }

    /// Whether it may still affect a request.
    pub(super) fn is_left(&self, now: Duration) -> bool {
        self.times > 0 && self.until.is_none_or(|until| now < until)
    }

    /// Whether the fault affects a request that arrives at this time; counts matching requests.
    pub(super) fn affects(&mut self, method: &Method, path_and_query: &str, now: Duration) -> bool {
        let matches = self.method.as_ref().is_none_or(|wanted| wanted == method)
            && path_and_query.to_ascii_lowercase().contains(&self.path_contains.to_ascii_lowercase());
        if !matches || self.times == 0 || self.until.is_some_and(|until| now >= until) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// Holds requests until it is opened. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    reached: watch::Sender<u64>,
    released: watch::Sender<bool>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self { reached: watch::Sender::new(0), released: watch::Sender::new(false) }
    }

    /// Waits until a request is at the gate, or has passed it.
    pub async fn reached(&self) {
        let mut reached = self.reached.subscribe();
        // It fails only after the sender is dropped, and `self` is one.
        let _ = reached.wait_for(|count| *count > 0).await;
    }

    /// Opens the gate for all requests, now and later.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        self.reached.send_modify(|count| *count += 1);
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }
}

/// A response extension that means: no response, the connection closed.
///
/// Over HTTP the server closes the connection. A client that calls the router in process checks for this
/// extension and turns it into an I/O error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionDropped;

/// A response extension that means: no response, the client did not trust the certificate.
///
/// Without TLS there is no certificate: over HTTP the server closes the connection. A client that calls the router in
/// process checks for this extension and turns it into the error of its TLS library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateRefused;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_requests_then_affects_some_and_then_ends() {
        let mut fault =
            Fault { skip: 1, times: 2, ..Fault::once(Method::PUT, "/PTR/", Effect::Drop(When::After)) };
        let mut affects = |method: &Method, path| fault.affects(method, path, Duration::ZERO);
        assert!(!affects(&Method::PUT, "/x/ptr/4"), "skipped");
        assert!(!affects(&Method::GET, "/x/ptr/4"), "another method");
        assert!(!affects(&Method::PUT, "/x/A/web"), "another path");
        assert!(affects(&Method::PUT, "/x/ptr/4"));
        assert!(affects(&Method::PUT, "/x/PTR/5"));
        assert!(!affects(&Method::PUT, "/x/PTR/6"), "spent");
    }

    #[test]
    fn a_fault_ends_at_its_time() {
        let until = Some(Duration::from_secs(30));
        let drop = Fault::once(Method::GET, "", Effect::Drop(When::Before));
        let mut fault = Fault { times: u64::MAX, until, ..drop };
        let mut affects = |seconds| fault.affects(&Method::GET, "/x", Duration::from_secs(seconds));
        assert_eq!([0, 29, 30, 31].map(&mut affects), [true, true, false, false]);
    }
}
