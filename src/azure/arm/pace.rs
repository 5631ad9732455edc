//! Process-wide backoff after 429: all invocations of the process share it.
//!
//! Azure counts requests by zone or subscription and by kind, and `Retry-After` says when it accepts more.
//! Until then, a request waits if the cooldown ends before its deadline. Otherwise it fails at once and is
//! not sent.
//!
//! After a cooldown, the waiting requests are sent one at a time, because Azure would throttle a burst again.
//!
//! The state ends with the process: a lost cooldown costs one request. Without throttling, nothing waits and
//! nothing is stored.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Method, header};
use tokio::time::{Instant, sleep_until};

use crate::domain::dns::Zone;

/// The longest cooldown, because `Retry-After` may be unreasonably long.
const LONGEST_COOLDOWN: Duration = Duration::from_mins(1);

/// The time between two waiting requests.
const TURN: Duration = Duration::from_millis(50);

/// The key of a quota: requests of one kind in one zone or subscription.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct QuotaKey {
    /// The path of the zone, or else of the subscription, in lower case.
    place: Box<str>,
    kind: RequestKind,
}

/// The kinds of requests that Azure counts separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RequestKind {
    Read,
    List,
    Create,
    Replace,
    Delete,
}

/// The quotas that are throttled now or were throttled recently.
#[derive(Debug, Default)]
pub(super) struct Cooldowns {
    cooldowns: Mutex<HashMap<QuotaKey, Cooldown>>,
}

#[derive(Clone, Copy, Debug)]
struct Cooldown {
    /// When the next request may be sent.
    opens: Instant,
    /// Until when requests are sent one at a time.
    ends: Instant,
    /// When the next waiting request may be sent.
    next: Instant,
}

impl Cooldown {
    fn is_on(&self, now: Instant) -> bool {
        now < self.ends.max(self.next)
    }
}

impl QuotaKey {
    /// The quota of a request.
    pub(super) fn of(method: &Method, path: &str, headers: &HeaderMap) -> Self {
        // Up to the name of the zone, or else of the subscription.
        let place = path.split('/').take(zones_in(path).map_or(3, |at| at + 2));
        let place = place.collect::<Vec<_>>().join("/").to_ascii_lowercase().into();
        let kind = match *method {
            Method::PUT if headers.contains_key(header::IF_NONE_MATCH) => RequestKind::Create,
            Method::PUT | Method::POST => RequestKind::Replace,
            Method::DELETE => RequestKind::Delete,
            _ if is_list(path) => RequestKind::List,
            _ => RequestKind::Read,
        };
        Self { place, kind }
    }
}

/// Whether a path is the list of the record sets of one type.
pub(super) fn is_list(path: &str) -> bool {
    zones_in(path).is_some_and(|at| path.split('/').count() == at + 3)
}

/// The position of the segment that precedes the names of zones.
fn zones_in(path: &str) -> Option<usize> {
    path.split('/').position(|segment| segment.eq_ignore_ascii_case("privateDnsZones"))
}

impl Cooldowns {
    /// Waits until the request may be sent. Fails at once, with the necessary wait, if that is after the
    /// deadline.
    pub(super) async fn turn(&self, quota: &QuotaKey, deadline: Instant) -> Result<(), Duration> {
        while let Some(turn) = self.reserve(quota, deadline)? {
            sleep_until(turn).await;
            // Another 429 may have extended the cooldown meanwhile.
            if self.is_open_at(quota, turn) {
                break;
            }
        }
        Ok(())
    }

    /// Reserves the next free turn; `None` without a cooldown.
    fn reserve(&self, quota: &QuotaKey, deadline: Instant) -> Result<Option<Instant>, Duration> {
        let now = Instant::now();
        let mut cooldowns = self.cooldowns();
        let Some(cooldown) = cooldowns.get_mut(quota).filter(|cooldown| cooldown.is_on(now)) else {
            return Ok(None);
        };
        let turn = cooldown.next.max(now);
        if turn >= deadline {
            return Err(turn - now);
        }
        cooldown.next = turn + TURN;
        Ok(Some(turn))
    }

    /// Starts or extends a cooldown after a 429.
    pub(super) fn close(&self, quota: &QuotaKey, wait: Duration) {
        let (now, wait) = (Instant::now(), wait.min(LONGEST_COOLDOWN));
        let mut cooldowns = self.cooldowns();
        cooldowns.retain(|_, cooldown| cooldown.is_on(now));
        let opens = now + wait;
        let cooldown = cooldowns.entry(quota.clone()).or_insert(Cooldown { opens, ends: opens, next: opens });
        cooldown.opens = cooldown.opens.max(opens);
        cooldown.ends = cooldown.ends.max(opens + wait);
        cooldown.next = cooldown.next.max(opens);
    }

    /// Whether no quota is throttled or was throttled recently.
    pub(super) fn is_idle(&self) -> bool {
        self.cooldowns().is_empty()
    }

