//! Rules for the source that the compiler does not check, such as which module may name what.
//!
//! They apply to the code without comments, contents of literals, and tests. `src/lib.rs` describes the
//! modules.

mod graph;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The entries of `src`, from the lowest to the highest: each imports only from those before it.
const ORDER: [&str; 16] = [
    "domain",
    "config",
    "environment",
    "decide",
    "azure",
    "reconcile",
    "images",
    "drift",
    "sweep",
    "doctor",
    "resolve",
    "telemetry",
    "functions",
    "replay",
    "demo",
    "cli",
];

/// Modules that take values and return values: whole folders, and parts of others.
const PURE: [&str; 24] = [
    "domain/",
    "config/",
    "decide/",
    "reconcile/retry/message",
    "images/group",
    "images/payloads",
    "images/plan",
    "images/push",
    "images/push_work",
    "images/put_body",
    "images/tag_rule",
    "images/webhook",
    "resolve/answer",
    "resolve/show",
    "resolve/verdict",
    "sweep/findings",
    "doctor/checks",
    "doctor/decisions",
    "doctor/diagnosis",
    "doctor/events",
    "doctor/evidence",
    "doctor/rights",
    "doctor/show",
    "doctor/zones",
];

/// The folder of the simulator's package.
const SIMULATOR: &str = "crates/azure-simulator";

/// The largest number of lines of one file, without tests.
const MOST_LINES: usize = 600;

/// One source file.
struct Source {
    /// The path from the root of the repository, such as `src/config/zones.rs`.
    path: String,
    /// The whole text.
    text: String,
    /// The code without comments, contents of literals, and tests, with unchanged line numbers.
    code: String,
    /// All code, including tests.
    code_with_tests: String,
}

impl Source {
    /// The path of the module below `src`, such as `config/zones`.
    fn module(&self) -> Option<&str> {
        self.path.strip_prefix("src/")?.strip_suffix(".rs")
    }

    /// Whether it belongs to one of these modules of the crate, such as `azure/arm`.
    fn is_of(&self, modules: &[&str]) -> bool {
        let Some(path) = self.module() else { return false };
        modules.iter().any(|module| {
            path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Whether it only takes values and returns values.
    fn is_pure(&self) -> bool {
        let Some(path) = self.module() else { return false };
        PURE.iter().any(|module| match path.strip_prefix(module) {
            Some(rest) => module.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
            None => false,
        })
    }

    fn is_in_simulator(&self) -> bool {
        self.path.starts_with(SIMULATOR)
    }

    fn is_in_crate(&self) -> bool {
        self.path.starts_with("src/")
    }
}

/// Every source file of the crate and of the binary, by path.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(sources);

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![];
    for folder in ["src", "crates/azure-simulator/src", "tests/it", "tests/model"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    let sources: Vec<_> = files.iter().map(|file| source(root, file)).collect();
    assert!(sources.len() > 50, "the sources are found");
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn source(root: &Path, file: &Path) -> Source {
    let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(file).unwrap();
    let code_with_tests = code_of(&text);
    // The folder or file of a test module, or the test module at the end of a file.
    let is_test = ["/tests/", "/tests.rs", "/testing.rs"].iter().any(|part| path.contains(part));
    let code = if is_test && (path.starts_with("src/") || path.starts_with(SIMULATOR)) {
        String::new()
    } else {
        let foot = code_with_tests.find("#[cfg(test)]\nmod tests {").unwrap_or(code_with_tests.len());
        code_with_tests[..foot].to_owned()
    };
    Source { path, text, code, code_with_tests }
}

/// Replaces comments and the contents of literals with blanks. Line numbers do not change.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = blank_length(&code, rest);
        if length == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().filter(|letter| *letter == '\n'));
            if next != '/' {
                code.push_str("\"\"");
            }
            rest = &rest[length..];
        }
    }
    code
}

/// The length of the comment or literal that starts here; 0 if there is none.
fn blank_length(before: &str, rest: &str) -> usize {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at);
    let is_in_word = before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    if rest.starts_with("//") {
        return until("\n", 0);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    if !is_in_word && rest.starts_with('r') {
        let hashes = rest[1..].chars().take_while(|letter| *letter == '#').count();
        if rest[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            return until(&end, 2 + hashes) + end.len();
        }
    }
    // A character literal, but not a lifetime or a label.
    let is_character = rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'');
    if rest.starts_with('\'') && is_character { quoted(rest, '\'') } else { 0 }
}

