//! Says how DNS and reality differ: drift is what a plan would mend and nobody has.
//!
//! Reads through a type that cannot write, and lists no zone: one look at what one event is about. The
//! comparison itself ([`compare`]) is pure.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

use futures::future::join;
use tokio::time::{Instant, timeout_at};

use crate::{
    arm::{Arm, ArmError, Reader},
    config::Settings,
    container_group::Standing,
    desired::Desired,
    dns::MEMORY_SECONDS,
    observe,
    plan::{self, Hints, ObservedA, ObservedPtr, Rules},
    reconcile::{ReconcileError, unmapped},
    report::{Drift, DriftEvent, DriftKind, Outcome, Report},
    resource_id::ContainerGroupId,
};

/// The drift tracker: it compares and reports, and has nothing to write with.
#[derive(Debug)]
pub struct DriftTracker {
    settings: Arc<Settings>,
    arm: Arm,
    rules: Rules,
}

impl DriftTracker {
    /// Puts a drift tracker together.
    #[must_use]
    pub fn new(settings: Arc<Settings>, arm: Arm) -> Self {
        let rules =
            Rules { ownership: settings.ownership, policy: settings.policy, memory_seconds: MEMORY_SECONDS };
        Self { settings, arm, rules }
    }

    /// Compares what DNS says about one container group with where it is.
    pub async fn track(&self, id: &ContainerGroupId) -> Report {
        let deadline = Instant::now() + self.settings.deadline;
        let reader = self.arm.observation(deadline);
        let report = match timeout_at(deadline, self.look(&reader, id, &Hints::default())).await {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => Report::failed(error.outcome(), &error),
            Err(_) => {
                let error = ReconcileError::Deadline { deadline: self.settings.deadline };
                Report::failed(error.outcome(), &error)
            }
        };
        Report { arm_calls: reader.calls(), exchanges: reader.exchanges(), ..report }
    }

    /// Compares what this reader says, which may be one of lists, at the hinted addresses, too.
    pub async fn look(
        &self,
        reader: &Reader,
        id: &ContainerGroupId,
        hints: &Hints,
    ) -> Result<Report, ReconcileError> {
        let Some(zones) = self.settings.zones.serving(id) else {
            return Ok(unmapped(&self.settings.zones, id));
        };
        let seen = observe::sight(reader, id, &zones).await?;
        let unmanaged = |reason: &str| Ok(Report::new(Outcome::Unmanaged, format!("{id}: {reason}")));
        let address = match seen.standing {
            Standing::Running(address) => address,
            Standing::Gone => return unmanaged("there is no such container group"),
            Standing::Deleting => return unmanaged("the container group is being deleted"),
            Standing::Public => return unmanaged("its address is public"),
            Standing::Portless => return unmanaged("it runs without an ipAddress (deployed without ports)"),
            Standing::Pending => return unmanaged("its address is not assigned yet"),
            Standing::Released => return unmanaged("it is stopped and has released its address"),
        };
        let Some(desired) = seen.desired? else { return unmanaged("tagged to be ignored") };
        let (observed, ptrs) = if desired.is_name_from_tag {
            let live = BTreeSet::from([address]);
            let reads = observe::ptr_record_sets(reader, &zones, &live);
            let (record_set, reads) = join(observe::a_record_set(reader, &desired), reads).await;
            let observed = observe::judged(reader, &desired, record_set?).await?;
            let mut ptrs = read(reads)?;
            let mut more = addresses(&observed);
            more.extend(&hints.addresses);
            more.remove(&address);
            ptrs.extend(read(observe::ptr_record_sets(reader, &zones, &more).await)?);
            (observed, ptrs)
        } else {
            let mut all: BTreeSet<_> = seen.own.iter().flat_map(observe::addresses_of).collect();
            all.insert(address);
            all.extend(&hints.addresses);
            let reads = observe::ptr_record_sets(reader, &zones, &all);
            let (observed, reads) = join(observe::judged(reader, &desired, seen.own), reads).await;
            (observed?, read(reads)?)
        };
        let drift = compare(&desired, self.rules, address, &observed, &ptrs);
        let kinds: Vec<&str> = drift.kinds.iter().map(|kind| kind.as_str()).collect();
        let mut message = format!("{}: {}", desired.fqdn(), drift.event.as_str());
        if !kinds.is_empty() {
            message = format!("{message} ({})", kinds.join(", "));
        }
        Ok(Report {
            is_warning: drift.event == DriftEvent::DriftDetected,
            fqdn: Some(desired.fqdn()),
            address: Some(address),
            drift: Some(drift),
            ..Report::new(Outcome::Reported, message)
        })
    }
}

/// What is only partly read is no verdict.
fn read(reads: observe::Reads) -> Result<Vec<ObservedPtr>, ArmError> {
    match reads.errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(reads.ptrs),
    }
}

fn addresses(observed: &ObservedA) -> BTreeSet<Ipv4Addr> {
    observed.record_set.iter().flat_map(observe::addresses_of).collect()
}

/// Compares what a group at an address calls for with what there is.
#[must_use]
pub fn compare(
    desired: &Desired,
    rules: Rules,
    address: Ipv4Addr,
    observed: &ObservedA,
    ptrs: &[ObservedPtr],
) -> Drift {
    let at_address = ptrs.iter().find(|ptr| ptr.address == address).and_then(|ptr| ptr.record_set.as_ref());
    let dns_ptr: Vec<String> =
        at_address.iter().flat_map(|set| &set.content.records).map(ToString::to_string).collect();
    let Some(record_set) = &observed.record_set else {
        let (event, kinds, dns_addresses) = (DriftEvent::FirstSeen, vec![], vec![]);
        return Drift { event, kinds, dns_addresses, dns_ptr };
    };
    let fqdn = desired.fqdn();
    let names = plan::Names { held: BTreeSet::from([fqdn.clone()]), ..plan::Names::default() };
    let reverse = plan::reverse(desired, rules, address, ptrs, &names);
    let is_ptr_due = desired.wants_ptr && !desired.zones.reverse.is_empty();
    let is_named = ptrs.iter().any(|ptr| ptr.address == address && ptr.says(&fqdn));
    let other_ttl = |ttl: u32| ttl != desired.ttl;
    let applies = [
        (DriftKind::Address, record_set.content.records != [address]),
        (
            DriftKind::Ttl,
            other_ttl(record_set.content.ttl)
                || (is_ptr_due && is_named && at_address.is_some_and(|set| other_ttl(set.content.ttl))),
        ),
        (DriftKind::PtrMissing, is_ptr_due && dns_ptr.is_empty()),
        (DriftKind::PtrMismatch, is_ptr_due && !dns_ptr.is_empty() && !is_named),
        (
            DriftKind::PtrStale,
            ptrs.iter().any(|ptr| ptr.says(&fqdn) && (ptr.address != address || !desired.wants_ptr)),
        ),
        (
            DriftKind::Foreign,
            plan::conflict(desired, rules, observed).is_some() || !reverse.conflicts.is_empty(),
        ),
    ];
    let kinds: Vec<DriftKind> =
        applies.into_iter().filter(|(_, applies)| *applies).map(|(kind, _)| kind).collect();
    let event = if kinds.is_empty() { DriftEvent::NoChange } else { DriftEvent::DriftDetected };
    Drift { event, kinds, dns_addresses: record_set.content.records.clone(), dns_ptr }
}
