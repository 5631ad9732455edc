//! Steps in words.

use super::{
    actions::Event,
    knowledge::{Answer, Label, Read},
    world::{Content, Places, SetId},
};

/// What happens, in words.
pub(crate) fn describe(places: &Places, event: Event) -> String {
    let name = |group| places.group_name(group);
    match event {
        Event::Create(group, address) => format!("{} comes up at {}", name(group), Places::address(address)),
        Event::CreateUnseen(group, address) => {
            format!("{} comes up at {}, and answers 404 for now", name(group), Places::address(address))
        }
        Event::Move(group, address) => format!("{} moves to {}", name(group), Places::address(address)),
        Event::Provision(group) => format!("{} is provisioned", name(group)),
        Event::Stop(group) => format!("{} is stopped", name(group)),
        Event::Delete(group) => format!("{} is deleted", name(group)),
        Event::Rename(group) => format!("the tag aci-dns-hostname of {} changes", name(group)),
        Event::Touch(group) => format!("an update of {} fails, or a recheck is due", name(group)),
        Event::Edit(set, content) => format!("a person edits: {}", places.show(set, content)),
        Event::Lock(lock) => format!("the lock on the zones is now {lock:?}"),
    }
}

/// A read and its answer, in words.
pub(crate) fn show_read(places: &Places, group: u8, read: Read, answer: &Answer) -> String {
    let listed = |sets: &[(SetId, Content, Label)]| {
        let shown: Vec<_> = sets.iter().map(|(set, content, _)| places.show(*set, Some(*content))).collect();
        if shown.is_empty() { "nothing".to_owned() } else { shown.join("; ") }
    };
    match (read, answer) {
        (Read::Group, Answer::Group(seen)) => {
            format!("{}: {}", places.group_name(group), Places::show_group(*seen))
        }
        (Read::Confirmation, Answer::Group(seen)) => {
            format!("{} once more: {}", places.group_name(group), Places::show_group(*seen))
        }
        (Read::Owner(Some(owner)), Answer::Group(seen)) => {
            format!("{}: {}", places.group_name(owner), Places::show_group(*seen))
        }
        (Read::OwnerConfirmation(Some(owner)), Answer::Group(seen)) => {
            format!("{} once more: {}", places.group_name(owner), Places::show_group(*seen))
        }
        (Read::Set(set), Answer::Set(seen)) => places.show(set, seen.map(|(content, _)| content)),
        (Read::PtrList, Answer::List(sets)) => format!("the reverse zone: {}", listed(sets)),
        (Read::AList, Answer::List(sets)) => format!("the forward zone: {}", listed(sets)),
        (_, answer) => format!("{read:?}: {answer:?}"),
    }
}
