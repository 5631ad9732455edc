//! Concurrent events for one key share work: an event that arrives while a run is under way needs a run that
//! *started after it arrived*, and one such run serves all that wait, with the strongest input among them. A
//! background run starts only where few events wait, and none for its key.
//!
//! A run lives in a task of its own, so that a caller whose connection closes does not cancel it for the others.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, sleep_until},
};

use crate::slot::Slot;

/// Runs of work, at most one at a time for a key and at most so many in all.
#[derive(Debug)]
pub struct Coalescer<Key, Input, Value> {
    /// For each key with a run under way or about to start: the callers that wait for the next one.
    waiting: Mutex<HashMap<Key, Vec<Waiter<Input, Value>>>>,
    /// When the runs that were asked for would have begun, had they begun a second apart.
    paced: Mutex<Option<Instant>>,
    places: Arc<Semaphore>,
    max_concurrency: usize,
}

#[derive(Debug)]
struct Waiter<Input, Value> {
    deadline: Instant,
    input: Input,
    answer: oneshot::Sender<(Value, Role)>,
}

/// What is known when a run could start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// When the one who has waited longest for this key gives up.
    pub first_deadline: Instant,
    /// How far the runs that were asked for lately, for any key, are ahead of one in a second.
    pub backlog: Duration,
}

/// Whether a caller's event was the one that a run was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The run was made for it.
    Leader,
    /// Another event's run served it, too.
    Follower,
}

/// The run came to no answer: it panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work panicked")]
pub struct Panicked;