/// The length of a literal that starts here, including both quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Whether a text occurs, but not as a part of a longer word.
fn names(line: &str, text: &str) -> bool {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(text).any(|(at, _)| {
        let starts = text.starts_with(is_word);
        let ends = text.ends_with(|letter: char| letter.is_alphanumeric());
        !(starts && line[..at].ends_with(is_word) || ends && line[at + text.len()..].starts_with(is_word))
    })
}

/// Checks that `broken` finds no line in the code of these files.
fn check(is_bound: impl Fn(&Source) -> bool, broken: impl Fn(&Source, &str) -> bool) {
    let mut violations = String::new();
    let mut files = 0;
    for source in SOURCES.iter().filter(|source| is_bound(source)) {
        files += 1;
        for (number, line) in (1..).zip(source.code.lines()) {
            if broken(source, line) {
                writeln!(violations, "{}:{number}: {}", source.path, line.trim()).unwrap();
            }
        }
    }
    assert!(files > 0, "a rule that binds no file holds nothing");
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn comments_and_literals_are_not_checked() {
    for (text, expected) in [
        ("let a = 1; // async\nlet b;", "let a = 1; \nlet b;"),
        ("say(\"async // \\\" x\"); async", "say(\"\"); async"),
        ("r#\"a \" async\"# + r\"b\" + xr", "\"\" + \"\" + xr"),
        ("'a: loop { '\\'' '\"' '/' } // \"", "'a: loop { \"\" \"\" \"\" } "),
        ("fn of<'a>(b: &'a str) {}", "fn of<'a>(b: &'a str) {}"),
        ("\"two\nlines\" x", "\n\"\" x"),
    ] {
        assert_eq!(code_of(text), expected);
    }
    assert!(names("use crate::arm::Kind;", "arm") && names("(arm)", "arm"));
    assert!(!names("alarm armed", "arm"));
    assert!(names("azure_core1::Error", "azure_") && names("x.put_a(", ".put_"));
}

#[test]
fn only_the_clients_of_azure_name_its_sdk() {
    check(
        |source| {
            source.is_in_crate()
                && !source.is_of(&[
                    "azure/arm",
                    "azure/tokens",
                    "azure/storage_queue",
                    "azure/key_vault",
                    "main",
                ])
        },
        |_, line| (names(line, "azure_") && !names(line, "azure_simulator")) || names(line, "typespec"),
    );
}

#[test]
fn only_decide_makes_changes() {
    let says_what_a_type_is = |line: &str| names(line, "struct Edit") || names(line, "impl");
    check(
        |source| source.is_in_crate() && !source.is_of(&["decide"]),
        |_, line| {
            (names(line, "Edit {") || names(line, "Edit::<") || names(line, "after: Some"))
                && !says_what_a_type_is(line)
        },
    );
}

#[test]
fn only_decide_knows_policy_and_ownership() {
    check(
        // The doctor checks the rights for a policy, and the command line has a policy of its own.
        |source| source.is_in_crate() && !source.is_of(&["decide", "config", "doctor", "cli"]),
        |_, line| {
            let is_redirect = names(line, "redirect::Policy::");
            (names(line, "Policy::") && !is_redirect) || names(line, "Ownership::")
        },
    );
}

#[test]
fn the_driver_fits_on_a_screen() {
    let driver = SOURCES.iter().find(|source| source.path == "src/reconcile/driver.rs").unwrap();
    let lines = driver.code.lines().skip_while(|line| !line.starts_with("pub async fn drive("));
    let length = lines.take_while(|line| *line != "}").count();
    assert!((10..=60).contains(&length), "{length}");
}

#[test]
fn only_the_driver_writes() {
    check(
        // Messages of the retry queue are no records.
        |source| source.is_in_crate() && !source.is_of(&["reconcile/driver", "azure"]),
        |source, line| {
            // Scenarios and the story of the replay edit the simulated zones like a person.
            let is_person = source.is_of(&["replay"]) && line.contains("azure.");
            !is_person && [".put_", ".delete_"].iter().any(|text| names(line, text))
        },
    );
}

#[test]
fn the_drift_tracker_and_the_doctor_have_no_write_access() {
    check(
        |source| source.is_of(&["drift", "doctor"]),
        |_, line| ["Writer", "ReadWrite"].iter().any(|text| names(line, text)),
    );
}

#[test]
fn only_the_edges_know_serde() {
    // The body of a PUT is an edited answer of Azure.
    let edges = ["azure/arm", "domain/event", "functions/envelope", "config", "images/put_body"];
    check(
        |source| source.is_in_crate() && !source.is_of(&edges),
        |_, line| ["serde::", "Serialize", "Deserialize"].iter().any(|text| names(line, text)),
    );
}

#[test]
fn the_simulator_does_not_depend_on_aci_dns() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(SIMULATOR).join("Cargo.toml"));
    let manifest = manifest.unwrap();
    assert!(manifest.contains("[dependencies]"));
    let lines: Vec<_> = manifest.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!lines.iter().any(|line| line.contains("aci-dns") || line.contains("../..")), "{manifest}");
}

