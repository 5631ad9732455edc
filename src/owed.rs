//! What is owed: work that failed because of a throttle, or before its last look, done again without being asked.
//!
//! Whoever asked was told to come again, and does so on a schedule of its own. Meanwhile, once a second in each lane,
//! what has been owed the longest is tried again, until it is done, fails for another reason, or its time is over.
//!
//! Nothing depends on that. What is owed is bounded in number and in time; what does not fit is left to whoever asked,
//! and so is everything when the process ends.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// The time between two attempts in a lane. Operators report that Private DNS takes 60 writes of a kind in a minute
/// and zone, and 200 reads, which are those of as many passes in three processes.
const PACE: Duration = Duration::from_secs(1);

/// How long something is owed.
const PATIENCE: Duration = Duration::from_mins(15);

/// How much is owed at most: what can be tried within that time.
const MOST: usize = 900;

/// What is owed, by lane: work in one lane is done one after the other.
#[derive(Debug)]
pub struct Owed<Lane, Key, Input> {
    lanes: Mutex<HashMap<Lane, HashMap<Key, Debt<Input>>>>,
    /// How many debts there were.
    count: AtomicU64,
}

#[derive(Debug)]
struct Debt<Input> {
    /// The strongest input of those who asked for the work.
    input: Input,
    /// When it can be tried.
    due: Instant,
    /// When it is not owed any more.
    end: Instant,
    /// How many there were before it.
    number: u64,
}

/// What there is to do in a lane.
#[derive(Debug, PartialEq, Eq)]
enum Next<Key, Input> {
    Try(Key, Input),
    Later,
    Nothing,
}

impl<Lane, Key, Input> Default for Owed<Lane, Key, Input> {
    fn default() -> Self {
        Self { lanes: Mutex::default(), count: AtomicU64::new(0) }
    }
}

