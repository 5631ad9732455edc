//! Decides the secret that contains the address of a group: one additional read, and one additional write.
//!
//! The decision uses the same facts as that for the record sets. The driver executes both concurrently, so that neither
//! waits for the other; only the verification is common. A secret is written only if its value or its owner mark
//! differs, because Key Vault keeps a version of each write. Key Vault has no conditional writes, so the group and the
//! secret are read again after a write, and another write follows if they differ. A secret is never deleted: a group
//! without an address keeps its secret.

use super::{Decider, Key, Lookup, MAX_PASSES, OwnerSecret, Purpose, Rules, Step};
use crate::{
    config::{Ownership, Policy},
    decide::{desired::SecretNameError, report::DriftKind},
    domain::{
        container_group::AddressState,
        dns::Owner,
        secret::{Secret, SecretEdit, SecretId, WantedSecret},
        text::rfc3339,
    },
};

/// The next step for the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretStep {
    /// The facts are sufficient for a verdict. It is final as soon as the record sets have their verdict.
    Done(SecretVerdict),
    /// The missing facts are read for the record sets.
    Wait,
    /// Read a group.
    Read(Key),
    /// Read the secret.
    ReadSecret(SecretId),
    /// Write the secret.
    Write(Box<SecretEdit>),
    /// The write is done: read the group and the secret again.
    Verify,
}

/// The result for the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretVerdict {
    /// There is nothing to publish, or the group is unknown because the decision for the record sets failed.
    Nothing,
    /// The secret is correct.
    Right,
    /// The result of the comparison; `None` if there is no difference.
    Compared(Option<DriftKind>),
    /// The secret could not be corrected.
    Failed(SecretError),
}

/// Why the secret could not be corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// It has no valid name.
    Name(SecretNameError),
    /// It belongs to another owner.
    Conflict(SecretConflict),
    /// Each of [`MAX_PASSES`] writes conflicted with another writer or lost its answer.
    LostRaces,
    /// A request to Key Vault failed.
    Request,
    /// The read of the group in its mark failed.
    Owner(Key),
}

/// Why a secret is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretConflict {
    /// The group in its mark exists and should have this secret, or cannot be read.
    #[error("the secret {id} belongs to the container group {owner}")]
    OtherGroup {
        /// The secret.
        id: SecretId,
        /// Its owner.
        owner: Owner,
    },
    /// It carries no mark, and only marked secrets may be changed.
    #[error(
        "the secret {0} carries no owner mark (tag aci-dns-owner), and ACI_DNS_OWNERSHIP is strict; to take it over, run: aci-dns sync --adopt (or --adopt-only, to write only the mark)"
    )]
    Unmarked(SecretId),
    /// It carries no mark, and a tag chose the name.
    #[error(
        "the secret {0} carries no owner mark (tag aci-dns-owner), and such a secret is not taken over at a name that a tag chose; to take it over, run: aci-dns sync --adopt (or --adopt-only, to write only the mark)"
    )]
    ChosenByTag(SecretId),
}

fn done(verdict: SecretVerdict) -> SecretStep {
    SecretStep::Done(verdict)
}

fn failed(error: SecretError) -> SecretStep {
    done(SecretVerdict::Failed(error))
}