impl<Key, Input, Value> Coalescer<Key, Input, Value>
where
    Key: Clone + Eq + Hash + Send + 'static,
    Input: Ord + Send + 'static,
    Value: Clone + Send + 'static,
{
    /// Allows so many runs at a time.
    #[must_use]
    pub fn new(max_concurrency: usize) -> Self {
        Self {
            waiting: Mutex::new(HashMap::new()),
            paced: Mutex::new(None),
            places: Arc::new(Semaphore::new(max_concurrency)),
            max_concurrency,
        }
    }

    /// Waits for a run for `key` that starts after this call. `start` is asked once before each run when it had
    /// better start, if not now; whoever comes until then is served as well. `work` is given the latest deadline and
    /// the strongest input of the callers that the run serves, and its place.
    pub async fn run<Start, Work, Run>(
        self: &Arc<Self>,
        key: Key,
        input: Input,
        deadline: Instant,
        start: Start,
        work: Work,
    ) -> Result<(Value, Role), Panicked>
    where
        Start: Fn(Demand) -> Option<Instant> + Send + 'static,
        Work: Fn(Instant, Input, Arc<Slot>) -> Run + Send + 'static,
        Run: Future<Output = Value> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let waiter = Waiter { deadline, input, answer };
        let is_first = {
            let mut waiting = self.waiting();
            let is_first = !waiting.contains_key(&key);
            waiting.entry(key.clone()).or_default().push(waiter);
            is_first
        };
        if is_first {
            tokio::spawn(Arc::clone(self).drive(key, true, start, work));
        }
        answered.await.map_err(|_| Panicked)
    }

    /// Runs now, without having been asked; or not at all, where a run for the key is under way or waited for, or runs
    /// for so many keys are that they might need more than a quarter of the permits. Whoever comes meanwhile is served
    /// as by [`Coalescer::run`].
    pub async fn run_in_background<Start, Work, Run>(
        self: &Arc<Self>,
        key: Key,
        input: Input,
        deadline: Instant,
        start: Start,
        work: Work,
    ) -> Option<Result<Value, Panicked>>
    where
        Start: Fn(Demand) -> Option<Instant> + Send + 'static,
        Work: Fn(Instant, Input, Arc<Slot>) -> Run + Send + 'static,
        Run: Future<Output = Value> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.contains_key(&key) || waiting.len() > self.max_concurrency / 4 {
                return None;
            }
            waiting.insert(key.clone(), vec![Waiter { deadline, input, answer }]);
        }
        tokio::spawn(Arc::clone(self).drive(key, false, start, work));
        Some(answered.await.map(|(value, _)| value).map_err(|_| Panicked))
    }

    /// Runs the work until nobody waits for it. The first run, where nobody asked for it, starts at once.
    async fn drive<Start, Work, Run>(self: Arc<Self>, key: Key, mut is_asked: bool, start: Start, work: Work)
    where
        Start: Fn(Demand) -> Option<Instant> + Send + 'static,
        Work: Fn(Instant, Input, Arc<Slot>) -> Run + Send + 'static,
        Run: Future<Output = Value> + Send + 'static,
    {
        while let Some(first_deadline) = self.first_deadline(&key) {
            let demand = is_asked.then(|| Demand { first_deadline, backlog: self.backlog() });
            is_asked = true;
            let slot = Arc::new(Slot::acquire(&self.places).await);
            if let Some(start) = demand.and_then(&start) {
                slot.release_during(sleep_until(start)).await;
            }
            let served = self.take(&key);
            let Some(deadline) = served.iter().map(|waiter| waiter.deadline).max() else { continue };
            let (inputs, answers): (Vec<_>, Vec<_>) =
                served.into_iter().map(|waiter| (waiter.input, waiter.answer)).unzip();
            let Some(input) = inputs.into_iter().max() else { continue };
            // A panic is the host's to report: the callers see their channel close.
            let run = AssertUnwindSafe(work(deadline, input, Arc::clone(&slot))).catch_unwind().await;
            drop(slot);
            if let Ok(value) = run {
                let mut role = Role::Leader;
                for answer in answers {
                    // A caller that gave up waiting needs no answer.
                    _ = answer.send((value.clone(), role));
                    role = Role::Follower;
                }
            }
        }
    }

    /// When the one who has waited longest gives up; where nobody waits any more, the key is forgotten.
    fn first_deadline(&self, key: &Key) -> Option<Instant> {
        let mut waiting = self.waiting();
        let first = waiting.get(key).and_then(|waiters| waiters.first()).map(|waiter| waiter.deadline);
        if first.is_none() {
            waiting.remove(key);
        }
        first
    }

    /// Counts another run, and says how far it is ahead.
    fn backlog(&self) -> Duration {
        let now = Instant::now();
        let mut paced = self.paced.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = paced.map_or(now, |paced| paced.max(now));
        *paced = Some(turn + Duration::from_secs(1));
        turn - now
    }

    fn take(&self, key: &Key) -> Vec<Waiter<Input, Value>> {
        self.waiting().get_mut(key).map(std::mem::take).unwrap_or_default()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Key, Vec<Waiter<Input, Value>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn after(milliseconds: u64) -> Instant {
        Instant::now() + Duration::from_millis(milliseconds)
    }

    fn at_once(_: Demand) -> Option<Instant> {
        None
    }

    /// Work that takes a second and answers with the number of its run.
    fn counted(
        runs: &Arc<AtomicU32>,
    ) -> impl Fn(Instant, (), Arc<Slot>) -> futures::future::BoxFuture<'static, u32> + use<> {
        let runs = Arc::clone(runs);
        move |_, (), _| {
            let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                run
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_arrives_during_a_run_needs_a_run_that_starts_later_and_shares_it() {
        let (shared, runs) = (Arc::new(Coalescer::new(8)), Arc::default());
        let call = |shared: &Arc<Coalescer<u8, (), u32>>| {
            let (shared, work) = (Arc::clone(shared), counted(&runs));
            tokio::spawn(async move { shared.run(1, (), after(9000), at_once, work).await })
        };
        let first = call(&shared);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (second, third) = (call(&shared), call(&shared));
        assert_eq!(first.await.unwrap(), Ok((1, Role::Leader)));
        assert_eq!(second.await.unwrap(), Ok((2, Role::Leader)));
        assert_eq!(third.await.unwrap(), Ok((2, Role::Follower)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(shared.waiting.lock().unwrap().is_empty(), "memory does not grow with the number of keys");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_given_the_strongest_input_of_the_callers_that_it_serves() {
        let shared: Arc<Coalescer<u8, u8, u8>> = Arc::new(Coalescer::new(1));
        let work = |_, input, _| async move { input };
        let run = |input| shared.run(1, input, after(9000), at_once, work);
        let (first, second, third) = tokio::join!(run(1), run(3), run(2));
        assert_eq!([first, second, third].map(|answer| answer.unwrap().0), [3; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn different_keys_run_side_by_side_up_to_the_limit() {
        let (shared, runs) = (Arc::new(Coalescer::new(2)), Arc::default());
        let started = Instant::now();
        let calls = (0..4_u8).map(|key| shared.run(key, (), after(9000), at_once, counted(&runs)));
        futures::future::join_all(calls).await;
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_given_the_latest_deadline_of_those_whom_it_serves() {
        let shared = Arc::new(Coalescer::new(1));
        let late = after(9000);
        let work = move |deadline, (), _| async move { deadline };
        let (first, second) =
            tokio::join!(shared.run(1, (), after(1), at_once, work), shared.run(1, (), late, at_once, work));
        assert_eq!((first.unwrap().0, second.unwrap().0), (late, late));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_before_a_run_that_starts_later_shares_it_and_others_need_no_permit_from_it() {
        let (shared, runs) = (Arc::new(Coalescer::new(1)), Arc::default());
        let began = Instant::now();
        let call = |key: u8, start| {
            let (shared, work) = (Arc::clone(&shared), counted(&runs));
            tokio::spawn(async move { shared.run(key, (), after(9000), move |_| start, work).await })
        };
        let first = call(1, Some(after(5000)));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (second, other) = (call(1, None), call(2, None));
        assert_eq!(other.await.unwrap(), Ok((1, Role::Leader)));
        assert_eq!(began.elapsed().as_secs(), 4);
        assert_eq!(first.await.unwrap(), Ok((2, Role::Leader)));
        assert_eq!(second.await.unwrap(), Ok((2, Role::Follower)));
        assert_eq!(began.elapsed().as_secs(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn the_backlog_is_what_runs_are_ahead_of_one_in_a_second() {
        let shared: Coalescer<u8, (), u8> = Coalescer::new(1);
        let seconds = || shared.backlog().as_secs();
        assert_eq!([seconds(), seconds(), seconds()], [0, 1, 2]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(seconds(), 1);
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(seconds(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_runs_unasked_for_a_key_that_is_asked_for_or_where_much_is_asked_for() {
        let (shared, runs) = (Arc::new(Coalescer::new(8)), Arc::default());
        let ask = |key: u8| {
            let (shared, work) = (Arc::clone(&shared), counted(&runs));
            tokio::spawn(async move { shared.run(key, (), after(9000), at_once, work).await })
        };
        let unasked = |key| shared.run_in_background(key, (), after(9000), at_once, counted(&runs));
        let mut asked = vec![ask(1), ask(2)];
        tokio::task::yield_now().await;
        assert_eq!(unasked(1).await, None);
        assert_eq!(unasked(3).await, Some(Ok(3)), "two of eight permits are few");
        assert!(asked.iter().all(tokio::task::JoinHandle::is_finished));
        asked = vec![ask(1), ask(2), ask(3)];
        tokio::task::yield_now().await;
        assert_eq!(unasked(4).await, None, "three are not");
        futures::future::join_all(asked).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_during_a_run_that_nobody_asked_for_needs_a_run_that_starts_later() {
        let (shared, runs) = (Arc::new(Coalescer::new(1)), Arc::default());
        let unasked = shared.run_in_background(1, (), after(9000), at_once, counted(&runs));
        let asked = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            shared.run(1, (), after(9000), at_once, counted(&runs)).await
        };
        assert_eq!(tokio::join!(unasked, asked), (Some(Ok(1)), Ok((2, Role::Leader))));
        assert_eq!(shared.backlog().as_secs(), 0, "only what is asked for counts");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(shared.waiting().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_fails_those_who_wait_and_nobody_after() {
        let shared: Arc<Coalescer<u8, (), u32>> = Arc::new(Coalescer::new(1));
        let panics = |_, (), _| async { panic!("on purpose") };
        assert_eq!(shared.run(1, (), after(9000), at_once, panics).await, Err(Panicked));
        assert_eq!(
            shared.run(1, (), after(9000), at_once, |_, (), _| async { 7 }).await,
            Ok((7, Role::Leader))
        );
    }
}
