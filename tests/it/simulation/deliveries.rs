//! Events and messages of a simulation, and their deliveries.

use super::*;

impl Simulation {
    /// Delivers events late, more than once, and to any instance, until they are acknowledged.
    pub(super) fn spread(self: &Rc<Self>) -> Vec<tokio::task::JoinHandle<()>> {
        let mut tasks = Vec::new();
        for event in self.azure.take_events() {
            self.events.borrow_mut().push(event.clone());
            let copies = 1 + usize::from(self.rng.borrow_mut().u8(..3) == 0);
            for _ in 0..copies {
                let (this, event) = (Rc::clone(self), event.clone());
                let delay = Duration::from_millis(this.rng.borrow_mut().u64(..20_000));
                tasks.push(tokio::task::spawn_local(async move {
                    sleep(delay).await;
                    // A write event of a group that was deleted meanwhile proves nothing before it is old.
                    for pause in [10, 30, 60, 60, 60, 60, 60, 60, 300, 300, 600] {
                        if this.deliver(&event).await == Some(200) {
                            return;
                        }
                        sleep(Duration::from_secs(pause)).await;
                    }
                    let subject = event["subject"].as_str().unwrap().to_lowercase();
                    this.given_up.borrow_mut().push(subject);
                }));
            }
        }
        tasks
    }

    /// The messages of the retry queue: id, text, and when they are visible.
    pub(super) fn messages(&self) -> Vec<(String, String, Duration)> {
        let shown = self.shown.borrow();
        let all = self.azure.messages(QUEUE).unwrap_or_default().into_iter().map(|message| {
            let text = BASE64_STANDARD.decode(&message.text).unwrap();
            let visible = shown.get(&message.id).copied().unwrap_or(message.visible);
            (message.id, String::from_utf8(text).unwrap(), visible)
        });
        all.collect()
    }

    /// Delivers a message to an instance, and does with it what the host does.
    pub(super) async fn retry(&self, id: &str, text: &str) {
        let hidden = self.azure.elapsed() + Duration::from_mins(10);
        self.shown.borrow_mut().insert(id.to_owned(), hidden);
        loop {
            let instance = {
                let instances = self.instances.borrow();
                instances[self.rng.borrow_mut().usize(..instances.len())].clone()
            };
            *self.retries.borrow_mut() += 1;
            let status = instance.retry(text).await;
            self.say(&format!("message {text:.200} -> {status:?}"));
            match status {
                Some(200) => self.azure.remove_message(QUEUE, id),
                Some(_) => {
                    let shown = self.azure.elapsed() + Duration::from_mins(5);
                    self.shown.borrow_mut().insert(id.to_owned(), shown);
                }
                // The host ended with its process.
                None => {}
            }
            // Now and then a message comes twice.
            if !self.is_early.get() || self.rng.borrow_mut().u8(..10) > 0 {
                return;
            }
            sleep(Duration::from_secs(20)).await;
        }
    }

    /// Delivers messages as long as the world lives: those that are visible, and now and then any other.
    pub(super) async fn pump(self: Rc<Self>) {
        loop {
            sleep(Duration::from_secs(2)).await;
            let now = self.azure.elapsed();
            for (id, text, visible) in self.messages() {
                let is_early = self.is_early.get() && self.rng.borrow_mut().u8(..50) == 0;
                if visible <= now || is_early {
                    let this = Rc::clone(&self);
                    tokio::task::spawn_local(async move { this.retry(&id, &text).await });
                }
            }
        }
    }

    /// Waits until every message is done, and names the groups of those that fail again and again.
    pub(super) async fn drain(&self) -> Vec<String> {
        let started = self.azure.elapsed();
        loop {
            let (left, waited) = (self.messages(), self.azure.elapsed().saturating_sub(started));
            let is_delivered = |(id, ..): &(String, String, Duration)| self.shown.borrow().contains_key(id);
            // A recheck of a deleted group whose record set a lock keeps proves no deletion before its event is fifteen
            // minutes old, and its delay doubles to fifteen minutes.
            let is_over = waited > Duration::from_mins(40) && left.iter().all(is_delivered);
            if left.is_empty() || is_over || waited > Duration::from_hours(2) {
                break;
            }
            sleep(Duration::from_secs(10)).await;
        }
        let subject = |(_, text, _): (String, String, Duration)| {
            let message: Value = serde_json::from_str(&text).unwrap();
            message["event"]["subject"].as_str().unwrap().to_lowercase()
        };
        self.messages().into_iter().map(subject).collect()
    }

    pub(super) async fn deliver(&self, event: &Value) -> Option<u16> {
        let (instance, is_drift) = {
            let mut rng = self.rng.borrow_mut();
            let instances = self.instances.borrow();
            (instances[rng.usize(..instances.len())].clone(), rng.u8(..10) == 0)
        };
        *self.deliveries.borrow_mut() += 1;
        if is_drift {
            self.tracker.invoke(TRACK_DRIFT, event).await;
        }
        let started = Instant::now();
        let status = instance.invoke(RECONCILE, event).await;
        let subject = event["subject"].as_str().unwrap().rsplit("/resourceGroups/").next().unwrap();
        self.say(&format!("{subject} {} -> {status:?}", event["eventType"].as_str().unwrap()));
        if started.elapsed() > Duration::from_millis(25_100) {
            self.watch.lock().unwrap().gaps.push(format!("an invocation took {:?}", started.elapsed()));
        }
        status
    }

    /// Every event once more, in any order, until none is left that redelivery could help.
    pub(super) async fn deliver_all(&self) -> Vec<String> {
        let mut events = self.events.borrow().clone();
        self.rng.borrow_mut().shuffle(&mut events);
        // Events of one group are alike by now: one stands for all, which is the delete event of a deleted group.
        let mut last: BTreeMap<String, Value> = BTreeMap::new();
        for event in events {
            let subject = event["subject"].as_str().unwrap().to_owned();
            let is_deleted = self.azure.read(|view| view.group(&subject).is_none());
            let is_delete = event["eventType"] == "Microsoft.Resources.ResourceDeleteSuccess";
            if is_delete || !is_deleted {
                last.insert(subject, event);
            }
        }
        let mut left: Vec<Value> = last.into_values().collect();
        self.rng.borrow_mut().shuffle(&mut left);
        for _ in 0..4 {
            let mut again = Vec::new();
            for event in left {
                if self.deliver(&event).await != Some(200) {
                    again.push(event);
                }
            }
            left = again;
        }
        let mut left: Vec<_> =
            left.iter().map(|event| event["subject"].as_str().unwrap().to_lowercase()).collect();
        left.extend(self.drain().await);
        left
    }
}
