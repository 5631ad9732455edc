//! Coalesces concurrent events of one key. An event that arrives during a run needs a run that *starts after it
//! arrived*; one such run serves all waiting events.
//!
//! Each run has a task of its own, so that a caller whose connection closes does not cancel it for other callers.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, sleep},
};

use crate::azure::slot::Slot;

/// Runs work: at most one run per key at a time, and a limited number of runs in total.
#[derive(Debug)]
pub struct Coalescer<Key, Input, Value> {
    /// For each key with a run in progress or about to start: the callers that wait for the next run.
    waiting: Mutex<HashMap<Key, Vec<Waiter<Input, Value>>>>,
    running: AtomicUsize,
    /// The pause between two runs for one key.
    pause: Duration,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Waiter<Input, Value> {
    deadline: Instant,
    input: Input,
    answer: oneshot::Sender<(Value, Role)>,
}

/// The current load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Runs in progress, including those that wait without a slot.
    pub running: usize,
    /// Callers that wait for a run that has not started.
    pub waiting: usize,
}

/// The role of a caller's event in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The run was started for this event.
    Leader,
    /// The run was started for another event.
    Follower,
}

/// The run panicked, so it has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work panicked")]
pub struct Panicked;

impl<Key, Input, Value> Coalescer<Key, Input, Value>
where
    Key: Clone + Eq + Hash + Send + 'static,
    Input: Send + 'static,
    Value: Clone + Send + 'static,
{
    /// Allows at most `max_concurrency` runs at a time.
    #[must_use]
    pub fn new(max_concurrency: usize) -> Self {
        Self {
            waiting: Mutex::new(HashMap::new()),
            running: AtomicUsize::new(0),
            pause: Duration::ZERO,
            places: Arc::new(Semaphore::new(max_concurrency)),
        }
    }

    /// Allows so many runs at a time, with a pause between two runs for one key.
    #[must_use]
    pub fn paced(max_concurrency: usize, pause: Duration) -> Self {
        Self { pause, ..Self::new(max_concurrency) }
    }

    /// At most so many of these keys that a caller waits for, or that a run is under way for.
    pub fn keys(&self, most: usize, is_meant: impl Fn(&Key) -> bool) -> Vec<Key> {
        self.waiting().keys().filter(|key| is_meant(key)).take(most).cloned().collect()
    }

    /// Waits for a run for `key` that starts after this call. The arguments of `work` are the latest deadline of the
    /// callers that the run serves, the input of the first caller, the inputs of the others, and the slot of the run.
    pub async fn run<Work, Run>(
        self: &Arc<Self>,
        key: Key,
        input: Input,
        deadline: Instant,
        work: Work,
    ) -> Result<(Value, Role), Panicked>
    where
        Work: Fn(Instant, (Input, Vec<Input>), Arc<Slot>) -> Run + Send + 'static,
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
            tokio::spawn(Arc::clone(self).drive(key, work));
        }
        answered.await.map_err(|_| Panicked)
    }

    /// The current load.
    pub fn load(&self) -> Load {
        let waiting = self.waiting().values().map(Vec::len).sum();
        Load { running: self.running.load(Ordering::Relaxed), waiting }
    }

    /// Runs the work until no caller waits for it.
    async fn drive<Work, Run>(self: Arc<Self>, key: Key, work: Work)
    where
        Work: Fn(Instant, (Input, Vec<Input>), Arc<Slot>) -> Run + Send + 'static,
        Run: Future<Output = Value> + Send + 'static,
    {
        while self.is_waited_for(&key) {
            let slot = Arc::new(Slot::acquire(&self.places).await);
            let served = self.take(&key);
            let Some(deadline) = served.iter().map(|waiter| waiter.deadline).max() else { continue };
            let mut answers = Vec::with_capacity(served.len());
            let mut inputs = served.into_iter().map(|waiter| {
                answers.push(waiter.answer);
                waiter.input
            });
            let Some(first) = inputs.next() else { continue };
            let inputs = (first, inputs.collect());
            // After a panic, the channels of the callers close, and the callers report it.
            self.running.fetch_add(1, Ordering::Relaxed);
            let start = AssertUnwindSafe(|| work(deadline, inputs, Arc::clone(&slot)));
            let run = match catch_unwind(start) {
                Ok(run) => AssertUnwindSafe(run).catch_unwind().await,
                Err(panic) => Err(panic),
            };
            self.running.fetch_sub(1, Ordering::Relaxed);
            drop(slot);
            if let Ok(value) = run {
                let mut role = Role::Leader;
                for answer in answers {
                    // Sending fails if the caller stopped waiting.
                    _ = answer.send((value.clone(), role));
                    role = Role::Follower;
                }
            }
            if !self.pause.is_zero() {
                // Boxed: a run without a pause does not need the room for it.
                Box::pin(sleep(self.pause)).await;
            }
        }
    }

    /// Whether a caller waits for a run. Removes a key without callers.
    fn is_waited_for(&self, key: &Key) -> bool {
        let mut waiting = self.waiting();
        let is_waited_for = waiting.get(key).is_some_and(|waiters| !waiters.is_empty());
        if !is_waited_for {
            waiting.remove(key);
        }
        is_waited_for
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
    use std::sync::atomic::AtomicU32;

    fn after(milliseconds: u64) -> Instant {
        Instant::now() + Duration::from_millis(milliseconds)
    }

    /// Work that takes a second and answers with the number of its run.
    fn counted(
        runs: &Arc<AtomicU32>,
    ) -> impl Fn(Instant, ((), Vec<()>), Arc<Slot>) -> futures::future::BoxFuture<'static, u32> + use<> {
        let runs = Arc::clone(runs);
        move |_, _, _| {
            let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                sleep(Duration::from_secs(1)).await;
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
            tokio::spawn(async move { shared.run(1, (), after(9000), work).await })
        };
        let first = call(&shared);
        sleep(Duration::from_millis(500)).await;
        let (second, third) = (call(&shared), call(&shared));
        tokio::task::yield_now().await;
        assert_eq!(shared.load(), Load { running: 1, waiting: 2 });
        assert_eq!(first.await.unwrap(), Ok((1, Role::Leader)));
        assert_eq!(second.await.unwrap(), Ok((2, Role::Leader)));
        assert_eq!(third.await.unwrap(), Ok((2, Role::Follower)));
        sleep(Duration::from_secs(1)).await;
        assert!(shared.waiting.lock().unwrap().is_empty(), "memory does not grow with the number of keys");
        assert_eq!(shared.load(), Load::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_given_the_inputs_of_the_callers_that_it_serves() {
        let shared: Arc<Coalescer<u8, u8, (u8, Vec<u8>)>> = Arc::new(Coalescer::new(1));
        let work = |_, inputs, _| async move { inputs };
        let run = |input| shared.run(1, input, after(9000), work);
        let (first, second, third) = tokio::join!(run(1), run(3), run(2));
        assert_eq!([first, second, third].map(|answer| answer.unwrap().0), [(); 3].map(|()| (1, vec![3, 2])));
    }

    #[tokio::test(start_paused = true)]
    async fn different_keys_run_side_by_side_up_to_the_limit() {
        let (shared, runs) = (Arc::new(Coalescer::new(2)), Arc::default());
        let started = Instant::now();
        let calls = (0..4_u8).map(|key| shared.run(key, (), after(9000), counted(&runs)));
        futures::future::join_all(calls).await;
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_given_the_latest_deadline_of_those_whom_it_serves() {
        let shared = Arc::new(Coalescer::new(1));
        let late = after(9000);
        let work = move |deadline, _: ((), Vec<()>), _| async move { deadline };
        let (first, second) = tokio::join!(shared.run(1, (), after(1), work), shared.run(1, (), late, work));
        assert_eq!((first.unwrap().0, second.unwrap().0), (late, late));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_before_the_first_await_of_a_run_is_like_any_other() {
        let shared: Arc<Coalescer<u8, (), u32>> = Arc::new(Coalescer::new(8));
        let panics = |_, _, _| -> futures::future::BoxFuture<'static, u32> { panic!("on purpose") };
        assert_eq!(shared.run(1, (), after(9000), panics).await, Err(Panicked));
        let again = shared.run(1, (), after(9000), |_, _, _| async { 7 });
        let again = tokio::time::timeout(Duration::from_secs(1), again).await;
        assert_eq!(again.ok(), Some(Ok((7, Role::Leader))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paced_run_waits_for_its_pause_and_serves_all_that_arrive_meanwhile() {
        let (shared, runs) = (Arc::new(Coalescer::paced(8, Duration::from_secs(5))), Arc::default());
        let started = Instant::now();
        let call = |key, wait| {
            let (shared, work) = (Arc::clone(&shared), counted(&runs));
            async move {
                sleep(Duration::from_secs(wait)).await;
                let (run, _) = shared.run(key, (), after(20_000), work).await.unwrap();
                (run, started.elapsed().as_secs())
            }
        };
        let answers = tokio::join!(call(1, 0), call(1, 2), call(1, 5), call(2, 2));
        assert_eq!(answers, ((1, 1), (3, 7), (3, 7), (2, 3)));
        sleep(Duration::from_secs(6)).await;
        assert!(shared.waiting.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_fails_those_who_wait_and_nobody_after() {
        let shared: Arc<Coalescer<u8, (), u32>> = Arc::new(Coalescer::new(1));
        let panics = |_, _, _| async { panic!("on purpose") };
        assert_eq!(shared.run(1, (), after(9000), panics).await, Err(Panicked));
        assert_eq!(shared.run(1, (), after(9000), |_, _, _| async { 7 }).await, Ok((7, Role::Leader)));
        assert_eq!(shared.load(), Load::default());
    }
}