impl Decider<'_> {
    /// The next step for the secret. `is_settled`: the record sets have their verdict, so nothing more is read for them.
    pub(super) fn secret(&self, is_settled: bool) -> SecretStep {
        if self.goal.zones.secret.is_none() {
            return done(SecretVerdict::Nothing);
        }
        self.secret_step(is_settled).unwrap_or_else(|step| step)
    }

    fn secret_step(&self, is_settled: bool) -> Result<SecretStep, SecretStep> {
        let facts = &self.facts.secret;
        if facts.has_failed {
            return Err(failed(SecretError::Request));
        }
        if facts.is_unverified {
            return Err(SecretStep::Verify);
        }
        let observation = match &self.facts.pass.group {
            Some(Ok(observation)) => observation,
            Some(Err(_)) => return Err(done(SecretVerdict::Nothing)),
            None => {
                // A verification reads the secret and the group together.
                return Err(match (&facts.to_verify, &facts.read) {
                    (Some(id), None) => SecretStep::ReadSecret(id.clone()),
                    _ if is_settled => SecretStep::Read(Key::Group),
                    _ => SecretStep::Wait,
                });
            }
        };
        let wanted = match &observation.secret {
            Ok(Some(wanted)) => wanted,
            Ok(None) => return Err(done(SecretVerdict::Nothing)),
            Err(error) => return Err(failed(SecretError::Name(error.clone()))),
        };
        let address = match observation.state {
            AddressState::Running(address) if self.goal.zones.accepts(address) => address,
            _ => return Err(done(SecretVerdict::Nothing)),
        };
        let read = match &facts.read {
            Some((id, read)) if *id == wanted.id => read.as_ref(),
            _ => return Err(SecretStep::ReadSecret(wanted.id.clone())),
        };
        let secret = read.map_err(|_| failed(SecretError::Request))?.as_ref();
        let is_right = secret.is_some_and(|secret| secret.holds(address, &self.goal.owner));
        if self.goal.purpose == Purpose::Compare {
            let kind = if secret.is_none() { DriftKind::SecretMissing } else { DriftKind::Secret };
            return Ok(done(SecretVerdict::Compared((!is_right).then_some(kind))));
        }
        if is_right {
            return Ok(done(SecretVerdict::Right));
        }
        if let Some(secret) = secret {
            self.check_secret_owner(wanted, secret)?;
        }
        let value = match (self.rules.policy, secret) {
            (Policy::AdoptOnly, None) => return Ok(done(SecretVerdict::Nothing)),
            (Policy::AdoptOnly, Some(secret)) => secret.value.clone(),
            (Policy::Sync | Policy::UpsertOnly | Policy::Observe, _) => address.to_string(),
        };
        if self.rules.policy == Policy::AdoptOnly
            && secret.is_some_and(|secret| secret.owner().as_ref() == Some(&self.goal.owner))
        {
            return Ok(done(SecretVerdict::Right));
        }
        if facts.writes >= MAX_PASSES {
            return Err(failed(SecretError::LostRaces));
        }
        let time = rfc3339(self.facts.now).unwrap_or_default();
        let after = Secret::published(value, &self.goal.owner, time, secret);
        let edit = SecretEdit { id: wanted.id.clone(), before: secret.cloned(), after };
        Ok(SecretStep::Write(Box::new(edit)))
    }

    /// Ends the decision if the secret may not be changed, or if that needs another read.
    fn check_secret_owner(&self, wanted: &WantedSecret, secret: &Secret) -> Result<(), SecretStep> {
        let id = || wanted.id.clone();
        let owner = match secret.owner() {
            Some(owner) if owner == self.goal.owner => return Ok(()),
            Some(owner) => owner,
            None => return unmarked(wanted, self.rules),
        };
        let mut lookup = Lookup::new(self.facts);
        let first = lookup.owner(&owner);
        finish(lookup)?;
        let frees = |secret: &OwnerSecret| match secret {
            OwnerSecret::Deleted => true,
            OwnerSecret::Unknown => false,
            OwnerSecret::Wanted(other) => other.as_ref() != Some(&wanted.id),
        };
        if first.flatten().is_some_and(|other| frees(&other.secret)) {
            let mut lookup = Lookup::new(self.facts);
            let second = lookup.owner_confirmation(&owner);
            finish(lookup)?;
            if second.flatten().is_some_and(|other| frees(&other.secret)) {
                return Ok(());
            }
        }
        Err(failed(SecretError::Conflict(SecretConflict::OtherGroup { id: id(), owner })))
    }
}

/// Whether a secret without a mark may be taken over.
fn unmarked(wanted: &WantedSecret, rules: Rules) -> Result<(), SecretStep> {
    let id = wanted.id.clone();
    let conflict = match rules.ownership {
        Ownership::Strict => SecretConflict::Unmarked(id),
        Ownership::Adopt if wanted.is_from_tag && !rules.adopts_tagged => SecretConflict::ChosenByTag(id),
        Ownership::Adopt => return Ok(()),
    };
    Err(failed(SecretError::Conflict(conflict)))
}

/// The read of another group that is missing, or its failure.
fn finish(lookup: Lookup<'_>) -> Result<(), SecretStep> {
    match lookup.finish() {
        Ok(()) => Ok(()),
        Err(Step::Act { read, .. }) => {
            Err(read.into_iter().next().map_or(SecretStep::Wait, SecretStep::Read))
        }
        Err(Step::Done(super::Verdict::Failed(super::PlanError::Request(key)))) => {
            Err(failed(SecretError::Owner(key)))
        }
        Err(_) => Err(SecretStep::Wait),
    }
}
