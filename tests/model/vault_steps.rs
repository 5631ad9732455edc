//! The steps of the model of secrets: what happens to groups and the vault, deliveries, and requests.

use super::*;

impl Taking<'_> {
    fn tell(&mut self, text: impl FnOnce(&Places) -> String) {
        self.describe(|model| text(model.places()));
    }

    pub(super) fn take(&mut self, action: VaultAction) {
        match action {
            VaultAction::Live { group, life } => self.live(group, life),
            VaultAction::EditSecret(content) => {
                self.change();
                self.state.secret.replace(Some(content));
                for group in 0..ids(GROUPS) {
                    if self.state.world.group(group).life != Life::Absent {
                        self.state.waiting[usize::from(group)].add(Events::one(Evidence::None));
                    }
                }
                self.tell(|places| format!("a person edits: {}", SecretContent::show(Some(content), places)));
            }
            VaultAction::Deliver { instance, group, events, is_old } => {
                self.state.waiting[usize::from(group)].remove(events);
                let kind = EVIDENCE.into_iter().zip(events.0).rfind(|(_, count)| *count > 0).unwrap().0;
                let evidence = if is_old { Evidence::Deletion } else { kind };
                self.tell(|places| {
                    format!("is given events of {} (a 404 proves: {evidence:?})", places.group_name(group))
                });
                self.start(instance, group, events, evidence);
            }
            VaultAction::Redeliver { instance, group } => {
                let events = std::mem::take(&mut self.state.blocked[usize::from(group)]);
                self.tell(|places| format!("is given {} again", places.group_name(group)));
                let kind = EVIDENCE.into_iter().zip(events.0).rfind(|(_, count)| *count > 0).unwrap().0;
                self.start(instance, group, events, kind);
            }
            VaultAction::Record { instance, index, how } => {
                self.note_fault(how);
                self.record(instance, index, how, &mut Vec::new());
            }
            VaultAction::Secret { instance, how } => {
                self.note_fault(how);
                self.secret(instance, how, &mut Vec::new());
            }
            VaultAction::Crash { instance } => {
                self.state.faults_left -= 1;
                let one = std::mem::take(&mut self.state.instances[instance]);
                self.state.waiting[usize::from(one.origin)].add(one.events);
                self.tell(|_| "is killed".to_owned());
            }
        }
    }

    fn note_fault(&mut self, how: How) {
        if how != How::Well {
            self.state.faults_left -= 1;
        }
        if matches!(how, How::Stale(_)) {
            self.state.past.add(Past::STALE);
        }
    }

    fn change(&mut self) {
        self.state.events_left -= 1;
        self.state.changes += 1;
    }

    fn live(&mut self, group: u8, life: Life) {
        self.change();
        let is_deleted = life == Life::Absent;
        let state = &mut self.state;
        let this = &mut state.world.groups[usize::from(group)];
        this.replace(Group { life, ..this.current });
        if let Life::Running(address) = life {
            state.used |= bit(address);
        }
        let evidence = if is_deleted { Evidence::Deletion } else { Evidence::None };
        state.waiting[usize::from(group)].add(Events::one(evidence));
        let now = state.world.group(group);
        self.tell(|places| format!("now {}: {}", places.group_name(group), Places::show_group(now)));
    }

    pub(super) fn start(&mut self, instance: usize, group: u8, events: Events, evidence: Evidence) {
        let facts = self.model.minds.start(Places::goal_id(group, evidence));
        self.state.instances[instance] =
            VaultInstance { facts, origin: group, events, ..VaultInstance::default() };
        self.go_on(instance);
    }

    /// Starts what comes next in each lane, or ends the run.
    fn go_on(&mut self, instance: usize) {
        let one = self.state.instances[instance];
        let settled = self.model.minds.settle(one.facts, one.records != 0, one.secret != 0);
        let deleted = self.model.minds.get(settled.facts).deleted;
        let one = &mut self.state.instances[instance];
        one.facts = settled.facts;
        one.records = one.records.max(settled.records);
        one.secret = one.secret.max(settled.secret);
        if settled.is_new_pass {
            one.labels.iter_mut().zip(deleted).for_each(|(labels, deleted)| labels.keep(deleted));
        }
        let Some((outcome, text)) = settled.end else { return };
        let (group, events) = (usize::from(one.origin), one.events);
        *one = VaultInstance::default();
        match outcome {
            Outcome::Acknowledged => {}
            Outcome::Blocked => self.state.blocked[group].add(events),
            Outcome::Unavailable => self.state.waiting[group].add(events),
        }
        self.tell(|_| format!("; {outcome:?}: {text}"));
    }

    /// Azure carries out a request about record sets.
    pub(super) fn record(&mut self, instance: usize, index: usize, how: How, lines: &mut Vec<String>) {
        let one = self.state.instances[instance];
        let records = self.model.minds.records(one.records);
        let answer = match &records.requests[index] {
            Request::Read(read) => self.read(instance, *read, how),
            Request::Write(write) => {
                lines.push(write.line.clone());
                self.write(instance, write, how)
            }
        };
        let is_failed = matches!(answer, Answer::Failed(_));
        let mut answers = self.state.instances[instance].answers;
        answers[index] = self.model.minds.codec.answer_id(answer);
        if matches!(&records.requests[index], Request::Read(read) if is_failed && read.is_required()) {
            let given_up = self.model.minds.codec.answer_id(Answer::GivenUp);
            for (answer, request) in answers.iter_mut().zip(&records.requests) {
                if *answer == 0 && matches!(request, Request::Read(_)) {
                    *answer = given_up;
                }
            }
        }
        self.state.instances[instance].answers = answers;
        if answers.iter().take(records.requests.len()).any(|answer| *answer == 0) {
            return;
        }
        let facts = self.model.minds.learn_records(one.facts, one.records, answers);
        let one = &mut self.state.instances[instance];
        (one.facts, one.records, one.answers) = (facts, 0, Default::default());
        self.go_on(instance);
    }

    fn read(&mut self, instance: usize, read: Read, how: How) -> Answer {
        let group = self.model.minds.group(self.state.instances[instance].facts);
        let answer = match (read, how) {
            (_, How::Lost { .. }) => Answer::Failed(FailureKind::Transient),
            (Read::Group | Read::Confirmation, _) => Answer::Group(self.group(instance, group, how, false)),
            (Read::Owner(Some(owner)), _) => Answer::Group(self.group(instance, owner, how, false)),
            (Read::OwnerConfirmation(Some(owner)), _) => {
                Answer::Group(self.group(instance, owner, how, true))
            }
            (Read::Owner(None) | Read::OwnerConfirmation(None), _) => Answer::Failed(FailureKind::Forbidden),
            (Read::Set(set), _) => Answer::Set(self.versioned(instance, set, how)),
            (Read::AList, _) => {
                let names = (0..ids(NAMES)).filter(|name| self.model.places().is_in_zone_of(group, *name));
                let sets: Vec<SetId> = names.map(a_set).collect();
                let listed = sets.into_iter().filter_map(|set| {
                    let (content, label) = self.versioned(instance, set, how)?;
                    Some((set, content, label))
                });
                Answer::List(listed.collect())
            }
            (Read::PtrList, _) => unreachable!("there is no reverse zone"),
        };
        let stale = if matches!(how, How::Stale(_)) { " (stale)" } else { "" };
        self.tell(|places| format!("reads {}{stale}", show_read(places, group, read, &answer)));
        answer
    }

    fn group(&mut self, instance: usize, group: u8, how: How, is_confirmation: bool) -> Group {
        let seen = self.state.world.groups[usize::from(group)];
        if is_confirmation {
            self.state.instances[instance].was_owner_deleted = seen.current.life == Life::Absent;
        }
        if matches!(how, How::Stale(_)) { seen.previous.unwrap_or(seen.current) } else { seen.current }
    }

    fn versioned(
        &mut self,
        instance: usize,
        set: SetId,
        how: How,
    ) -> Option<(super::super::world::Content, u8)> {
        let versions = self.state.world.sets[usize::from(set)];
        let (content, version) = if how == How::Stale(set) {
            (versions.previous.unwrap(), Version::Previous)
        } else {
            (versions.current, Version::Current)
        };
        let labels = &mut self.state.instances[instance].labels[usize::from(set)];
        content.map(|content| (content, labels.of(version)))
    }

    fn write(&mut self, instance: usize, write: &Write, how: How) -> Answer {
        self.tell(|_| format!("sends {}", write.line));
        if how == (How::Lost { has_happened: false }) {
            return Answer::Failed(FailureKind::Uncertain);
        }
        let labels = self.state.instances[instance].labels[usize::from(write.set)];
        let before = self.state.world.set(write.set);
        let is_met = match write.label {
            None => before.is_none(),
            Some(label) => before.is_some() && labels.get(label) == Version::Current,
        };
        let answer = if self.state.world.lock != Lock::None {
            Answer::Failed(FailureKind::Refused)
        } else if !is_met {
            Answer::Failed(FailureKind::Race)
        } else {
            self.state.world.put(write.set, write.after);
            for one in &mut self.state.instances {
                one.labels[usize::from(write.set)].outdate();
            }
            let labels = &mut self.state.instances[instance].labels[usize::from(write.set)];
            Answer::Written(write.after.map(|_| labels.of(Version::Current)))
        };
        if matches!(how, How::Lost { .. }) { Answer::Failed(FailureKind::Uncertain) } else { answer }
    }

    /// The vault, or Azure, carries out a request of the secret's lane.
    pub(super) fn secret(&mut self, instance: usize, how: How, lines: &mut Vec<String>) {
        let one = self.state.instances[instance];
        let request = self.model.minds.secret(one.secret);
        let is_refused = self.model.scenario.is_vault_failing;
        let answer = match &*request {
            SecretRequest::ReadGroup(read) => match self.read(instance, *read, how) {
                Answer::Group(group) => SecretAnswer::Group(group),
                Answer::Failed(kind) => SecretAnswer::Failed(kind),
                other => unreachable!("a group is read: {other:?}"),
            },
            _ if is_refused => SecretAnswer::Failed(FailureKind::Forbidden),
            SecretRequest::ReadSecret => {
                let versions = self.state.secret;
                let seen = if matches!(how, How::Stale(_)) { versions.previous } else { None };
                let seen = seen.unwrap_or(versions.current);
                self.tell(|places| format!("reads {}", SecretContent::show(seen, places)));
                self.state.instances[instance].seen = seen;
                match how {
                    How::Lost { .. } => SecretAnswer::Failed(FailureKind::Transient),
                    _ => SecretAnswer::Secret(seen),
                }
            }
            SecretRequest::Write { before, after, line } => {
                lines.push(line.clone());
                self.tell(|_| format!("sends {line}"));
                if how != (How::Lost { has_happened: false }) {
                    self.publish(instance, *before, *after);
                }
                match how {
                    How::Lost { .. } => SecretAnswer::Failed(FailureKind::Uncertain),
                    _ => SecretAnswer::Written,
                }
            }
        };
        let one = self.state.instances[instance];
        let facts = self.model.minds.learn_secret(one.facts, one.secret, answer);
        let one = &mut self.state.instances[instance];
        (one.facts, one.secret) = (facts, 0);
        self.go_on(instance);
    }

    /// A new version of the secret.
    fn publish(&mut self, instance: usize, before: Option<SecretContent>, after: SecretContent) {
        let group = self.model.minds.group(self.state.instances[instance].facts);
        let truth = self.state.secret.current;
        let text = {
            let places = self.model.places();
            format!(
                "{} becomes {}",
                SecretContent::show(truth, places),
                SecretContent::show(Some(after), places)
            )
        };
        if before.is_some_and(|before| before.is_annotated && !after.is_annotated) {
            self.find(Property::Isolation, None, format!("a tag of others goes: {text}"));
        }
        // There is no conditional write: what was read counts.
        if self.state.instances[instance].seen == truth {
            match truth.map(|truth| truth.mark) {
                Some(Mark::None) if self.model.scenario.ownership == Ownership::Strict => {
                    self.find(
                        Property::Isolation,
                        None,
                        format!("a secret without a mark is written: {text}"),
                    );
                }
                Some(Mark::Stranger) => {
                    self.find(
                        Property::Isolation,
                        None,
                        format!("a secret of another owner is written: {text}"),
                    );
                }
                Some(Mark::Group(owner))
                    if owner != group && self.state.world.group(owner).life != Life::Absent =>
                {
                    let was_deleted = self.state.instances[instance].was_owner_deleted;
                    let excuse = was_deleted.then_some(Excuse::CameBack);
                    self.find(
                        Property::Evidence,
                        excuse,
                        format!("a secret is taken from its owner: {text}"),
                    );
                }
                _ => {}
            }
        }
        self.state.secret.replace(Some(after));
        self.state.versions += 1;
        let faults = self.model.scenario.faults - self.state.faults_left;
        let most = VERSIONS_PER_CHANGE * (self.state.changes + faults);
        if self.state.changes > 0 && self.state.versions > most {
            let text = format!("{} versions after {} changes", self.state.versions, self.state.changes);
            self.find(Property::FewVersions, None, text);
        }
    }
}
