//! One pass: what is read, what follows from it, and in which order it is written.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use futures::future::{join, join_all};

use super::{End, Journal, MAX_PASSES, ReconcileError, Reconciler, Run};
use crate::{
    apply::{self, Hand},
    arm::{ArmError, Kind, Reader},
    config::{Ownership, Policy, Stopped, Zones},
    container_group::Standing,
    desired::{Desired, own_name},
    dns::{ARecordSet, ETag, Owner},
    observe::{self, MarkedNames, OtherNames},
    plan::{self, Change, Hints, Mark, ObservedA, Others, Reach, Refusal},
    resource_id::ContainerGroupId,
};

/// The pause after the first pass that has to be repeated; they double. The first repetition after a lost race
/// needs none: whoever won it has written by now.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Why a pass did not come to its end.
#[derive(Debug)]
enum Stop {
    /// Something else was written meanwhile, or may have been: observe and plan again.
    Again(Option<ArmError>),
    /// It failed.
    Failed(ReconcileError),
}

impl From<ArmError> for Stop {
    fn from(error: ArmError) -> Self {
        match error.kind() {
            Kind::Race | Kind::Uncertain => Self::Again(Some(error)),
            Kind::Transient | Kind::Forbidden | Kind::Missing | Kind::Refused => Self::Failed(error.into()),
        }
    }
}

impl<E: Into<ReconcileError> + NotArm> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Errors that always fail a pass.
trait NotArm {}
impl NotArm for ReconcileError {}
impl NotArm for Refusal {}
impl NotArm for crate::desired::TagError {}

/// What a group's records are to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    /// They name this address.
    Point(Ipv4Addr),
    /// They go: all of them, or only those that carry our mark.
    Remove { is_marked_only: bool },
    /// They stay as they are.
    Keep,
    /// Nothing can be said yet.
    Wait,
    /// Nothing will ever be said.
    Portless,
}

impl Reconciler {
    fn treatment(&self, standing: Standing) -> Treatment {
        match standing {
            Standing::Gone | Standing::Deleting => Treatment::Remove { is_marked_only: false },
            Standing::Public => Treatment::Remove { is_marked_only: true },
            Standing::Released => match self.settings.stopped {
                Stopped::Remove => Treatment::Remove { is_marked_only: false },
                Stopped::Keep => Treatment::Keep,
            },
            Standing::Running(address) => Treatment::Point(address),
            Standing::Pending => Treatment::Wait,
            Standing::Portless => Treatment::Portless,
        }
    }

    /// Passes until one finds everything right or makes it so.
    pub(super) async fn passes(
        &self,
        run: &Run<'_>,
        id: &ContainerGroupId,
        zones: &Zones,
        journal: &mut Journal,
    ) -> Result<End, ReconcileError> {
        let mut wait = run.wait;
        let mut pause = Duration::ZERO;
        let mut last = None;
        for _ in 0..MAX_PASSES {
            match self.pass(run, id, zones, &mut wait, journal).await {
                Ok(end) => return Ok(end),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Again(error)) => {
                    tracing::debug!(container_group.id = %id, ?error, "another pass is needed");
                    if error.as_ref().is_some_and(|error| error.kind() == Kind::Uncertain) {
                        pause = pause.max(FIRST_PAUSE);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).max(FIRST_PAUSE);
                    last = error;
                }
            }
        }
        Err(ReconcileError::LostRaces { last })
    }

    async fn pass(
        &self,
        run: &Run<'_>,
        id: &ContainerGroupId,
        zones: &Zones,
        wait: &mut Duration,
        journal: &mut Journal,
    ) -> Result<End, Stop> {
        let seen = observe::settled_sight(run.hand.reader(), id, zones, wait).await?;
        let Some(desired) = seen.desired? else {
            return Ok(End::Unmanaged("tagged to be ignored".into()));
        };
        journal.fqdn = Some(desired.fqdn());
        journal.address = None;
        // What an earlier pass withheld is planned anew.
        journal.withheld.clear();
        let Run { hand, hints, .. } = *run;
        let pass = Pass { reconciler: self, hand, hints, id, desired: &desired, own: seen.own };
        match self.treatment(seen.standing) {
            Treatment::Point(address) => {
                journal.address = Some(address);
                pass.point(address, journal).await?;
                Ok(End::Right(format!("the records name {address}")))
            }
            Treatment::Remove { is_marked_only } => {
                pass.remove(seen.standing, is_marked_only, journal).await?;
                if is_marked_only {
                    Ok(End::Unmanaged("the address is public".into()))
                } else {
                    Ok(End::Right("no records, as it should be".into()))
                }
            }
            Treatment::Keep => Ok(End::Right("stopped; its records are kept".into())),
            Treatment::Wait => Err(ReconcileError::AddressPending(id.clone()).into()),
            Treatment::Portless => Ok(End::Portless(
                "runs without an ipAddress (deployed without ports), so there is no address to publish"
                    .into(),
            )),
        }
    }
}