    /// Until when requests for single record sets in a zone are throttled.
    pub(super) fn throttled_until(&self, zone: &Zone) -> Option<Instant> {
        let now = Instant::now();
        let of_zone = self.of_zone(zone).into_iter().filter(|(kind, _)| *kind != RequestKind::List);
        of_zone.map(|(_, cooldown)| cooldown.opens).filter(|opens| now < *opens).max()
    }

    /// Whether lists of the record sets in a zone are throttled.
    pub(super) fn refuses_lists(&self, zone: &Zone) -> bool {
        let now = Instant::now();
        self.of_zone(zone).iter().any(|(kind, cooldown)| *kind == RequestKind::List && now < cooldown.opens)
    }

    /// Whether requests for single record sets in a zone are throttled, or are sent one at a time after a throttle.
    pub(super) fn is_slow(&self, zone: &Zone) -> bool {
        let now = Instant::now();
        self.of_zone(zone).iter().any(|(kind, cooldown)| *kind != RequestKind::List && cooldown.is_on(now))
    }

    /// The quotas of a zone that are throttled now or were throttled lately.
    fn of_zone(&self, zone: &Zone) -> Vec<(RequestKind, Cooldown)> {
        let cooldowns = self.cooldowns();
        if cooldowns.is_empty() {
            return Vec::new();
        }
        let Zone { subscription, resource_group, name } = zone;
        let place = format!(
            "/subscriptions/{subscription}/resourcegroups/{resource_group}/providers/microsoft.network/privatednszones/{name}"
        )
        .to_ascii_lowercase();
        let of_zone = cooldowns.iter().filter(|(quota, _)| *quota.place == *place);
        of_zone.map(|(quota, cooldown)| (quota.kind, *cooldown)).collect()
    }

    /// How long the longest throttle lasts.
    pub(super) fn throttled_for(&self) -> Option<Duration> {
        let now = Instant::now();
        let cooldowns = self.cooldowns();
        cooldowns
            .values()
            .map(|cooldown| cooldown.opens)
            .filter(|opens| *opens > now)
            .max()
            .map(|opens| opens - now)
    }

    /// The number of throttled zones and subscriptions.
    pub(super) fn throttled_places(&self) -> usize {
        let now = Instant::now();
        let cooldowns = self.cooldowns();
        let throttled = cooldowns.iter().filter(|(_, cooldown)| now < cooldown.opens);
        throttled.map(|(quota, _)| &quota.place).collect::<HashSet<_>>().len()
    }

    fn is_open_at(&self, quota: &QuotaKey, turn: Instant) -> bool {
        self.cooldowns().get(quota).is_none_or(|cooldown| cooldown.opens <= turn)
    }

    fn cooldowns(&self) -> MutexGuard<'_, HashMap<QuotaKey, Cooldown>> {
        self.cooldowns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    const ZONE: &str = "/subscriptions/s1/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/contoso.internal";

    fn quota(method: &Method, path: &str) -> QuotaKey {
        QuotaKey::of(method, path, &HeaderMap::new())
    }

    fn reads() -> QuotaKey {
        quota(&Method::GET, &format!("{ZONE}/A/web"))
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// When requests that start now are sent, in milliseconds from now; for those that would miss the
    /// deadline, the necessary wait.
    async fn turns(
        pace: &Cooldowns,
        quota: &QuotaKey,
        requests: usize,
        deadline: Duration,
    ) -> Vec<Result<u128, u128>> {
        let now = Instant::now();
        let turn = async || {
            let turn = pace.turn(quota, now + deadline).await;
            turn.map(|()| now.elapsed().as_millis()).map_err(|wait| wait.as_millis())
        };
        join_all((0..requests).map(|_| turn())).await
    }

    #[test]
    fn a_quota_is_a_zone_or_subscription_and_a_kind_of_request() {
        let all = [
            reads(),
            quota(&Method::GET, &format!("{ZONE}/A")),
            quota(&Method::PUT, &format!("{ZONE}/A/web")),
            quota(&Method::DELETE, &format!("{ZONE}/A/web")),
            QuotaKey::of(
                &Method::PUT,
                &format!("{ZONE}/A/web"),
                &HeaderMap::from_iter([(header::IF_NONE_MATCH, http::HeaderValue::from_static("*"))]),
            ),
            quota(&Method::GET, &format!("{ZONE}.example/A/web")),
            quota(&Method::GET, &format!("{}/A/web", ZONE.replace("s1", "s2"))),
            quota(&Method::GET, "/subscriptions/s1/resourceGroups/rg/providers/x/containerGroups/web"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| one != other), "{one:?}");
        }
        let lists: Vec<_> = all.iter().filter(|quota| quota.kind == RequestKind::List).collect();
        assert_eq!(lists, [&all[1]]);
        assert_eq!(quota(&Method::GET, &format!("{}/PTR/4.5", ZONE.to_uppercase())), reads());
        let other = "/subscriptions/S1/resourceGroups/other/providers/x/containerGroups/api";
        assert_eq!(quota(&Method::GET, other), all[7]);
    }

