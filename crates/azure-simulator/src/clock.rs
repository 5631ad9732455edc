//! Deterministic replacements for the wall clock and for random numbers.
//!
//! Time is `tokio`'s, counted from the creation of the simulator and displayed as an offset from a fixed
//! date, so that a test can pause it. Identifiers come from a seeded generator (`SplitMix64`), one per
//! purpose, so that an `ETag` depends on earlier writes but not on reads.

use std::time::Duration;

/// 2026-01-01T00:00:00Z in Unix seconds.
pub(super) const DEFAULT_EPOCH_SECONDS: u64 = 1_767_225_600;

/// A generator that returns the same identifiers in the same order for the same seed.
#[derive(Debug)]
pub(super) struct Identifiers {
    state: u64,
}

impl Identifiers {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A GUID in the form of a random one (version 4).
    pub(super) fn guid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            (low >> 48) & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }
}

/// A point in time as Resource Manager writes it, with seven decimals: `2026-01-01T00:00:00.0000000Z`.
pub(super) fn timestamp(epoch_seconds: u64, elapsed: Duration) -> String {
    format!("{}.{:07}Z", date_time(epoch_seconds, elapsed), elapsed.subsec_nanos() / 100)
}

/// A point in time as Container Instances writes the states of a container: `2026-01-01T00:00:00.000Z`.
pub(super) fn timestamp_in_milliseconds(epoch_seconds: u64, elapsed: Duration) -> String {
    format!("{}.{:03}Z", date_time(epoch_seconds, elapsed), elapsed.subsec_millis())
}

/// A point in time as Container Instances writes the events of a container: `2026-01-01T00:00:00Z`.
pub(super) fn timestamp_in_seconds(epoch_seconds: u64, elapsed: Duration) -> String {
    format!("{}Z", date_time(epoch_seconds, elapsed))
}

fn date_time(epoch_seconds: u64, elapsed: Duration) -> String {
    let seconds = epoch_seconds.saturating_add(elapsed.as_secs());
    let (year, month, day) = civil_date(seconds / 86_400);
    let second_of_day = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60
    )
}

/// A time in the format of HTTP headers (RFC 9110, section 5.6.7): `Thu, 01 Jan 2026 00:00:00 GMT`.
pub(super) fn http_date(epoch_seconds: u64, elapsed: Duration) -> String {
    // 1970-01-01 was a Thursday.
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = epoch_seconds.saturating_add(elapsed.as_secs());
    let days = seconds / 86_400;
    let (year, month, day) = civil_date(days);
    let name = |names: &[&'static str], at: u64| {
        usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
    };
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days % 7),
        name(&MONTHS, month.saturating_sub(1)),
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_the_epoch_plus_the_elapsed_time() {
        let check = |epoch_seconds, elapsed, expected: &str| {
            assert_eq!(timestamp(epoch_seconds, elapsed), expected);
        };
        check(DEFAULT_EPOCH_SECONDS, Duration::ZERO, "2026-01-01T00:00:00.0000000Z");
        check(DEFAULT_EPOCH_SECONDS, Duration::from_millis(86_399_250), "2026-01-01T23:59:59.2500000Z");
        check(0, Duration::from_hours(24 * 59), "1970-03-01T00:00:00.0000000Z");
        check(1_709_164_800, Duration::ZERO, "2024-02-29T00:00:00.0000000Z");
        let elapsed = Duration::from_millis(1250);
        assert_eq!(timestamp_in_milliseconds(DEFAULT_EPOCH_SECONDS, elapsed), "2026-01-01T00:00:01.250Z");
        assert_eq!(timestamp_in_seconds(DEFAULT_EPOCH_SECONDS, elapsed), "2026-01-01T00:00:01Z");
    }

    #[test]
    fn a_date_of_http_names_the_day_of_the_week() {
        let check = |seconds, expected: &str| assert_eq!(http_date(seconds, Duration::ZERO), expected);
        check(DEFAULT_EPOCH_SECONDS, "Thu, 01 Jan 2026 00:00:00 GMT");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT");
    }

    #[test]
    fn the_same_seed_gives_the_same_guids_and_no_two_alike() {
        let mut first = Identifiers::new(7);
        let mut second = Identifiers::new(7);
        let guids: Vec<_> = (0..100).map(|_| first.guid()).collect();
        assert_eq!(guids, (0..100).map(|_| second.guid()).collect::<Vec<_>>());
        assert_eq!(guids.iter().collect::<std::collections::BTreeSet<_>>().len(), 100);
        assert!(guids.iter().all(|guid| guid.len() == 36 && guid.as_bytes()[14] == b'4'));
    }
}