/// One pass over one group.
struct Pass<'a> {
    reconciler: &'a Reconciler,
    hand: &'a Hand,
    hints: &'a Hints,
    id: &'a ContainerGroupId,
    desired: &'a Desired,
    /// The A record set at the group's own name.
    own: Option<ARecordSet>,
}

impl Pass<'_> {
    fn reader(&self) -> &Reader {
        self.hand.reader()
    }

    /// The group lives at an address: the A record set names it, and the PTR names us.
    async fn point(&self, address: Ipv4Addr, journal: &mut Journal) -> Result<(), Stop> {
        let (desired, rules) = (self.desired, self.reconciler.rules);
        let now = self.reconciler.clock.unix_seconds();
        let mut others = OtherNames::default();
        let record_set = self.record_set(&mut others).await?;
        let (observed, mut errors) = judge(self.reader(), desired, rules, record_set, address).await?;
        let forward = match plan::forward(desired, rules, address, &observed, now) {
            Ok(forward) => forward,
            Err(full @ Refusal::MemoryFull(_)) => {
                return self.make_room(address, &observed, now, full, journal).await;
            }
            Err(conflict @ Refusal::Conflict(_)) => {
                self.disown(address, journal).await?;
                return Err(conflict.into());
            }
        };

        let before = observed.record_set.as_ref();
        let mut addresses: BTreeSet<Ipv4Addr> = before.into_iter().flat_map(observe::addresses_of).collect();
        addresses.extend([address]);
        addresses.extend(&observed.listed);
        addresses.extend(&journal.written_ptrs);
        addresses.extend(&self.hints.addresses);
        let is_written = forward.is_some();
        let write = apply::step(self.hand, forward.map(Change::A).into_iter().collect());
        let read = observe::ptr_record_sets(self.reader(), &desired.zones, &addresses);
        let (written, mut reads) = join(write, read).await;
        let mut etag = before.map(|before| before.etag.clone());
        self.note(written, journal, &mut etag)?;
        if let Some(error) = gravest(std::mem::take(&mut errors)) {
            // The record set waits for our mark, and may go with the one that it has: it would not remember our PTR.
            return Err(error.into());
        }

        others.visit(self.reader(), desired, &self.hints.names).await?;
        // What the PTR records say besides: names that the group had, whose A record sets remember on their own.
        let mut read = addresses.clone();
        loop {
            let is_followed = others.follow(self.reader(), desired, &reads.ptrs).await?;
            let more: BTreeSet<_> = others.addresses().difference(&read).copied().collect();
            if !is_followed && more.is_empty() {
                break;
            }
            let further = observe::ptr_record_sets(self.reader(), &desired.zones, &more).await;
            reads.ptrs.extend(further.ptrs);
            reads.errors.extend(further.errors);
            read.extend(more);
        }
        errors.append(&mut reads.errors);

        let names = others.names(desired, Some(&desired.name));
        let reverse = plan::reverse(desired, rules, address, &reads.ptrs, &names);
        journal.withheld.extend(reverse.withheld.into_iter().map(|edit| Change::Ptr(edit).to_string()));
        let (first, last): (Vec<_>, Vec<_>) =
            reverse.edits.into_iter().partition(|(address, _)| !addresses.contains(address));
        let mut steps = vec![];
        if !others.marked.is_empty() {
            // An old name's own memory is in its A record set alone: what it leads to is made right before it
            // goes; and it goes before the PTR that led to it.
            steps.push(first.into_iter().map(|(address, edit)| (address, Change::Ptr(edit))).collect());
            let old = plan::removals(desired, &others.marked);
            if matches!(rules.policy, Policy::UpsertOnly | Policy::AdoptOnly) {
                journal.withheld.extend(old.iter().map(ToString::to_string));
            } else if errors.is_empty() {
                steps.push(old.into_iter().map(|change| (address, change)).collect());
            }
        }
        let mut final_step: Vec<_> =
            last.into_iter().map(|(address, edit)| (address, Change::Ptr(edit))).collect();
        if let Some(before) = before.filter(|_| !is_written) {
            let forget = plan::forget(desired, rules, before, &reverse.clean, now);
            final_step.extend(forget.map(|edit| (address, Change::A(edit))));
        }
        steps.push(final_step);
        let taken = &reverse.taken;
        let is_reverse_written = self.steps(steps, taken, journal, &mut etag, &mut errors).await?;

        if let Some(error) = gravest(errors) {
            return Err(error.into());
        }
        let zones = &desired.zones;
        if desired.wants_ptr && !zones.reverse.is_empty() && zones.reverse_name(address).is_none() {
            return Err(ReconcileError::NoReverseZone { address, fqdn: desired.fqdn() }.into());
        }
        if is_written || is_reverse_written {
            self.look(Treatment::Point(address), etag.as_ref()).await?;
        }
        match reverse.conflicts.into_iter().next() {
            Some(conflict) => Err(ReconcileError::PtrConflict(conflict).into()),
            None => Ok(()),
        }
    }

    /// The name belongs to somebody else: a PTR of ours that says it nevertheless lies, and nobody else knows of
    /// it. It is what a pass wrote that believed in the name while another group took it over.
    async fn disown(&self, live: Ipv4Addr, journal: &mut Journal) -> Result<(), Stop> {
        let (desired, rules) = (self.desired, self.reconciler.rules);
        let mut addresses = journal.written_ptrs.clone();
        addresses.insert(live);
        let reads = observe::ptr_record_sets(self.reader(), &desired.zones, &addresses).await;
        let reverse = plan::disown(desired, rules, &reads.ptrs);
        journal.withheld.extend(reverse.withheld.into_iter().map(|edit| Change::Ptr(edit).to_string()));
        let step = reverse.edits.into_iter().map(|(address, edit)| (address, Change::Ptr(edit))).collect();
        // What cannot be read or written now stays in the journal, and is tried again.
        let mut errors = reads.errors;
        self.steps(vec![step], &BTreeMap::new(), journal, &mut None, &mut errors).await?;
        if errors.is_empty() {
            journal.written_ptrs.clear();
        }
        Ok(())
    }

    /// The memory is full: what need not be remembered any longer is made clean and forgotten, and another pass
    /// follows. Where there is no such thing, only time helps.
    async fn make_room(
        &self,
        live: Ipv4Addr,
        observed: &ObservedA,
        now: u64,
        full: Refusal,
        journal: &mut Journal,
    ) -> Result<(), Stop> {
        let (desired, rules) = (self.desired, self.reconciler.rules);
        let Some(before) = &observed.record_set else { return Err(full.into()) };
        let mut addresses: BTreeSet<Ipv4Addr> = before.memory().addresses().collect();
        addresses.extend(&observed.listed);
        // No PTR is written for the live address before the A record set holds it.
        addresses.remove(&live);
        let reads = observe::ptr_record_sets(self.reader(), &desired.zones, &addresses).await;
        let names = OtherNames::default().names(desired, Some(&desired.name));
        let reverse = plan::reverse(desired, rules, live, &reads.ptrs, &names);
        let forget = plan::forget(desired, rules, before, &reverse.clean, now);
        let step: Vec<_> = (reverse.edits.into_iter().map(|(address, edit)| (address, Change::Ptr(edit))))
            .chain(forget.map(|edit| (live, Change::A(edit))))
            .collect();
        if step.is_empty() {
            return Err(gravest(reads.errors).unwrap_or(full.into()).into());
        }
        let mut errors = vec![];
        self.steps(vec![step], &BTreeMap::new(), journal, &mut None, &mut errors).await?;
        match (gravest(errors), self.hand) {
            (Some(error), _) => Err(error.into()),
            (None, Hand::Observes(_)) => Ok(()),
            (None, Hand::Writes(_)) => Err(Stop::Again(None)),
        }
    }

    /// The group's records go: PTR values first, the A record set last.
    async fn remove(
        &self,
        standing: Standing,
        is_marked_only: bool,
        journal: &mut Journal,
    ) -> Result<(), Stop> {
        let (desired, rules) = (self.desired, self.reconciler.rules);
        let adopts = rules.ownership == Ownership::Adopt && !is_marked_only;
        let mut others = OtherNames::default();
        let record_set = self.record_set(&mut others).await?;
        let under_own_name = others.marked.clone();
        others.visit(self.reader(), desired, &self.hints.names).await?;
        let mut reads = observe::list_ptr_record_sets(self.reader(), &desired.zones).await;
        while others.follow(self.reader(), desired, &reads.ptrs).await? {}

        let mark = record_set.as_ref().map(|set| Mark::of(set, &desired.owner));
        let is_own_removed = match mark {
            Some(Mark::Ours) => true,
            Some(Mark::None) => adopts && !desired.is_name_from_tag,
            Some(Mark::Other(_) | Mark::AutoRegistered) | None => false,
        };
        let is_own_ours = is_own_removed || record_set.is_none();
        let mut last: MarkedNames = under_own_name;
        let is_any_marked = mark == Some(Mark::Ours) || !others.marked.is_empty();
        if desired.zones.reverse.is_empty() || !is_any_marked {
            let listed = observe::list_marked_a_record_sets(self.reader(), desired).await?;
            for (name, set) in listed.into_iter().filter(|(name, _)| *name != desired.name) {
                others.note(desired, name.clone(), Some(set.clone()));
                last.insert(name, set);
            }
        }
        let first: MarkedNames = without(&others.marked, &last);
        if let Some(own) = record_set.filter(|_| is_own_removed) {
            last.insert(desired.name.clone(), own);
        }

        let mut names = others.names(desired, is_own_ours.then_some(&desired.name));
        if !is_own_ours {
            // The name is another's now; but a PTR record set that carries our mark says it for us.
            names.vanished.insert(desired.fqdn());
        }
        let gone = if adopts { self.gone_owners(&reads.ptrs, &names).await? } else { BTreeSet::new() };
        let reach = Reach { unmarked: adopts, others: Others::Of(&gone) };
        let reverse = plan::reverse_removal(desired, rules, &reads.ptrs, &names, reach);
        journal.withheld.extend(reverse.withheld.into_iter().map(|edit| Change::Ptr(edit).to_string()));

        let mut errors = std::mem::take(&mut reads.errors);
        let (first, last) = (plan::removals(desired, &first), plan::removals(desired, &last));
        let edits = reverse.edits.into_iter().map(|(address, edit)| (address, Change::Ptr(edit))).collect();
        let nowhere = Ipv4Addr::UNSPECIFIED;
        let at_nowhere = |changes: Vec<Change>| changes.into_iter().map(|change| (nowhere, change)).collect();
        let mut steps: Vec<Vec<(Ipv4Addr, Change)>> = vec![];
        if matches!(rules.policy, Policy::UpsertOnly | Policy::AdoptOnly) {
            journal.withheld.extend(first.iter().chain(&last).map(ToString::to_string));
        } else {
            steps.push(at_nowhere(first));
            steps.push(edits);
            if errors.is_empty() {
                steps.push(at_nowhere(last));
            }
        }
        let mut etag = None;
        let is_written = self.steps(steps, &BTreeMap::new(), journal, &mut etag, &mut errors).await?;
        if let Some(error) = gravest(errors) {
            return Err(error.into());
        }
        if is_written {
            self.look(self.reconciler.treatment(standing), None).await?;
        }
        Ok(())
    }

    /// The A record set at the name that counts. Where a tag chose the name, the one at the group's own name is
    /// noted as another.
    async fn record_set(&self, others: &mut OtherNames) -> Result<Option<ARecordSet>, ArmError> {
        if !self.desired.is_name_from_tag {
            return Ok(self.own.clone());
        }
        others.note(self.desired, own_name(self.id), self.own.clone());
        observe::a_record_set(self.reader(), self.desired).await
    }

    /// The owners that mark PTR record sets which name us, and that are gone.
    async fn gone_owners(
        &self,
        ptrs: &[plan::ObservedPtr],
        names: &plan::Names,
    ) -> Result<BTreeSet<Owner>, ArmError> {
        let owners: BTreeSet<Owner> =
            ptrs.iter().filter_map(|ptr| ptr.holder_of(names, &self.desired.owner)).collect();
        let gone = join_all(owners.iter().map(|owner| observe::is_gone(self.reader(), owner))).await;
        let gone = gone.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(owners.into_iter().zip(gone).filter(|(_, is_gone)| *is_gone).map(|(owner, _)| owner).collect())
    }

    /// Applies changes step by step; a step waits for the one before. Returns whether anything was to be written.
    /// A failure stops the steps after it.
    async fn steps(
        &self,
        steps: Vec<Vec<(Ipv4Addr, Change)>>,
        taken: &BTreeMap<Ipv4Addr, Owner>,
        journal: &mut Journal,
        etag: &mut Option<ETag>,
        errors: &mut Vec<ArmError>,
    ) -> Result<bool, Stop> {
        let mut is_any = false;
        for step in steps {
            is_any |= !step.is_empty();
            let mut changes = vec![];
            for (address, change) in step {
                if matches!(change, Change::Ptr(_)) {
                    // Noted before the request goes out: its answer may be lost.
                    journal.written_ptrs.insert(address);
                    journal.taken.extend(taken.get(&address).map(|owner| (address, owner.clone())));
                }
                changes.push(change);
            }
            let applied = apply::step(self.hand, changes).await;
            match self.note(applied, journal, etag) {
                Ok(()) => {}
                Err(Stop::Failed(ReconcileError::Arm(error))) => {
                    errors.push(error);
                    break;
                }
                Err(stop) => return Err(stop),
            }
        }
        Ok(is_any)
    }

    /// Writes down what became of changes. The gravest failure is the answer, and "again" graver than any.
    fn note(
        &self,
        applied: Vec<apply::Applied>,
        journal: &mut Journal,
        etag: &mut Option<ETag>,
    ) -> Result<(), Stop> {
        let mut again = None;
        let mut errors = vec![];
        for apply::Applied { change, result } in applied {
            let may_have_happened = match &result {
                Ok(_) => true,
                Err(error) => error.kind() == Kind::Uncertain,
            };
            let line = change.to_string();
            if may_have_happened && !journal.plan.contains(&line) {
                journal.plan.push(line);
                journal.changes.push(change.clone());
            }
            match result {
                Ok(written) => {
                    if matches!(&change, Change::A(edit) if edit.name == self.desired.name) {
                        *etag = written;
                    }
                }
                Err(error) if matches!(error.kind(), Kind::Race | Kind::Uncertain) => again = Some(error),
                Err(error) => errors.push(error),
            }
        }
        match (again, gravest(errors)) {
            (Some(error), _) => Err(Stop::Again(Some(error))),
            (None, Some(error)) => Err(Stop::Failed(error)),
            (None, None) => Ok(()),
        }
    }

    /// The last look: whatever was written must still be what the group calls for.
    async fn look(&self, treatment: Treatment, etag: Option<&ETag>) -> Result<(), Stop> {
        let Hand::Writes(_) = self.hand else { return Ok(()) };
        let is_still = if let Treatment::Point(_) = treatment {
            let (standing, desired, record_set) = observe::look(self.reader(), self.id, self.desired).await?;
            self.reconciler.treatment(standing) == treatment
                && desired.is_ok_and(|desired| desired.as_ref() == Some(self.desired))
                && record_set.map(|set| set.etag).as_ref() == etag
        } else {
            let group = self.reader().container_group(self.id).await?;
            self.reconciler.treatment(Standing::of(group.as_ref())) == treatment
        };
        if is_still { Ok(()) } else { Err(Stop::Again(None)) }
    }
}

