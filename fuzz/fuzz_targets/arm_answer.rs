//! Resource Manager, whatever it answers, through the real client.

#![no_main]

mod corpus;
#[path = "../../tests/it/fuzz/entry.rs"]
#[expect(dead_code, reason = "the other targets use the rest")]
mod entry;

libfuzzer_sys::fuzz_target!(
    init: corpus::write("arm_answer", entry::arm_answer_seeds()),
    |data: &[u8]| entry::arm_answer(data)
);