#[test]
fn only_replay_the_demo_and_the_command_line_know_the_simulator() {
    check(
        |source| source.is_in_crate() && !source.is_of(&["replay", "demo", "cli", "main"]),
        |_, line| names(line, "azure_simulator"),
    );
}

#[test]
fn no_file_is_too_long() {
    let files = SOURCES.iter().filter(|source| source.is_in_crate() || source.is_in_simulator());
    let lengths = files.map(|source| (&source.path, source.code.lines().count()));
    let long: Vec<_> = lengths.filter(|(_, lines)| *lines > MOST_LINES).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn every_file_describes_its_purpose() {
    let silent = SOURCES.iter().filter(|source| !source.text.starts_with("//! "));
    let silent: Vec<_> = silent.map(|source| &source.path).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn lib_rs_describes_every_module() {
    let map = SOURCES.iter().find(|source| source.path == "src/lib.rs").unwrap();
    let modules = map.code.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let is_named = |module: &str| {
        map.text.lines().any(|line| line.starts_with("//! | ") && line.contains(&format!("[`{module}`]")))
    };
    let unnamed: Vec<_> = modules.filter(|module| !is_named(module)).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}

/// Rules for tests, too.
fn check_everywhere(texts: &[&str]) {
    let mut violations = String::new();
    for source in &*SOURCES {
        for (number, line) in (1..).zip(source.code_with_tests.lines()) {
            if texts.iter().any(|text| names(line, text)) {
                writeln!(violations, "{}:{number}: {}", source.path, line.trim()).unwrap();
            }
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn a_lint_is_expected_with_a_reason_and_never_allowed() {
    check_everywhere(&["#[allow(", "#![allow("]);
}

#[test]
fn there_is_no_todo() {
    check_everywhere(&["todo!", "unimplemented!"]);
    let notes = ["TODO", "FIXME", "XXX"];
    for source in SOURCES.iter().filter(|source| source.is_in_crate()) {
        for (number, line) in (1..).zip(source.text.lines()) {
            let is_note = line.contains("//") && notes.iter().any(|note| names(line, note));
            assert!(!is_note, "{}:{number}: {}", source.path, line.trim());
        }
    }
}

#[test]
fn no_test_is_ignored() {
    check_everywhere(&["#[ignore"]);
}

/// The name of the type that a line of code defines, if the type is not a member of a trait.
fn defined_type(line: &str) -> Option<&str> {
    let is_member = line.starts_with(' ') && line.trim_start().starts_with("type ");
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub") || *word == "async");
    let is_definition = matches!(words.next()?, "struct" | "enum" | "trait" | "type");
    let name = words.next()?;
    let end = name.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(name.len());
    (is_definition && !is_member).then(|| &name[..end])
}

#[test]
fn each_type_has_a_name_of_its_own() {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in SOURCES.iter().filter(|source| source.is_in_crate()) {
        for name in source.code.lines().filter_map(defined_type) {
            places.entry(name).or_default().push(&source.path);
        }
    }
    assert!(places.len() > 300, "the types are found: {}", places.len());
    places.retain(|_, paths| paths.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}
