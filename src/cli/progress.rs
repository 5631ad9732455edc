//! The progress of a command on stderr: on a terminal, one line from the third second on; elsewhere, a line every
//! ten seconds.
//!
//! Everything else that a command prints calls [`clear`] first.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use aci_dns::{azure::arm::Arm, domain::text::printable};
use tokio::time::{Instant, interval_at};

/// How long a command runs before it shows progress.
const FIRST_PROGRESS: Duration = Duration::from_secs(2);
/// The period of the line on a terminal.
const REFRESH: Duration = Duration::from_secs(1);
/// The period of the lines elsewhere.
const PERIOD: Duration = Duration::from_secs(10);

/// Whether the last line of the terminal is a progress line.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);
/// Whether progress is shown at all.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Turns progress off.
pub(crate) fn silence() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Removes the progress line from the terminal.
pub(super) fn clear() {
    if IS_SHOWN.swap(false, Ordering::Relaxed) {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
}

/// Prints a line of progress, unless progress is off.
pub(super) fn say(line: &str) {
    if !IS_QUIET.load(Ordering::Relaxed) {
        clear();
        let _ = writeln!(anstream::stderr(), "{}", printable(line));
    }
}

/// Shows the progress of the requests of this client until the work ends.
pub(super) async fn during<Work: Future>(arm: Arm, work: Work) -> Work::Output {
    let is_terminal = io::stderr().is_terminal();
    let (start, period) = if is_terminal { (FIRST_PROGRESS, REFRESH) } else { (PERIOD, PERIOD) };
    let show = async {
        let mut ticks = interval_at(Instant::now() + start, period);
        loop {
            ticks.tick().await;
            if IS_QUIET.load(Ordering::Relaxed) {
                continue;
            }
            if is_terminal {
                clear();
                let _ = write!(io::stderr(), "{}", arm.progress());
                let _ = io::stderr().flush();
                IS_SHOWN.store(true, Ordering::Relaxed);
            } else {
                let _ = writeln!(io::stderr(), "{}", arm.progress());
            }
        }
    };
    tokio::pin!(work);
    tokio::select! {
        output = &mut work => {
            clear();
            output
        }
        () = show => work.await,
    }
}
