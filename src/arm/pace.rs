//! Manners under a throttle, shared by all invocations of one process.
//!
//! Azure counts requests by place and kind, and says with `Retry-After` when it will take more. Whoever was told
//! so tells the others here: until then nobody asks in vain. A request whose time comes before the deadline waits
//! for it; any other fails on the spot, without having been sent.
//!
//! When the time has come, those who waited do not rush in together, which would only be throttled again: they
//! take turns.
//!
//! Nothing here is about DNS, nothing outlives the process, and what is forgotten is learned again by one request.
//! As long as Azure throttles nothing, nothing waits here and nothing is kept.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Method, header};
use tokio::time::{Instant, sleep_until};

use crate::dns::Zone;

/// The longest time that nobody asks because one was told to wait: what was learned may be wrong.
const LONGEST_CLOSURE: Duration = Duration::from_mins(1);

/// The time between two turns.
const TURN: Duration = Duration::from_millis(50);

/// What Azure counts together: requests of one kind at one place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    /// The path of a zone, or else of a subscription, in lower case.
    place: Box<str>,
    kind: Kind,
}

/// What Azure counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Read,
    List,
    Create,
    Replace,
    Delete,
}

/// The lanes that are throttled, or were lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    lanes: Mutex<HashMap<Lane, Closure>>,
}

#[derive(Clone, Copy, Debug)]
struct Closure {
    /// When the next request may be sent.
    opens: Instant,
    /// Until when requests take turns.
    ends: Instant,
    /// Whose turn is next has it then.
    next: Instant,
}

impl Closure {
    fn is_on(&self, now: Instant) -> bool {
        now < self.ends.max(self.next)
    }
}

impl Lane {
    /// The lane of a request.
    pub(super) fn of(method: &Method, path: &str, headers: &HeaderMap) -> Self {
        // Up to the name of the zone, or else of the subscription.
        let place = path.split('/').take(zones_in(path).map_or(3, |at| at + 2));
        let place = place.collect::<Vec<_>>().join("/").to_ascii_lowercase().into();
        let kind = match *method {
            Method::PUT if headers.contains_key(header::IF_NONE_MATCH) => Kind::Create,
            Method::PUT => Kind::Replace,
            Method::DELETE => Kind::Delete,
            _ if is_list(path) => Kind::List,
            _ => Kind::Read,
        };
        Self { place, kind }
    }
}

/// Whether what is read at a path is the list of the record sets of one type.
pub(super) fn is_list(path: &str) -> bool {
    zones_in(path).is_some_and(|at| path.split('/').count() == at + 3)
}

/// Which segment of a path has the names of zones behind it.
fn zones_in(path: &str) -> Option<usize> {
    path.split('/').position(|segment| segment.eq_ignore_ascii_case("privateDnsZones"))
}

impl Pace {
    /// Waits for the turn of a request; or says how long that would be, when it is not before the deadline.
    pub(super) async fn turn(&self, lane: &Lane, deadline: Instant) -> Result<(), Duration> {
        while let Some(turn) = self.reserve(lane, deadline)? {
            sleep_until(turn).await;
            // It may have been closed once more meanwhile.
            if self.is_open_at(lane, turn) {
                break;
            }
        }
        Ok(())
    }

    /// The next free turn, where turns are taken.
    fn reserve(&self, lane: &Lane, deadline: Instant) -> Result<Option<Instant>, Duration> {
        let now = Instant::now();
        let mut lanes = self.lanes();
        let Some(closure) = lanes.get_mut(lane).filter(|closure| closure.is_on(now)) else {
            return Ok(None);
        };
        let turn = closure.next.max(now);
        if turn >= deadline {
            return Err(turn - now);
        }
        closure.next = turn + TURN;
        Ok(Some(turn))
    }

    /// Azure asked to be left alone for a while.
    pub(super) fn close(&self, lane: &Lane, wait: Duration) {
        let (now, wait) = (Instant::now(), wait.min(LONGEST_CLOSURE));
        let mut lanes = self.lanes();
        lanes.retain(|_, closure| closure.is_on(now));
        let opens = now + wait;
        let closure = lanes.entry(lane.clone()).or_insert(Closure { opens, ends: opens, next: opens });
        closure.opens = closure.opens.max(opens);
        closure.ends = closure.ends.max(opens + wait);
        closure.next = closure.next.max(opens);
    }

