//! Azure carries out requests.

use aci_dns::domain::failure::FailureKind;

use super::{
    actions::How,
    broken::Broken,
    knowledge::{Answer, Label, Read, Write},
    properties,
    state::{Past, Version},
    steps::{Taking, ids},
    words::show_read,
    world::{
        ADDRESSES, Content, Group, Lock, Mask, NAMES, Places, SETS, SetId, Subject, a_set, bit, ptr_set,
        subject,
    },
};

impl Taking<'_> {
    pub(crate) fn read(&mut self, instance: usize, read: Read, how: How) -> Answer {
        let group = self.model.group(&self.state.instances[instance]);
        let answer = self.answer(instance, group, read, how);
        let deleted = self.model.knowledge.get(self.state.instances[instance].facts).deleted;
        let truth = self.state.world;
        let is_hidden = matches!(read, Read::Group | Read::Confirmation) && truth.hidden & bit(group) != 0;
        if is_hidden && self.state.instances[instance].batch.messages.has_rechecks() {
            // A recheck does not see the new group either.
            self.state.past.add(Past::STALE_TWICE);
        }
        let witness = &mut self.state.instances[instance].witness;
        properties::witness_read(witness, &truth, group, read, &existing(read, answer.clone(), deleted));
        if self.story.is_some() {
            let stale = if matches!(how, How::Stale(_)) { " (stale)" } else { "" };
            self.tell(|places| format!("reads {}{stale}", show_read(places, group, read, &answer)));
        }
        answer
    }

    fn answer(&mut self, instance: usize, group: u8, read: Read, how: How) -> Answer {
        let stale = match how {
            How::Well => None,
            How::Stale(set) => Some(set),
            How::Lost { .. } => return Answer::Failed(FailureKind::Transient),
        };
        let world = self.state.world;
        let seen = |group: u8| {
            let is_hidden = world.hidden & bit(group) != 0;
            let group = &world.groups[usize::from(group)];
            match stale {
                Some(_) => group.previous.unwrap_or(group.current),
                None if is_hidden => Group::default(),
                None => group.current,
            }
        };
        match read {
            Read::Group | Read::Confirmation => Answer::Group(seen(group)),
            Read::Owner(None) | Read::OwnerConfirmation(None) => Answer::Failed(FailureKind::Forbidden),
            Read::Owner(Some(owner)) | Read::OwnerConfirmation(Some(owner)) => Answer::Group(seen(owner)),
            Read::Set(set) => Answer::Set(self.versioned(instance, set, stale == Some(set))),
            Read::PtrList => {
                let sets = (0..ids(ADDRESSES)).map(ptr_set);
                Answer::List(self.listed(instance, sets, stale))
            }
            Read::AList => {
                let names = (0..ids(NAMES)).map(|name| (name, a_set(name)));
                let places = &self.model.knowledge.places;
                let in_zone = names.filter(|(name, _)| places.is_in_zone_of(group, *name));
                let sets: Vec<SetId> = in_zone.map(|(_, set)| set).collect();
                Answer::List(self.listed(instance, sets.into_iter(), stale))
            }
        }
    }

    fn listed(
        &mut self,
        instance: usize,
        sets: impl Iterator<Item = SetId>,
        stale: Option<SetId>,
    ) -> Vec<(SetId, Content, Label)> {
        let mut listed = Vec::new();
        for set in sets {
            if let Some((content, label)) = self.versioned(instance, set, stale == Some(set)) {
                listed.push((set, content, label));
            }
        }
        listed
    }

    fn versioned(&mut self, instance: usize, set: SetId, is_stale: bool) -> Option<(Content, Label)> {
        let versions = self.state.world.sets[usize::from(set)];
        let (content, version) = if is_stale {
            (versions.previous.unwrap(), Version::Previous)
        } else {
            (versions.current, Version::Current)
        };
        content.map(|content| (content, self.state.instances[instance].labels[usize::from(set)].of(version)))
    }

    pub(crate) fn write(&mut self, instance: usize, write: &Write, how: How) -> Answer {
        let is_lost = matches!(how, How::Lost { .. });
        self.tell(|_| format!("sends {}", write.line));
        let answer = match how {
            How::Lost { has_happened: false } => {
                self.note_written(instance);
                Answer::Failed(FailureKind::Uncertain)
            }
            _ => self.carry_out(instance, write),
        };
        match &answer {
            _ if is_lost => self.tell(|_| format!(", and its answer is lost (it was {answer:?})")),
            Answer::Written(_) => {}
            other => self.tell(|_| format!(": {other:?}")),
        }
        if is_lost { Answer::Failed(FailureKind::Uncertain) } else { answer }
    }

    /// A message follows a write, so only with the queue it matters.
    fn note_written(&mut self, instance: usize) {
        self.state.instances[instance].has_written = self.model.scenario.has_queue;
    }

    fn carry_out(&mut self, instance: usize, write: &Write) -> Answer {
        let set = write.set;
        let before = self.state.world.set(set);
        let one = &self.state.instances[instance];
        let is_met = match write.label {
            None => before.is_none(),
            Some(label) => one.labels[usize::from(set)].get(label) == Version::Current && before.is_some(),
        };
        let is_locked = match (self.state.world.lock, subject(set)) {
            (_, Subject::A(_)) if !self.model.scenario.locks_forward_zone => false,
            (Lock::None, _) => false,
            (Lock::CanNotDelete, _) => write.after.is_none(),
            (Lock::ReadOnly, _) => true,
        };
        if is_locked {
            return Answer::Failed(FailureKind::Refused);
        }
        if !is_met && self.model.knowledge.broken != Some(Broken::WritesUnconditionally) {
            return Answer::Failed(FailureKind::Race);
        }
        let group = self.model.group(one);
        let evidence = Places::evidence_of(self.model.knowledge.get(one.facts).goal);
        let change = properties::Change { group, evidence, set, before, after: write.after };
        let (places, ownership) = (&self.model.knowledge.places, self.model.scenario.ownership);
        let finding = properties::judge_write(places, ownership, &self.state, &one.witness, &change);
        if self.finding.is_none() {
            self.finding = finding;
        }
        self.put(set, write.after);
        self.note_written(instance);
        properties::witness_write(&mut self.state.instances[instance].witness, &change);
        let labels = &mut self.state.instances[instance].labels[usize::from(set)];
        Answer::Written(write.after.map(|_| labels.of(Version::Current)))
    }
}

/// An answer without the versions that the run deleted: a read that shows one of them is stale.
fn existing(read: Read, answer: Answer, deleted: [Mask; SETS]) -> Answer {
    let is_deleted = |set: SetId, label: Label| deleted[usize::from(set)] & bit(label) != 0;
    match (read, answer) {
        (Read::Set(set), Answer::Set(Some((_, label)))) if is_deleted(set, label) => Answer::Set(None),
        (_, Answer::List(sets)) => {
            Answer::List(sets.into_iter().filter(|(set, _, label)| !is_deleted(*set, *label)).collect())
        }
        (_, answer) => answer,
    }
}
