//! What a command has sent and what is left, for its progress line.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Counts the requests of a process, and the known rest of a command's work.
#[derive(Debug, Default)]
pub struct Activity {
    sent: AtomicUsize,
    left: AtomicUsize,
}

impl Activity {
    /// Adds known work: reads of a command, or repairs.
    pub fn expect(&self, count: usize) {
        self.left.fetch_add(count, Ordering::Relaxed);
    }

    /// Removes one piece of the known work.
    pub fn finish_one(&self) {
        let less = |left: usize| Some(left.saturating_sub(1));
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    pub(super) fn count_request(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn progress(&self, throttled: Option<Duration>) -> Progress {
        Progress {
            sent: self.sent.load(Ordering::Relaxed),
            left: self.left.load(Ordering::Relaxed),
            throttled,
        }
    }
}

/// The progress of a command at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Requests that were sent.
    pub sent: usize,
    /// Known reads and repairs that are left; 0 if unknown.
    pub left: usize,
    /// How long Azure throttles a zone or subscription, if it does.
    pub throttled: Option<Duration>,
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left > 0 {
            write!(formatter, "{} left, ", self.left)?;
        }
        if self.sent == 0 {
            return formatter.write_str("no request sent yet");
        }
        let of_requests = if self.sent == 1 { "request" } else { "requests" };
        write!(formatter, "{} {of_requests} sent", self.sent)?;
        match self.throttled {
            Some(wait) => write!(formatter, "; Azure throttles for another {} s", wait.as_secs_f32().ceil()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_is_left_and_how_long_azure_throttles() {
        let activity = Activity::default();
        assert_eq!(activity.progress(None).to_string(), "no request sent yet");
        activity.count_request();
        assert_eq!(activity.progress(None).to_string(), "1 request sent");
        activity.expect(3);
        activity.finish_one();
        activity.count_request();
        let progress = activity.progress(Some(Duration::from_millis(22_100)));
        assert_eq!(progress.to_string(), "2 left, 2 requests sent; Azure throttles for another 23 s");
        for _ in 0..3 {
            activity.finish_one();
        }
        assert_eq!(activity.progress(None).to_string(), "2 requests sent");
    }
}
