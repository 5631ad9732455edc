//! What pushes do to one container group. Total: every push gets a verdict, and the group at most one action.
//!
//! | tag of the group | the push is acted on when |
//! |---|---|
//! | `restart` | it is of the tag that a container uses, and the container has not pulled since |
//! | `semver:<range>` | its tag is a version in the range and higher than the current one |
//! | `glob:<pattern>` | its tag matches and differs, and the container has not pulled since |
//!
//! A container *has pulled since* a push if its newest pull was of the pushed digest, or is later than the push; without
//! an event of a pull, if the containers of the group started after the push. So a push that arrives late neither
//! restarts a newer image nor replaces it by an older one.
//!
//! The time of a pull says nothing about the push of a tag that was replaced late: of two pushes that match a glob, the
//! older may be carried out after the newer happened. Where the process knows when the current tag was pushed
//! ([`AppliedTag`]), that time decides instead.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    time::Duration,
};

use semver::Version;
use time::OffsetDateTime;

use super::{
    group::{ContainerPlace, ImageGroup, Untouchable, UsedImage},
    push::Push,
    tag_rule::{IMAGE_TAG, TagRule, glob_matches, version},
};
use crate::{decide::report::Outcome, domain::resource_id::ContainerGroupId};

/// How long a group is left alone after its newest start.
const SETTLING: Duration = Duration::from_mins(1);

/// What is to be done with a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Restart it, which downloads its images.
    Restart,
    /// Replace the images of these containers.
    Replace(BTreeMap<ContainerPlace, String>),
}

/// What becomes of one push at a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushVerdict {
    /// Nothing has to be done.
    Nothing {
        /// The outcome: converged or unmanaged.
        outcome: Outcome,
        /// Why.
        reason: String,
        /// Whether a person should look at it.
        is_warning: bool,
    },
    /// The action of the group is for it.
    Act,
    /// Something has to be done, and not now.
    Wait(String),
    /// A person has to act.
    Failed(String),
}

/// A tag that replaced another one, and when it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedTag {
    /// The container.
    pub place: ContainerPlace,
    /// The tag.
    pub tag: String,
    /// The time of its push.
    pub pushed: OffsetDateTime,
}

/// What pushes do to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlan {
    /// What becomes of each push, in their order.
    pub verdicts: Vec<PushVerdict>,
    /// What is to be done; `None` if no verdict is [`PushVerdict::Act`].
    pub action: Option<Action>,
    /// The lines of the plan, one for each image.
    pub lines: Vec<String>,
    /// The tags of the action.
    pub applied: Vec<AppliedTag>,
}

/// What pushes do to a group. `None` for a group that does not exist.
#[must_use]
pub fn plan(
    id: &ContainerGroupId,
    group: Option<&ImageGroup>,
    pushes: &[&Push],
    applied: &[AppliedTag],
    now: OffsetDateTime,
) -> ImagePlan {
    let same = |verdict: PushVerdict| ImagePlan {
        verdicts: vec![verdict; pushes.len()],
        action: None,
        lines: Vec::new(),
        applied: Vec::new(),
    };
    let Some(group) = group else { return same(untouched("it is deleted")) };
    let Some(value) = group.tag(IMAGE_TAG).filter(|value| !value.trim().is_empty()) else {
        return same(untouched(format!("it has no tag {IMAGE_TAG}")));
    };
    match group.untouchable() {
        None => {}
        Some(Untouchable::Deleting) => return same(untouched("it is being deleted")),
        Some(Untouchable::StandbyPool) => return same(untouched("it waits in a standby pool")),
        Some(Untouchable::Stopped) => {
            return same(untouched("it is stopped; the next start pulls its images"));
        }
    }
    let rule: TagRule = match value.parse() {
        Ok(rule) => rule,
        Err(error) => return same(PushVerdict::Failed(error.to_string())),
    };
    let wishes: Vec<Wish> = pushes.iter().map(|push| wish(&rule, group, push, applied)).collect();
    let wait = wait(group, now);
    let verdict = |wish: &Wish| match (wish, &wait) {
        (Wish::Nothing(verdict), _) => verdict.clone(),
        (Wish::Restart(_) | Wish::Replace(_), Some(reason)) => PushVerdict::Wait(reason.clone()),
        (Wish::Restart(_) | Wish::Replace(_), None) => PushVerdict::Act,
    };
    let verdicts: Vec<_> = wishes.iter().map(verdict).collect();
    if wait.is_some() || !verdicts.contains(&PushVerdict::Act) {
        return ImagePlan { verdicts, action: None, lines: Vec::new(), applied: Vec::new() };
    }
    let subject = format!("{}/{}", id.resource_group(), id.name());
    let (action, lines, applied) = combine(&subject, wishes, pushes);
    ImagePlan { verdicts, action: Some(action), lines, applied }
}

