//! Concurrent events for one key share work: an event that arrives while a run is under way needs a run that
//! *started after it arrived*, and one such run serves all that wait.
//!
//! A run lives in a task of its own, so that a caller that goes away (a closed connection) cuts nobody else off.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt;
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};

/// Runs of work, at most one at a time for a key and at most so many in all.
#[derive(Debug)]
pub struct Shared<Key, Value> {
    /// For each key with a run under way or about to start: who waits for the next one.
    waiting: Mutex<HashMap<Key, Vec<Waiter<Value>>>>,
    permits: Semaphore,
}

#[derive(Debug)]
struct Waiter<Value> {
    deadline: Instant,
    answer: oneshot::Sender<(Value, Role)>,
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

impl<Key, Value> Shared<Key, Value>
where
    Key: Clone + Eq + Hash + Send + 'static,
    Value: Clone + Send + 'static,
{
    /// Allows so many runs at a time.
    #[must_use]
    pub fn new(max_concurrency: usize) -> Self {
        Self { waiting: Mutex::new(HashMap::new()), permits: Semaphore::new(max_concurrency) }
    }

    /// Waits for a run for `key` that starts after this call. `work` is given the latest deadline of those whom
    /// the run serves.
    pub async fn run<Work, Run>(
        self: &Arc<Self>,
        key: Key,
        deadline: Instant,
        work: Work,
    ) -> Result<(Value, Role), Panicked>
    where
        Work: Fn(Instant) -> Run + Send + 'static,
        Run: Future<Output = Value> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let waiter = Waiter { deadline, answer };
        let is_first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let is_first = !waiting.contains_key(&key);
            waiting.entry(key.clone()).or_default().push(waiter);
            is_first
        };
        if is_first {
            tokio::spawn(Arc::clone(self).drive(key, work));
        }
        answered.await.map_err(|_| Panicked)
    }

    /// Runs the work until nobody waits for it.
    async fn drive<Work, Run>(self: Arc<Self>, key: Key, work: Work)
    where
        Work: Fn(Instant) -> Run + Send + 'static,
        Run: Future<Output = Value> + Send + 'static,
    {
        loop {
            let permit = self.permits.acquire().await.expect("the semaphore is never closed");
            let served = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                match waiting.get_mut(&key) {
                    Some(waiters) if !waiters.is_empty() => std::mem::take(waiters),
                    _ => {
                        waiting.remove(&key);
                        return;
                    }
                }
            };
            let Some(deadline) = served.iter().map(|waiter| waiter.deadline).max() else { continue };
            // A panic is the host's to report: those who wait see their channel close.
            let run = AssertUnwindSafe(work(deadline)).catch_unwind().await;
            drop(permit);
            if let Ok(value) = run {
                let mut role = Role::Leader;
                for waiter in served {
                    // Who gave up waiting needs no answer.
                    _ = waiter.answer.send((value.clone(), role));
                    role = Role::Follower;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    fn after(milliseconds: u64) -> Instant {
        Instant::now() + Duration::from_millis(milliseconds)
    }

    /// Work that takes a second and answers with the number of its run.
    fn counted(
        runs: &Arc<AtomicU32>,
    ) -> impl Fn(Instant) -> futures::future::BoxFuture<'static, u32> + use<> {
        let runs = Arc::clone(runs);
        move |_| {
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
        let (shared, runs) = (Arc::new(Shared::new(8)), Arc::default());
        let call = |shared: &Arc<Shared<u8, u32>>| {
            let (shared, work) = (Arc::clone(shared), counted(&runs));
            tokio::spawn(async move { shared.run(1, after(9000), work).await })
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
    async fn different_keys_run_side_by_side_up_to_the_limit() {
        let (shared, runs) = (Arc::new(Shared::new(2)), Arc::default());
        let started = Instant::now();
        let calls = (0..4_u8).map(|key| shared.run(key, after(9000), counted(&runs)));
        futures::future::join_all(calls).await;
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_given_the_latest_deadline_of_those_whom_it_serves() {
        let shared = Arc::new(Shared::new(1));
        let late = after(9000);
        let work = move |deadline| async move { deadline };
        let (first, second) = tokio::join!(shared.run(1, after(1), work), shared.run(1, late, work));
        assert_eq!((first.unwrap().0, second.unwrap().0), (late, late));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_fails_those_who_wait_and_nobody_after() {
        let shared: Arc<Shared<u8, u32>> = Arc::new(Shared::new(1));
        let panics = |_| async { panic!("on purpose") };
        assert_eq!(shared.run(1, after(9000), panics).await, Err(Panicked));
        assert_eq!(shared.run(1, after(9000), |_| async { 7 }).await, Ok((7, Role::Leader)));
    }
}
