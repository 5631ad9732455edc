//! Limits how many reconciliations run at the same time. A run that waits for an address, a confirmation or a
//! throttle releases its slot to another run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slot of a run.
#[derive(Debug)]
pub struct Slot {
    places: Arc<Semaphore>,
    state: Mutex<SlotState>,
}

#[derive(Debug)]
struct SlotState {
    permit: Option<OwnedSemaphorePermit>,
    /// How many requests of the run wait. The first one releases the slot, and the last one acquires a slot
    /// again.
    waiting: usize,
}

impl Slot {
    /// Waits for a free slot.
    ///
    /// # Panics
    ///
    /// Never: the semaphore is never closed.
    pub async fn acquire(places: &Arc<Semaphore>) -> Self {
        let permit = Some(permit(places).await);
        Self { places: Arc::clone(places), state: Mutex::new(SlotState { permit, waiting: 0 }) }
    }

    /// Waits for a future without holding the slot.
    pub async fn release_during<Wait: Future>(&self, wait: Wait) -> Wait::Output {
        {
            let mut state = self.state();
            state.waiting += 1;
            state.permit = None;
        }
        let output = wait.await;
        let is_last = {
            let mut state = self.state();
            state.waiting -= 1;
            state.waiting == 0
        };
        if is_last {
            let permit = permit(&self.places).await;
            self.state().permit = Some(permit);
        }
        output
    }

    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn permit(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_waiting_run_releases_its_slot() {
        let places = Arc::new(Semaphore::new(1));
        let started = Instant::now();
        let first = Slot::acquire(&places).await;
        let waiting = first.release_during(sleep(Duration::from_secs(10)));
        let other = async {
            let slot = Slot::acquire(&places).await;
            sleep(Duration::from_secs(1)).await;
            drop(slot);
            started.elapsed().as_secs()
        };
        let ((), ended) = tokio::join!(waiting, other);
        assert_eq!((ended, started.elapsed().as_secs(), places.available_permits()), (1, 10, 0));
        drop(first);
        assert_eq!(places.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_is_acquired_again_when_the_last_wait_ends() {
        let places = Arc::new(Semaphore::new(1));
        let slot = Slot::acquire(&places).await;
        let short = slot.release_during(sleep(Duration::from_secs(1)));
        let long = slot.release_during(sleep(Duration::from_secs(5)));
        let watch = async {
            sleep(Duration::from_secs(3)).await;
            places.available_permits()
        };
        let ((), (), free) = tokio::join!(short, long, watch);
        assert_eq!((free, places.available_permits()), (1, 0));
    }
}
