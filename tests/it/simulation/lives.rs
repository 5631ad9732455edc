//! What happens to the groups, the zones and the instances of a simulation.

use super::*;

impl Simulation {
    /// One thing happens in the world.
    pub(super) fn step(&self) {
        let weather = self.weather;
        let mut rng = self.rng.borrow_mut();
        let group = GROUPS[rng.usize(..GROUPS.len())];
        let id = group_id(group);
        let exists = self.azure.read(|view| view.group(&id).is_some());
        if self.retag(&mut rng, group) {
            return;
        }
        let provisioning = Duration::from_millis([0, 0, 3000, 12_000][rng.usize(..4)]);
        let deed = match (exists, rng.u8(..10)) {
            (false, _) => {
                let invisible = weather.invisible * rng.u32(..3) / 2;
                let spec = GroupSpec {
                    provisioning,
                    visible_after: Some(invisible),
                    tags: if weather.has_services { services::tags(group) } else { BTreeMap::new() },
                    ..GroupSpec::new(group.0, group.1)
                };
                self.azure.create_group(spec);
                "create"
            }
            (true, 0..=2) => {
                self.azure.restart_group(&id).unwrap();
                "restart"
            }
            (true, 3 | 4) if weather.is_moved => {
                self.azure.move_group(&id).unwrap();
                "move"
            }
            (true, 5) => {
                self.azure.stop_group(&id).unwrap();
                "stop"
            }
            (true, 6) => {
                self.azure.start_group(&id).unwrap();
                "start"
            }
            (true, 3 | 4 | 7) => {
                self.azure.redeploy_group(&id).unwrap();
                "redeploy"
            }
            (true, _) => {
                self.recreated.borrow_mut().insert(owner(group));
                self.azure.delete_group(&id).unwrap();
                "delete"
            }
        };
        drop(rng);
        *self.secret_changes.borrow_mut().entry(secrets::name(weather, group)).or_default() += 1;
        self.say(&format!("{deed} {}/{} -> {:?}", group.0, group.1, self.azure.group_address(&id)));
        if weather.is_edited {
            self.edit();
        }
        if weather.is_locked {
            self.lock();
        }
        if weather.kill_every > 0 && self.rng.borrow_mut().usize(..weather.kill_every) == 0 {
            self.kill();
        }
    }

    /// People edit what is theirs, and what is ours in ways that leave its memory alone.
    pub(super) fn edit(&self) {
        let mut rng = self.rng.borrow_mut();
        let sets = self.record_sets();
        let marked: Vec<_> = sets.into_iter().filter(|set| set.metadata.contains_key(OWNER)).collect();
        if marked.is_empty() || rng.u8(..3) > 0 {
            return;
        }
        let set = &marked[rng.usize(..marked.len())];
        let mut spec = RecordSetSpec {
            record_type: set.record_type.clone(),
            name: set.name.clone(),
            ttl: set.ttl,
            values: set.values.clone(),
            metadata: set.metadata.clone(),
            is_auto_registered: false,
        };
        let edit = match (set.record_type.as_str(), rng.u8(..3)) {
            ("PTR", 0) => {
                self.azure.remove_record_set(&set.zone, "PTR", &set.name).unwrap();
                drop(rng);
                return self.say(&format!("a person removes PTR {}", set.name));
            }
            (_, 1) => {
                spec.ttl = 300;
                "changes the ttl of"
            }
            _ => {
                spec.metadata.insert("cost-centre".into(), "42".into());
                "adds metadata to"
            }
        };
        self.azure.put_record_set(&set.zone, &spec).unwrap();
        drop(rng);
        self.say(&format!("a person {edit} {} {}", set.record_type, set.name));
    }

    /// Locks a zone against deletion, or unlocks it.
    pub(super) fn lock(&self) {
        let (zone, deed) = {
            let mut rng = self.rng.borrow_mut();
            ([FORWARD, OTHER_FORWARD, REVERSE][rng.usize(..3)], rng.u8(..4))
        };
        let scope = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/{zone}"
        );
        match deed {
            0 => self.azure.lock(&scope, LockLevel::CanNotDelete),
            1 => self.azure.unlock(&scope),
            _ => return,
        }
        self.say(&format!("{zone} is {}", if deed == 0 { "locked" } else { "unlocked" }));
    }

    pub(super) fn kill(&self) {
        let mut instances = self.instances.borrow_mut();
        let mut rng = self.rng.borrow_mut();
        let index = rng.usize(..instances.len());
        instances[index].is_dead.store(true, Ordering::SeqCst);
        instances[index] = Instance::start(&self.azure, rng.u64(..), self.weather.zones(), self.has_queue);
        drop(rng);
        self.say(&format!("instance {index} is killed"));
    }
}
