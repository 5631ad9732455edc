//! Values for properties, drawn from small sets, so that owners, names and addresses coincide often.

use proptest::prelude::*;

use super::{world::owner, *};
use crate::domain::dns::{Content, ETag, Metadata, OWNER_KEY, PREVIOUS_KEY, PtrTarget};

pub(super) const NAMES: [&str; 4] = ["web", "shop", "old", "alias"];
pub(super) const MARKS: [&str; 5] = ["us", "other", "third", "S1/RG-Spoke1/Web", "no-group"];

pub(super) fn any_address() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        6 => (1..5_u8).prop_map(|last| Ipv4Addr::new(10, 1, 5, last)),
        2 => (1..3_u8).prop_map(|last| Ipv4Addr::new(10, 1, 6, last)),
        1 => Just(Ipv4Addr::new(10, 2, 0, 4)),
        1 => Just(Ipv4Addr::new(192, 168, 0, 9)),
    ]
}

pub(super) fn any_name() -> impl Strategy<Value = RelativeName> {
    prop::sample::select(NAMES.to_vec()).prop_map(|name| name.parse().unwrap())
}

pub(super) fn any_target() -> impl Strategy<Value = PtrTarget> {
    let targets = vec![
        "web.spoke1.internal",
        "WEB.Spoke1.internal.",
        "shop.spoke1.internal",
        "old.spoke1.internal",
        "alias.spoke1.internal",
        "deep.old.spoke1.internal",
        "web.spoke2.internal",
        "web.former.internal",
        "web.elsewhere.internal",
        "spoke1.internal",
        "webspoke1.internal",
        "Printer.contoso.com.",
        "no name at all",
        "*.spoke1.internal",
        "",
    ];
    prop::sample::select(targets).prop_map(|text| PtrTarget::from(text.to_owned()))
}

pub(super) fn any_metadata() -> impl Strategy<Value = Metadata> {
    let mark = prop_oneof![
        6 => Just(Some("us")),
        4 => prop::sample::select(MARKS.to_vec()).prop_map(Some),
        3 => Just(None),
    ];
    let entry = prop_oneof![
        8 => (any_address(), 9_000..11_000_u64).prop_map(|(address, since)| format!("{address}@{since}")),
        1 => Just("junk".to_owned()),
        1 => Just("10.1.5.3@".to_owned()),
    ];
    let full = (0..40_u8).prop_map(|last| format!("10.1.7.{last}@{}", 9_690 + u64::from(last)));
    let memory = prop_oneof![
        3 => Just(vec![]),
        6 => prop::collection::vec(entry, 0..5),
        1 => prop::collection::vec(full, 30..60),
    ];
    let foreign = prop::collection::btree_map("[a-z]{1,4}", ".{0,6}", 0..2);
    let controller = prop::option::weighted(
        0.15,
        prop::sample::select(vec!["creator", "managedBy", "Managed-By", "owner"]),
    );
    (mark, memory, foreign, controller).prop_map(|(mark, memory, mut metadata, controller)| {
        metadata.extend(mark.map(|mark| (OWNER_KEY.to_owned(), owner(mark).as_str().to_owned())));
        metadata.extend(controller.map(|key| (key.to_owned(), "x".to_owned())));
        if !memory.is_empty() {
            metadata.insert(PREVIOUS_KEY.to_owned(), memory.join(" "));
        }
        metadata
    })
}

pub(super) fn any_record_set<Record: Clone + std::fmt::Debug>(
    record: impl Strategy<Value = Record>,
) -> impl Strategy<Value = RecordSet<Record>> {
    let ttl = prop_oneof![3 => Just(60), 1 => 0..400_u32];
    // A set may contain a record twice, and may be empty.
    let records = prop::collection::vec(record, 0..4);
    (ttl, records, any_metadata(), prop::bool::weighted(0.1)).prop_map(
        |(ttl, records, metadata, is_auto_registered)| RecordSet {
            etag: ETag::from("before".to_owned()),
            content: Content { ttl, records, metadata },
            is_auto_registered,
        },
    )
}