/// What one push asks for, whatever the state of the group is.
enum Wish<'a> {
    Nothing(PushVerdict),
    Restart(Vec<&'a UsedImage>),
    Replace(Vec<&'a UsedImage>),
}

fn wish<'a>(rule: &TagRule, group: &'a ImageGroup, push: &Push, applied: &[AppliedTag]) -> Wish<'a> {
    let nothing = |reason: String| Wish::Nothing(converged(reason, false));
    let Some(tag) = &push.tag else { return nothing("the push names no tag".to_owned()) };
    let used: Vec<&UsedImage> =
        group.images.iter().filter(|used| used.image.repository == push.repository).collect();
    if used.is_empty() {
        return Wish::Nothing(untouched(format!("no container uses {}", push.repository)));
    }
    let used: Vec<&UsedImage> = used.into_iter().filter(|used| used.image.digest.is_none()).collect();
    if used.is_empty() {
        return Wish::Nothing(untouched("its image is pinned by a digest"));
    }
    let current = || used.iter().filter_map(|used| used.image.tag.as_deref()).collect::<Vec<_>>().join(", ");
    match rule {
        TagRule::Restart => {
            let used: Vec<_> =
                used.iter().copied().filter(|used| used.image.tag.as_ref() == Some(tag)).collect();
            if used.is_empty() {
                return nothing(format!("it does not use the tag {tag}"));
            }
            match not_pulled(group, &used, push) {
                empty if empty.is_empty() => {
                    nothing(format!("it has pulled {} since the push", push.image()))
                }
                used => Wish::Restart(used),
            }
        }
        TagRule::Semver(range) => {
            let Some(pushed) = version(tag) else { return nothing(format!("the tag {tag} is no version")) };
            if !range.matches(&pushed) {
                return nothing(format!("the version {tag} is not in the range {range}"));
            }
            let is_version = |used: &&&UsedImage| used.image.tag.as_deref().and_then(version).is_some();
            if !used.iter().any(|used| is_version(&used)) {
                let reason = format!("its tag {} is no version, so that no version is higher", current());
                return Wish::Nothing(converged(reason, true));
            }
            let lower: Vec<_> = used.iter().copied().filter(|used| is_lower(used, &pushed)).collect();
            if lower.is_empty() {
                return nothing(format!("the version {tag} is not higher than its {}", current()));
            }
            Wish::Replace(lower)
        }
        TagRule::Glob(pattern) => {
            if !glob_matches(pattern, tag) {
                return nothing(format!("the tag {tag} does not match {pattern}"));
            }
            let other: Vec<_> =
                used.iter().copied().filter(|used| used.image.tag.as_ref() != Some(tag)).collect();
            if other.is_empty() {
                return nothing(format!("it uses the tag {tag} already"));
            }
            let is_newer = |used: &&&UsedImage| {
                let current = applied
                    .iter()
                    .find(|known| known.place == used.place && Some(&known.tag) == used.image.tag.as_ref());
                match current {
                    Some(current) => push.time > current.pushed,
                    None => !has_pulled_since(group, used, push),
                }
            };
            let other: Vec<_> = other.iter().filter(is_newer).copied().collect();
            match other {
                empty if empty.is_empty() => nothing(format!("its image is newer than the push of {tag}")),
                other => Wish::Replace(other),
            }
        }
    }
}

