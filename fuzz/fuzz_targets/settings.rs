//! Settings, whatever they say.

#![no_main]

mod corpus;
#[path = "../../tests/it/fuzz/entry.rs"]
#[expect(dead_code, reason = "the other targets use the rest")]
mod entry;

libfuzzer_sys::fuzz_target!(
    init: corpus::write("settings", entry::settings_seeds()),
    |data: &[u8]| entry::settings(data)
);