    fn zone() -> Zone {
        Zone {
            subscription: "S1".to_owned(),
            resource_group: "rg-DNS".to_owned(),
            name: "contoso.internal".parse().unwrap(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_zone_is_throttled_until_the_last_of_its_quotas_opens_and_lists_do_not_count() {
        let pace = Cooldowns::default();
        let now = Instant::now();
        assert_eq!((pace.throttled_until(&zone()), pace.throttled_places()), (None, 0));
        pace.close(&quota(&Method::GET, &format!("{ZONE}/A")), ms(9000));
        assert_eq!((pace.throttled_until(&zone()), pace.throttled_places()), (None, 1));
        assert_eq!((pace.refuses_lists(&zone()), pace.is_slow(&zone())), (true, false));
        pace.close(&reads(), ms(5000));
        pace.close(&quota(&Method::DELETE, &format!("{ZONE}/A/web")), ms(7000));
        pace.close(&quota(&Method::GET, &format!("{ZONE}.example/A/web")), ms(8000));
        assert_eq!((pace.throttled_until(&zone()), pace.throttled_places()), (Some(now + ms(7000)), 2));
        tokio::time::sleep(ms(7000)).await;
        assert_eq!((pace.throttled_until(&zone()), pace.throttled_places()), (None, 2));
        // Deletions are sent one at a time for the same time again.
        assert_eq!((pace.refuses_lists(&zone()), pace.is_slow(&zone())), (true, true));
        tokio::time::sleep(ms(7000)).await;
        assert_eq!((pace.refuses_lists(&zone()), pace.is_slow(&zone())), (false, false));
    }

    #[tokio::test(start_paused = true)]
    async fn without_throttling_nothing_waits_and_nothing_is_stored() {
        let pace = Cooldowns::default();
        assert_eq!(turns(&pace, &reads(), 3, ms(1000)).await, [Ok(0); 3]);
        assert!(pace.cooldowns().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_requests_are_sent_one_at_a_time_and_other_quotas_do_not_wait() {
        let pace = Cooldowns::default();
        pace.close(&reads(), ms(7000));
        let create = quota(&Method::PUT, &format!("{ZONE}/A/web"));
        assert_eq!(turns(&pace, &create, 1, ms(25_000)).await, [Ok(0)]);
        let waits = turns(&pace, &reads(), 3, ms(25_000)).await;
        assert_eq!(waits, [Ok(7000), Ok(7050), Ok(7100)]);
        // Requests are sent one at a time for the same time again.
        assert_eq!(turns(&pace, &reads(), 2, ms(25_000)).await, [Ok(50), Ok(100)]);
        tokio::time::sleep(ms(7000)).await;
        assert_eq!(turns(&pace, &reads(), 2, ms(25_000)).await, [Ok(0), Ok(0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_would_miss_the_deadline_fails_at_once() {
        let pace = Cooldowns::default();
        pace.close(&reads(), ms(24_950));
        let now = Instant::now();
        let expected = [Ok(24_950), Err(25_000), Err(25_000)];
        assert_eq!(turns(&pace, &reads(), 3, ms(25_000)).await, expected);
        assert_eq!(now.elapsed(), ms(24_950));
        pace.close(&reads(), ms(10_000));
        assert_eq!(turns(&pace, &reads(), 1, ms(10_000)).await, [Err(10_000)]);
        assert_eq!(now.elapsed(), ms(24_950));
    }

    #[tokio::test(start_paused = true)]
    async fn an_extended_cooldown_delays_waiting_requests_or_fails_them() {
        let pace = Cooldowns::default();
        pace.close(&reads(), ms(7000));
        let close_again = async {
            tokio::time::sleep(ms(5000)).await;
            pace.close(&reads(), ms(10_000));
            // A later, shorter wait changes nothing.
            pace.close(&reads(), ms(1000));
        };
        let quota = reads();
        let (patient, hurried, ()) =
            tokio::join!(turns(&pace, &quota, 1, ms(25_000)), turns(&pace, &quota, 1, ms(9000)), close_again);
        assert_eq!((patient, hurried), (vec![Ok(15_000)], vec![Err(8000)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cooldown_is_forgotten_after_a_day() {
        let pace = Cooldowns::default();
        pace.close(&reads(), Duration::MAX);
        assert_eq!(turns(&pace, &reads(), 1, ms(90_000)).await, [Ok(60_000)]);
        tokio::time::sleep(ms(60_000)).await;
        let create = quota(&Method::PUT, ZONE);
        pace.close(&create, ms(1000));
        assert_eq!(pace.cooldowns().keys().collect::<Vec<_>>(), [&create]);
    }
}
