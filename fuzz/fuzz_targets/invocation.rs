//! An invocation, whatever its body, through the real router.

#![no_main]

mod corpus;
#[path = "../../tests/it/fuzz/entry.rs"]
#[expect(dead_code, reason = "the other targets use the rest")]
mod entry;

libfuzzer_sys::fuzz_target!(
    init: corpus::write("invocation", entry::invocation_seeds()),
    |data: &[u8]| entry::invocation(data)
);