fn is_lower(used: &UsedImage, pushed: &Version) -> bool {
    let current = used.image.tag.as_deref().and_then(version);
    current.is_some_and(|current| pushed.cmp_precedence(&current).is_gt())
}

/// The containers that have not pulled since the push.
fn not_pulled<'a>(group: &ImageGroup, used: &[&'a UsedImage], push: &Push) -> Vec<&'a UsedImage> {
    used.iter().copied().filter(|used| !has_pulled_since(group, used, push)).collect()
}

fn has_pulled_since(group: &ImageGroup, used: &UsedImage, push: &Push) -> bool {
    match &used.pull {
        Some(pull) => (push.digest.is_some() && pull.digest == push.digest) || pull.time > push.time,
        None => group.newest_start.is_some_and(|start| start > push.time),
    }
}

/// Why a group has to be left alone for now.
fn wait(group: &ImageGroup, now: OffsetDateTime) -> Option<String> {
    if group.is_in_transition {
        return Some("it is being provisioned or restarted".to_owned());
    }
    let is_young = group.newest_start.is_some_and(|start| now < start + SETTLING);
    is_young.then(|| "it started less than a minute ago".to_owned())
}

/// One action for all pushes. Of several tags for one container, the highest version wins, or else the latest push.
fn combine(subject: &str, wishes: Vec<Wish<'_>>, pushes: &[&Push]) -> (Action, Vec<String>, Vec<AppliedTag>) {
    let mut restarts = BTreeSet::new();
    let mut chosen: BTreeMap<ContainerPlace, (&UsedImage, &Push)> = BTreeMap::new();
    for (wish, push) in wishes.into_iter().zip(pushes) {
        match wish {
            Wish::Nothing(_) => {}
            Wish::Restart(used) => {
                restarts.extend(used.into_iter().map(|used| format!("! restart {subject} {}", image(used))));
            }
            Wish::Replace(used) => {
                for used in used {
                    let other = chosen.get(&used.place);
                    if other.is_none_or(|(_, other)| rank(push) > rank(other)) {
                        chosen.insert(used.place, (used, push));
                    }
                }
            }
        }
    }
    if chosen.is_empty() {
        return (Action::Restart, restarts.into_iter().collect(), Vec::new());
    }
    let mut lines = BTreeSet::new();
    let mut images = BTreeMap::new();
    let mut applied = Vec::new();
    for (place, (used, push)) in chosen {
        let tag = push.tag.as_deref().unwrap_or_default();
        let before = used.image.tag.as_deref().unwrap_or_default();
        lines.insert(format!("~ image {subject} {} {before} -> {tag}", used.image.repository));
        images.insert(place, used.image.with_tag(tag));
        applied.push(AppliedTag { place, tag: tag.to_owned(), pushed: push.time });
    }
    (Action::Replace(images), lines.into_iter().collect(), applied)
}

/// The order of pushes that replace the same image: by version, where all are versions, then by time.
fn rank(push: &Push) -> impl Ord + use<> {
    (push.tag.as_deref().and_then(version), push.time, push.tag.clone())
}

fn image(used: &UsedImage) -> String {
    format!("{}:{}", used.image.repository, used.image.tag.as_deref().unwrap_or_default())
}

fn untouched(reason: impl Display) -> PushVerdict {
    PushVerdict::Nothing { outcome: Outcome::Unmanaged, reason: reason.to_string(), is_warning: false }
}

fn converged(reason: String, is_warning: bool) -> PushVerdict {
    PushVerdict::Nothing { outcome: Outcome::Converged, reason, is_warning }
}

#[cfg(test)]
mod tests;