impl<Lane, Key, Input> Owed<Lane, Key, Input>
where
    Lane: Clone + Eq + Hash + Send + 'static,
    Key: Clone + Eq + Hash + Send + 'static,
    Input: Copy + Ord + Send + 'static,
{
    /// Owes the work for a key, to be tried when a wait is over. `again` is given the key and the strongest input, and
    /// returns how long to wait where the work is to be tried once more.
    pub fn owe<Again, Run>(self: &Arc<Self>, lane: Lane, key: Key, input: Input, wait: Duration, again: Again)
    where
        Again: Fn(Key, Input) -> Run + Send + 'static,
        Run: Future<Output = Option<Duration>> + Send + 'static,
    {
        let now = Instant::now();
        let (due, end) = (now + wait.min(PATIENCE), now + PATIENCE);
        let mut lanes = self.lanes();
        if let Some(debt) = lanes.get_mut(&lane).and_then(|debts| debts.get_mut(&key)) {
            debt.due = due;
            debt.input = debt.input.max(input);
            return;
        }
        if due == end || lanes.values().map(HashMap::len).sum::<usize>() >= MOST {
            return;
        }
        let is_idle = !lanes.contains_key(&lane);
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        lanes.entry(lane.clone()).or_default().insert(key, Debt { input, due, end, number });
        if is_idle {
            tokio::spawn(Arc::clone(self).work_off(lane, again));
        }
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.lanes().is_empty()
    }

    /// The work for a key is not owed any more.
    pub fn settle(&self, lane: &Lane, key: &Key) {
        if let Some(debts) = self.lanes().get_mut(lane) {
            debts.remove(key);
        }
    }

    /// Tries what is owed in a lane, until nothing is.
    async fn work_off<Again, Run>(self: Arc<Self>, lane: Lane, again: Again)
    where
        Again: Fn(Key, Input) -> Run + Send + 'static,
        Run: Future<Output = Option<Duration>> + Send + 'static,
    {
        loop {
            sleep(PACE).await;
            match self.next(&lane) {
                Next::Try(key, input) => match again(key.clone(), input).await {
                    Some(wait) => self.postpone(&lane, &key, wait),
                    None => self.settle(&lane, &key),
                },
                Next::Later => {}
                Next::Nothing => break,
            }
        }
    }

    /// What has been owed the longest in a lane, of what is due.
    fn next(&self, lane: &Lane) -> Next<Key, Input> {
        let now = Instant::now();
        let mut lanes = self.lanes();
        let Some(debts) = lanes.get_mut(lane) else { return Next::Nothing };
        debts.retain(|_, debt| now < debt.end);
        if debts.is_empty() {
            lanes.remove(lane);
            return Next::Nothing;
        }
        let due = debts.iter().filter(|(_, debt)| debt.due <= now);
        let first = due.min_by_key(|(_, debt)| debt.number);
        first.map_or(Next::Later, |(key, debt)| Next::Try(key.clone(), debt.input))
    }

    fn postpone(&self, lane: &Lane, key: &Key, wait: Duration) {
        if let Some(debt) = self.lanes().get_mut(lane).and_then(|debts| debts.get_mut(key)) {
            debt.due = Instant::now() + wait.min(PATIENCE);
        }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Lane, HashMap<Key, Debt<Input>>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Tried = Arc<Mutex<Vec<(u8, u64)>>>;

    struct Attempts {
        owed: Arc<Owed<&'static str, u8, ()>>,
        began: Instant,
        tried: Tried,
    }

    impl Attempts {
        fn new() -> Self {
            Self { owed: Arc::default(), began: Instant::now(), tried: Arc::default() }
        }

        /// Owes a key whose attempts end with the answer.
        fn owe(&self, lane: &'static str, key: u8, wait: Duration, answer: Option<Duration>) {
            let (began, tried) = (self.began, Arc::clone(&self.tried));
            self.owed.owe(lane, key, (), wait, move |key, ()| {
                tried.lock().unwrap().push((key, began.elapsed().as_secs()));
                async move { answer }
            });
        }

        /// The keys that were tried until then, and when.
        async fn until(&self, seconds: u64) -> Vec<(u8, u64)> {
            tokio::time::sleep_until(self.began + Duration::from_millis(seconds * 1000 + 500)).await;
            std::mem::take(&mut self.tried.lock().unwrap())
        }

        fn count(&self) -> usize {
            self.owed.lanes().values().map(HashMap::len).sum()
        }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_owed_the_longest_is_tried_first_once_a_second_when_it_is_due() {
        let attempts = Attempts::new();
        attempts.owe("a", 1, s(10), None);
        attempts.owe("a", 2, s(2), None);
        attempts.owe("a", 3, s(2), None);
        attempts.owe("b", 4, s(2), None);
        let mut tried = attempts.until(60).await;
        tried.sort_unstable_by_key(|(key, at)| (*at, *key));
        assert_eq!(tried, [(2, 2), (4, 2), (3, 3), (1, 10)]);
        assert!(attempts.owed.lanes().is_empty(), "nothing is kept of what is done");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_owed_again_waits_again_and_keeps_its_place() {
        let attempts = Attempts::new();
        attempts.owe("a", 1, s(5), None);
        attempts.owe("a", 2, s(5), None);
        attempts.owe("a", 1, s(6), None);
        assert_eq!(attempts.count(), 2);
        assert_eq!(attempts.until(60).await, [(2, 5), (1, 6)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_done_meanwhile_is_not_tried() {
        let attempts = Attempts::new();
        attempts.owe("a", 1, s(5), None);
        attempts.owed.settle(&"a", &1);
        assert_eq!(attempts.until(60).await, []);
        assert!(attempts.owed.lanes().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_throttled_is_tried_until_its_time_is_over() {
        let attempts = Attempts::new();
        attempts.owe("a", 1, s(100), Some(s(300)));
        assert_eq!(attempts.until(3600).await, [(1, 100), (1, 400), (1, 700)]);
        assert!(attempts.owed.lanes().is_empty());
        attempts.owe("a", 1, Duration::MAX, None);
        assert!(attempts.owed.lanes().is_empty(), "nobody waits that long");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_owed_than_can_be_done() {
        let owed: Arc<Owed<u8, usize, ()>> = Arc::default();
        for key in 0..MOST + 5 {
            owed.owe(u8::from(key % 2 == 0), key, (), s(60), |_, ()| async { None });
        }
        let count = || owed.lanes().values().map(HashMap::len).sum::<usize>();
        assert_eq!(count(), MOST);
        owed.settle(&1, &0);
        owed.owe(1, MOST, (), s(60), |_, ()| async { None });
        assert_eq!(count(), MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn the_strongest_input_is_given() {
        let owed: Arc<Owed<u8, u8, u8>> = Arc::default();
        let tried: Arc<Mutex<Vec<u8>>> = Arc::default();
        for input in [1, 3, 2] {
            let tried = Arc::clone(&tried);
            owed.owe(1, 1, input, s(5), move |_, input| {
                tried.lock().unwrap().push(input);
                async { None }
            });
        }
        sleep(s(60)).await;
        assert_eq!(*tried.lock().unwrap(), [3]);
    }
}