    /// Whether no lane was throttled lately.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes().is_empty()
    }

    /// Until when requests for single record sets in a zone are throttled.
    pub(super) fn throttled_until(&self, zone: &Zone) -> Option<Instant> {
        if self.is_idle() {
            return None;
        }
        let Zone { subscription, resource_group, name } = zone;
        let place = format!(
            "/subscriptions/{subscription}/resourcegroups/{resource_group}/providers/microsoft.network/privatednszones/{name}"
        )
        .to_ascii_lowercase();
        let now = Instant::now();
        let lanes = self.lanes();
        let throttled = lanes.iter().filter(|(lane, closure)| {
            *lane.place == *place && lane.kind != Kind::List && now < closure.opens
        });
        throttled.map(|(_, closure)| closure.opens).max()
    }

    /// How many places are throttled.
    pub(super) fn throttled_places(&self) -> usize {
        let now = Instant::now();
        let lanes = self.lanes();
        let throttled = lanes.iter().filter(|(_, closure)| now < closure.opens);
        throttled.map(|(lane, _)| &lane.place).collect::<HashSet<_>>().len()
    }

    fn is_open_at(&self, lane: &Lane, turn: Instant) -> bool {
        self.lanes().get(lane).is_none_or(|closure| closure.opens <= turn)
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Lane, Closure>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    const ZONE: &str = "/subscriptions/s1/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/contoso.internal";

    fn lane(method: &Method, path: &str) -> Lane {
        Lane::of(method, path, &HeaderMap::new())
    }

    fn reads() -> Lane {
        lane(&Method::GET, &format!("{ZONE}/A/web"))
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// When requests that come now have their turn, in milliseconds from now; or how long those would have had to
    /// wait that do not have it before the deadline.
    async fn turns(pace: &Pace, lane: &Lane, requests: usize, deadline: Duration) -> Vec<Result<u128, u128>> {
        let now = Instant::now();
        let turn = async || {
            let turn = pace.turn(lane, now + deadline).await;
            turn.map(|()| now.elapsed().as_millis()).map_err(|wait| wait.as_millis())
        };
        join_all((0..requests).map(|_| turn())).await
    }

    #[test]
    fn azure_counts_by_zone_or_subscription_and_by_what_is_asked() {
        let all = [
            reads(),
            lane(&Method::GET, &format!("{ZONE}/A")),
            lane(&Method::PUT, &format!("{ZONE}/A/web")),
            lane(&Method::DELETE, &format!("{ZONE}/A/web")),
            Lane::of(
                &Method::PUT,
                &format!("{ZONE}/A/web"),
                &HeaderMap::from_iter([(header::IF_NONE_MATCH, http::HeaderValue::from_static("*"))]),
            ),
            lane(&Method::GET, &format!("{ZONE}.example/A/web")),
            lane(&Method::GET, &format!("{}/A/web", ZONE.replace("s1", "s2"))),
            lane(&Method::GET, "/subscriptions/s1/resourceGroups/rg/providers/x/containerGroups/web"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| one != other), "{one:?}");
        }
        let lists: Vec<_> = all.iter().filter(|lane| lane.kind == Kind::List).collect();
        assert_eq!(lists, [&all[1]]);
        assert_eq!(lane(&Method::GET, &format!("{}/PTR/4.5", ZONE.to_uppercase())), reads());
        let other = "/subscriptions/S1/resourceGroups/other/providers/x/containerGroups/api";
        assert_eq!(lane(&Method::GET, other), all[7]);
    }

    fn zone() -> Zone {
        Zone {
            subscription: "S1".to_owned(),
            resource_group: "rg-DNS".to_owned(),
            name: "contoso.internal".parse().unwrap(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_zone_is_throttled_until_the_last_of_its_lanes_opens_and_lists_do_not_count() {
        let pace = Pace::default();
        let now = Instant::now();
        assert_eq!((pace.throttled_until(&zone()), pace.throttled_places()), (None, 0));
        pace.close(&lane(&Method::GET, &format!("{ZONE}/A")), ms(9000));
        assert_eq!((pace.throttled_until(&zone()), pace.throttled_places()), (None, 1));
        pace.close(&reads(), ms(5000));
        pace.close(&lane(&Method::DELETE, &format!("{ZONE}/A/web")), ms(7000));
        pace.close(&lane(&Method::GET, &format!("{ZONE}.example/A/web")), ms(8000));
        assert_eq!((pace.throttled_until(&zone()), pace.throttled_places()), (Some(now + ms(7000)), 2));
        tokio::time::sleep(ms(7000)).await;
        assert_eq!((pace.throttled_until(&zone()), pace.throttled_places()), (None, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn as_long_as_nothing_is_throttled_nothing_waits_and_nothing_is_kept() {
        let pace = Pace::default();
        assert_eq!(turns(&pace, &reads(), 3, ms(1000)).await, [Ok(0); 3]);
        assert!(pace.lanes().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_take_turns_and_others_are_not_concerned() {
        let pace = Pace::default();
        pace.close(&reads(), ms(7000));
        let create = lane(&Method::PUT, &format!("{ZONE}/A/web"));
        assert_eq!(turns(&pace, &create, 1, ms(25_000)).await, [Ok(0)]);
        let waits = turns(&pace, &reads(), 3, ms(25_000)).await;
        assert_eq!(waits, [Ok(7000), Ok(7050), Ok(7100)]);
        // Turns are taken for as long again.
        assert_eq!(turns(&pace, &reads(), 2, ms(25_000)).await, [Ok(50), Ok(100)]);
        tokio::time::sleep(ms(7000)).await;
        assert_eq!(turns(&pace, &reads(), 2, ms(25_000)).await, [Ok(0), Ok(0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn whose_turn_is_not_before_the_deadline_is_told_so_at_once() {
        let pace = Pace::default();
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
    async fn who_waits_when_azure_asks_for_more_patience_waits_on_or_is_told() {
        let pace = Pace::default();
        pace.close(&reads(), ms(7000));
        let close_again = async {
            tokio::time::sleep(ms(5000)).await;
            pace.close(&reads(), ms(10_000));
            // A shorter wait that is told later changes nothing.
            pace.close(&reads(), ms(1000));
        };
        let lane = reads();
        let (patient, hurried, ()) =
            tokio::join!(turns(&pace, &lane, 1, ms(25_000)), turns(&pace, &lane, 1, ms(9000)), close_again);
        assert_eq!((patient, hurried), (vec![Ok(15_000)], vec![Err(8000)]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_learned_is_forgotten() {
        let pace = Pace::default();
        pace.close(&reads(), Duration::MAX);
        assert_eq!(turns(&pace, &reads(), 1, ms(90_000)).await, [Ok(60_000)]);
        tokio::time::sleep(ms(60_000)).await;
        let create = lane(&Method::PUT, ZONE);
        pace.close(&create, ms(1000));
        assert_eq!(pace.lanes().keys().collect::<Vec<_>>(), [&create]);
    }
}
