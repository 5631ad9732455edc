//! What can be made to go wrong: which requests it strikes, and what then happens to them.
//!
//! Every effect says on which side of the request's own effect it strikes, because that is what a client
//! cannot see: an answer that was lost *before* means that nothing happened, and one that was lost *after*
//! means that everything did.

use std::time::Duration;

use http::Method;
use tokio::sync::watch;

use super::history::Staleness;

/// On which side of the request's own effect a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The request has not changed anything yet. An answer or a loss at this point means that it never will.
    Before,
    /// The request has done what it asked for.
    After,
}

/// An answer that Azure gives instead of the one it would have given.
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
    /// The raw body in the place of `{"error":{"code","message"}}`.
    pub body: Option<String>,
}

impl FaultAnswer {
    /// An answer with this status and code, wrapped as Resource Manager wraps its errors.
    #[must_use]
    pub fn new(status: u16, code: &str) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: format!("The simulator was told to answer {code}."),
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

/// What happens to a request that is struck.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Another answer than the request's own.
    Answer(When, FaultAnswer),
    /// The connection breaks and no answer comes.
    Drop(When),
    /// Time passes.
    Delay(When, Duration),
    /// The answer's own body, cut after so many bytes.
    Truncate(usize),
    /// The answer's own status and headers with this body.
    ReplaceBody(String),
    /// The server's certificate cannot be verified, so the client ends the connection before the request.
    UntrustedCertificate,
    /// A replica that lags behind answers, if the request reads a container group, a record set, or a list of either.
    Stale(Staleness),
    /// Nothing happens until the gate is opened.
    Hold(When, Gate),
    /// All of these, in this order.
    All(Vec<Effect>),
}

impl Effect {
    /// The effects that this one consists of, none of them `All`.
    pub(super) fn flatten(self) -> Vec<Self> {
        match self {
            Self::All(effects) => effects.into_iter().flat_map(Self::flatten).collect(),
            effect => vec![effect],
        }
    }
}

/// Which requests a fault strikes, and how.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Only requests of this method; of any, when absent.
    pub method: Option<Method>,
    /// Only requests whose path and query contain this, whatever the case.
    pub path_contains: String,
    /// So many matching requests pass unharmed first.
    pub skip: u64,
    /// So many are struck then.
    pub times: u64,
    /// None is struck from this time on, counted from when the simulator was made.
    pub until: Option<Duration>,
    /// What happens to them.
    pub effect: Effect,
}

impl Fault {
    /// Strikes the first request of this method whose path contains this text.
    #[must_use]
    pub fn once(method: Method, path_contains: &str, effect: Effect) -> Self {
        let path_contains = path_contains.to_owned();
        Self { method: Some(method), path_contains, skip: 0, times: 1, until: None, effect }
    }

    /// Whether the fault strikes a request that arrives at this time; counts it if it matches.
    pub(super) fn strikes(&mut self, method: &Method, path_and_query: &str, now: Duration) -> bool {
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

/// Holds requests back until it is opened. Clones are the same gate.
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

    /// Waits until a request stands before the gate, or has passed it.
    pub async fn reached(&self) {
        let mut reached = self.reached.subscribe();
        // It fails only once the sender is gone, and `self` is one.
        let _ = reached.wait_for(|count| *count > 0).await;
    }

    /// Opens the gate for all who wait and for all who come.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        self.reached.send_modify(|count| *count += 1);
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }
}

/// Marks, among the extensions of a response, that there is no response: the connection broke.
///
/// Over HTTP the connection really breaks. A client that calls the router in process looks for this extension
/// and turns it into an I/O error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionDropped;

/// Marks, among the extensions of a response, that there is no response: the client did not trust the certificate.
///
/// Without TLS there is no certificate: over HTTP the connection breaks. A client that calls the router in process
/// looks for this extension and turns it into the error of its TLS library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateRefused;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_then_strikes_then_lets_pass() {
        let mut fault =
            Fault { skip: 1, times: 2, ..Fault::once(Method::PUT, "/PTR/", Effect::Drop(When::After)) };
        let mut strikes = |method: &Method, path| fault.strikes(method, path, Duration::ZERO);
        assert!(!strikes(&Method::PUT, "/x/ptr/4"), "skipped");
        assert!(!strikes(&Method::GET, "/x/ptr/4"), "another method");
        assert!(!strikes(&Method::PUT, "/x/A/web"), "another path");
        assert!(strikes(&Method::PUT, "/x/ptr/4"));
        assert!(strikes(&Method::PUT, "/x/PTR/5"));
        assert!(!strikes(&Method::PUT, "/x/PTR/6"), "spent");
    }

    #[test]
    fn a_fault_ends_at_its_time() {
        let until = Some(Duration::from_secs(30));
        let drop = Fault::once(Method::GET, "", Effect::Drop(When::Before));
        let mut fault = Fault { times: u64::MAX, until, ..drop };
        let mut strikes = |seconds| fault.strikes(&Method::GET, "/x", Duration::from_secs(seconds));
        assert_eq!([0, 29, 30, 31].map(&mut strikes), [true, true, false, false]);
    }
}
