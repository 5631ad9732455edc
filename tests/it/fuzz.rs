//! A fuzzer for every test run: seeded, so that it is reproducible, and bounded.
//!
//! `ACI_DNS_FUZZ_CASES` sets the number of cases per target. The targets in `fuzz` call the same functions
//! with the input of a coverage-guided fuzzer, which needs a nightly toolchain.

pub(crate) mod entry;

use std::{env, panic::AssertUnwindSafe};

use fastrand::Rng;
use serde_json::{Value, json};

const CASES: u64 = 3000;

/// Mutates seeds, and reports the failing case. The first `head` bytes are not JSON.
fn fuzz(target: fn(&[u8]), seeds: &[Vec<u8>], head: usize) {
    let cases = env::var("ACI_DNS_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    for seed in seeds {
        target(seed);
    }
    for case in 0..cases {
        let mut rng = Rng::with_seed(case);
        let mut data = rng.choice(seeds).unwrap().clone();
        for _ in 0..rng.u8(1..4) {
            mutate(&mut rng, &mut data, seeds, head);
        }
        let is_held = std::panic::catch_unwind(AssertUnwindSafe(|| target(&data))).is_ok();
        assert!(is_held, "case {case}: {}", String::from_utf8_lossy(&data).escape_debug());
    }
}

fn mutate(rng: &mut Rng, data: &mut Vec<u8>, seeds: &[Vec<u8>], head: usize) {
    let place = |rng: &mut Rng, data: &[u8]| rng.usize(0..=data.len());
    match rng.u8(0..10) {
        0 => {
            let at = place(rng, data);
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << rng.u8(0..8);
            }
        }
        1 => data.truncate(place(rng, data)),
        2 => {
            let (from, to) = (place(rng, data), place(rng, data));
            data.drain(from.min(to)..from.max(to));
        }
        3 => {
            let other = rng.choice(seeds).unwrap();
            let (at, from) = (place(rng, data), place(rng, other));
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        4 => {
            let at = place(rng, data);
            let bytes = rng
                .choice([&b"\0"[..], b"\x1b[31m", b"\xff\xfe", b"\\ud800", b"1e999", b"\"", b"{"])
                .unwrap();
            data.splice(at..at, bytes.iter().copied());
        }
        5 if head > 0 => {
            let at = rng.usize(0..head);
            if let Some(byte) = data.get_mut(at) {
                *byte = rng.u8(..);
            }
        }
        _ => mutate_json(rng, data, head),
    }
}

/// Mutates the JSON in the data from `head` on, or in a setting from its value on.
fn mutate_json(rng: &mut Rng, data: &mut Vec<u8>, head: usize) {
    let is_open = |byte: &u8| *byte == b'{';
    let Some(start) = data.iter().skip(head).position(is_open).map(|at| at + head) else { return };
    let mut values = serde_json::Deserializer::from_slice(&data[start..]).into_iter::<Value>();
    let Some(Ok(mut value)) = values.next() else { return };
    let end = start + values.byte_offset();
    let count = nodes(&value);
    let mut target = rng.usize(0..count);
    change(rng, &mut value, &mut target);
    let mut text = value.to_string();
    // Text that no JSON value can express is inserted into the text.
    for (mark, raw) in [
        ("\"@deep\"", "[".repeat(200) + &"]".repeat(200)),
        ("\"@nest\"", "{\"a\":".repeat(100) + "1" + &"}".repeat(100)),
        ("\"@huge\"", "1e999".to_owned()),
        ("\"@long\"", "9".repeat(400)),
    ] {
        text = text.replace(mark, &raw);
    }
    if rng.u8(0..8) == 0 {
        // The first key again: the last one counts, or none.
        text = text.replacen('{', &format!("{{{}:null,", json!(first_key(&value))), 1);
    }
    data.splice(start..end, text.into_bytes());
}

fn first_key(value: &Value) -> &str {
    value.as_object().and_then(|members| members.keys().next()).map_or("", String::as_str)
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Changes the node at a position, counted from the root.
fn change(rng: &mut Rng, value: &mut Value, target: &mut usize) {
    if *target == 0 {
        *target = usize::MAX;
        change_here(rng, value);
        return;
    }
    *target -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(elements) => elements.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => vec![],
    };
    for child in children {
        if *target != usize::MAX {
            change(rng, child, target);
        }
    }
}

fn change_here(rng: &mut Rng, value: &mut Value) {
    let words = [
        "",
        " ",
        "NotFound",
        "ResourceNotFound",
        "Stopped",
        "Deleting",
        "Public",
        "Succeeded",
        "0.0.0.0",
        "10.1.5.9",
        "a\u{0}b",
        "a\r\nb",
        "\u{1b}[31m",
        "\u{202e}",
        "İΣς",
        "..",
        "/",
        "@",
        "*",
        "web.",
        "-1",
        "2147483648",
        "@deep",
        "@nest",
        "@huge",
        "@long",
        "{}",
        "[]",
        "\"\"",
        "null",
    ];
    match value {
        Value::Object(members) if rng.bool() => {
            let keys: Vec<_> = members.keys().cloned().collect();
            let Some(key) = rng.choice(&keys) else { return };
            let taken = members.remove(key);
            if rng.bool() {
                let other = if rng.bool() { key.to_uppercase() } else { rng.choice(&keys).unwrap().clone() };
                members.extend(taken.map(|taken| (other, taken)));
            }
        }
        Value::Array(elements) if rng.bool() => match elements.pop() {
            Some(element) => elements.extend(vec![element; rng.usize(0..4)]),
            None => elements.push(Value::Null),
        },
        value => {
            *value = match rng.u8(0..12) {
                0 => Value::Null,
                1 => json!(rng.bool()),
                2 => json!(rng.i64(..)),
                3 => json!(rng.f64() * 1e300),
                4 => json!([value.clone()]),
                5 => json!({ "value": value.clone() }),
                6 => Value::String(value.to_string()),
                7 => json!("x".repeat(rng.usize(0..2000))),
                8 => json!({}),
                _ => json!(*rng.choice(&words).unwrap()),
            };
        }
    }
}

#[test]
fn an_invocation_is_answered_for_any_body() {
    fuzz(entry::invocation, &entry::invocation_seeds(), 0);
}

#[test]
fn any_settings_are_accepted_or_refused() {
    fuzz(entry::settings, &entry::settings_seeds(), 0);
}

#[test]
fn the_client_is_correct_for_any_answer_of_resource_manager() {
    fuzz(entry::arm_answer, &entry::arm_answer_seeds(), 2);
}