/// Finds out whose the A record set is, and, where it is to be taken over, which PTR records name it: it could
/// not remember them for us. What could not be listed is returned beside.
async fn judge(
    reader: &Reader,
    desired: &Desired,
    rules: plan::Rules,
    record_set: Option<ARecordSet>,
    address: Ipv4Addr,
) -> Result<(ObservedA, Vec<ArmError>), ArmError> {
    let mut observed = observe::judged(reader, desired, record_set).await?;
    let is_ours = |set: &ARecordSet| Mark::of(set, &desired.owner) == Mark::Ours;
    let is_taken_over = observed.record_set.as_ref().is_some_and(|set| !is_ours(set))
        && rules.policy != Policy::UpsertOnly
        && plan::conflict(desired, rules, &observed).is_none();
    if !is_taken_over {
        return Ok((observed, vec![]));
    }
    let reads = observe::list_ptr_record_sets(reader, &desired.zones).await;
    let fqdn = desired.fqdn();
    let naming = reads.ptrs.iter().filter(|ptr| ptr.address != address && ptr.says(&fqdn));
    observed.listed = naming.map(|ptr| ptr.address).collect();
    observed.is_listing_incomplete = !reads.errors.is_empty();
    Ok((observed, reads.errors))
}

fn without(all: &MarkedNames, some: &MarkedNames) -> MarkedNames {
    all.iter().filter(|(name, _)| !some.contains_key(*name)).map(|(n, s)| (n.clone(), s.clone())).collect()
}

/// The error that decides the answer: one that redelivery may mend before one that needs a person, because after
/// the redelivery the other is still told.
fn gravest(errors: Vec<ArmError>) -> Option<ReconcileError> {
    errors.into_iter().map(ReconcileError::from).max_by_key(ReconcileError::outcome)
}
