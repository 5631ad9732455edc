//! Checks of the pages (README and docs): samples are the output of the program, tables are complete,
//! commands exist, links and anchors have targets, and no page is too long.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use aci_dns::{
    config::{Settings, VARIABLES},
    decide::report::Outcome,
};

const README: &str = "README.md";
const CONFIGURATION: &str = "docs/configuration.md";
const OBSERVE: &str = "docs/observe.md";
const OPERATE: &str = "docs/operate.md";
const SIMULATOR: &str = "docs/simulator.md";
const TROUBLESHOOTING: &str = "docs/troubleshooting.md";

/// The longest README, in lines.
const README_LINES: usize = 200;

/// The longest page, in words outside of tables and blocks: ten minutes of reading.
const PAGE_WORDS: usize = 2100;

/// Words that the pages do not use. Plain ones exist.
const AVOIDED: [&str; 7] = ["whoever", "nobody", "owed", "mend", "mends", "mended", "himself"];

/// Files that a page asks its reader to write.
const EXAMPLES: [&str; 1] = ["infra/parameters/mine.bicepparam"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

/// Every page, by its path from the root of the repository.
fn pages() -> Vec<String> {
    let mut pages = vec![];
    for folder in ["", "docs/", "examples/"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                pages.push(format!("{folder}{name}"));
            }
        }
    }
    pages.sort();
    assert!(pages.iter().any(|page| page == README) && pages.len() > 10, "{pages:?}");
    pages
}

/// The blocks of this language in a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("\n```{language}\n");
    let text = read(page);
    let blocks = text.split(&opening).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned());
    blocks.collect()
}

fn block(page: &str, language: &str, start: &str) -> String {
    let blocks = blocks(page, language).into_iter();
    blocks.into_iter().find(|block| block.starts_with(start)).unwrap_or_else(|| panic!("{page}: {start}"))
}

/// The lines of a page outside of its blocks.
fn prose(page: &str) -> Vec<String> {
    let mut is_block = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        is_block ^= is_fence;
        !is_fence && !is_block
    };
    read(page).lines().filter(is_prose).map(str::to_owned).collect()
}

/// A line without the text in backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of the links in a page.
fn links(page: &str) -> Vec<String> {
    // A link may break across lines.
    let text = prose(page).iter().map(|line| without_code(line)).collect::<Vec<_>>().join("\n");
    text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()).collect()
}

/// The anchors of a page, as GitHub makes them from its headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for line in prose(page) {
        let heading = line.trim_start_matches('#');
        let level = line.len() - heading.len();
        if !(1..=6).contains(&level) || !heading.starts_with(' ') {
            continue;
        }
        let kept =
            heading.trim().chars().filter(|letter| letter.is_alphanumeric() || "-_ ".contains(*letter));
        let slug = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let count = counts.entry(slug.clone()).or_default();
        anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    anchors
}

/// Why a link of a page has no target.
fn broken(page: &str, link: &str) -> Option<String> {
    if link.starts_with("http://") || link.starts_with("https://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target =
        if file.is_empty() { PathBuf::from(page) } else { Path::new(page).parent().unwrap().join(file) };
    if !root().join(&target).exists() {
        return Some(format!("{page}: {link}: there is no such file"));
    }
    let anchor = anchor?;
    let is_page = target.extension().is_some_and(|extension| extension == "md");
    let is_there = is_page && anchors(target.to_str().unwrap()).contains(anchor);
    (!is_there).then(|| format!("{page}: {link}: there is no such heading"))
}

fn run(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aci-dns"));
    let output = command.args(arguments).current_dir(root()).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Checks that each part of a sample occurs in the output, in this order; `...` stands for omitted text.
/// Returns the rest.
#[track_caller]
fn check_sample<'a>(sample: &str, output: &'a str) -> &'a str {
    sample.split("\n...\n").fold(output, |rest, part| {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("{part}\nis not in\n{rest}"));
        after
    })
}

#[test]
fn the_sample_output_is_that_of_the_replay() {
    let output = run(&["replay", "tests/events"]);
    assert_eq!(check_sample(&block(README, "text", "01-create.json"), &output), "\n");
}

#[test]
fn the_samples_of_commands_are_their_output() {
    for page in [README, "docs/quickstart.md", "docs/rollout.md"] {
        check_sample(&block(page, "text", "rg-spoke1/web: "), include_str!("../operate/sync-asks.snap"));
    }
    check_sample(&block(OPERATE, "text", "GROUP "), include_str!("../operate/drift.snap"));
    let (checks, rest) = block(OPERATE, "text", "zones").split_once("\n...\n").map(own).unwrap();
    let healthy = include_str!("../doctor/healthy.snap");
    check_sample(&checks, healthy);
    check_sample(&rest, healthy);
}

fn own((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[test]
fn the_two_commands_to_try_stand_together() {
    assert!(
        blocks(README, "sh").contains(&"cargo run --release -- replay tests/events\ncargo test".to_owned())
    );
}

#[test]
fn the_scenario_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("move.txt");
    fs::write(&path, block(SIMULATOR, "text", "zone ")).unwrap();
    let output = run(&["replay", "--scenario", path.to_str().unwrap()]);
    assert!(output.contains("no_change"), "{output}");
}

#[test]
fn every_setting_is_in_the_table_and_the_example_can_be_read() {
    let asked = RefCell::new(vec![]);
    let settings = Settings::from_variables(|name| {
        asked.borrow_mut().push(name.to_owned());
        (name == "ACI_DNS_ZONES").then(|| block(CONFIGURATION, "json", "{"))
    });
    settings.unwrap();
    let text = read(CONFIGURATION);
    let known = VARIABLES.iter().map(|variable| variable.name.to_owned());
    for name in asked.into_inner().into_iter().chain(known) {
        let is_row = |line: &str| line.starts_with("| `") && line.contains(&format!("`{name}`"));
        assert!(text.lines().any(is_row), "{name}");
    }
}

#[test]
fn every_outcome_is_in_the_table_with_its_status() {
    let text = read(OBSERVE);
    for outcome in [
        Outcome::Converged,
        Outcome::Changed,
        Outcome::Planned,
        Outcome::Reported,
        Outcome::Ignored,
        Outcome::Unmanaged,
        Outcome::Malformed,
        Outcome::Conflict,
        Outcome::Failed,
        Outcome::Unavailable,
    ] {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{outcome}` |"))).unwrap();
        assert!(row.ends_with(&format!("| {} |", outcome.status())), "{row}");
    }
}

#[test]
fn every_kind_of_drift_of_the_help_is_in_the_table() {
    let help = run(&["drift", "--help"]);
    let kinds = help.split("Kinds of drift:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let is_kind = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let kinds: Vec<_> =
        kinds.lines().filter(is_kind).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(kinds.len() > 9, "{kinds:?}");
    let text = read(OPERATE);
    for kind in kinds {
        assert!(text.lines().any(|line| line.starts_with(&format!("| `{kind}` |"))), "{kind}");
    }
}

#[test]
fn every_control_request_of_the_simulator_is_in_the_table() {
    let text = read(SIMULATOR);
    let source = include_str!("../../crates/azure-simulator/src/control_requests.txt");
    let rows: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let request = row.split('`').next().unwrap();
        assert!(text.contains(&format!("| `{request}` |")), "{request}");
    }
}

#[test]
fn every_command_of_a_scenario_is_in_the_table() {
    let text = read(SIMULATOR);
    let source = include_str!("../../src/replay/scenario.rs");
    let rows: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("//! ")).collect();
    let rows: Vec<_> = rows.into_iter().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        assert!(text.lines().any(|line| line == row), "{row}");
    }
}

#[test]
fn every_command_and_option_that_a_page_shows_exists() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut seen = 0;
    for page in pages() {
        for block in blocks(&page, "sh") {
            let joined = block.replace("\\\n", " ");
            for line in joined.lines().filter_map(|line| line.strip_prefix("aci-dns ")) {
                let command = line.split_whitespace().next().unwrap().to_owned();
                let help = helps.entry(command.clone()).or_insert_with(|| run(&[&command, "--help"]));
                // The options of a command that is substituted are its own.
                let own = line.split("$(").next().unwrap();
                for option in own.split_whitespace().filter(|word| word.starts_with("--")) {
                    let is_known = help.split_whitespace().any(|word| word == option);
                    assert!(is_known, "{page}: {command} has no option {option}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn every_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    let broken: Vec<_> = pages()
        .iter()
        .flat_map(|page| links(page).into_iter().filter_map(|link| broken(page, &link)).collect::<Vec<_>>())
        .collect();
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn every_file_that_a_page_names_in_backticks_exists() {
    let folders = ["src/", "tests/", "infra/", "benches/", "docs/", "examples/", ".ci/", ".github/", "fuzz/"];
    let mut seen = 0;
    for page in pages() {
        for line in prose(&page) {
            let spans = line.split('`').skip(1).step_by(2).map(|span| span.split(' ').next().unwrap());
            let is_path = |span: &&str| {
                folders.iter().any(|folder| span.starts_with(folder)) && !span.contains(['{', '*', '<'])
            };
            for path in spans.filter(is_path).filter(|path| !EXAMPLES.contains(path)) {
                assert!(root().join(path).exists(), "{page}: {path}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn every_error_in_troubleshooting_is_in_the_source() {
    let mut sources = vec![];
    collect(&root().join("src"), &mut sources);
    let sources: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut seen = 0;
    let mut is_table = false;
    for line in prose(TROUBLESHOOTING) {
        is_table = line.starts_with("| the error says") || is_table && line.starts_with('|');
        let quoted = line.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2);
        for part in quoted.filter(|_| is_table).flat_map(|quote| quote.split("...")) {
            // A number or a preposition between two values is too short to search for.
            let part = part.trim();
            if part.len() > 4 {
                assert!(sources.contains(part), "{part}");
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "{seen}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

#[test]
fn a_link_without_a_file_or_heading_is_found() {
    assert_eq!(broken(README, "docs/design.md#glossary"), None);
    assert_eq!(broken("docs/design.md", "../README.md#try-it"), None);
    assert!(broken(README, "docs/designs.md").is_some());
    assert!(broken(README, "docs/design.md#words").is_some());
    assert!(broken(README, "#glossary").is_some());
}

#[test]
fn every_page_of_docs_is_linked_from_the_readme() {
    let links: BTreeSet<_> = links(README).into_iter().collect();
    for page in pages().into_iter().filter(|page| page != README) {
        assert!(links.contains(&page), "{page}");
    }
}

#[test]
fn the_readme_is_short_and_no_page_takes_more_than_ten_minutes() {
    let lines = read(README).lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines");
    for page in pages() {
        let is_word = |word: &&str| word.contains(char::is_alphanumeric);
        let text = prose(&page).into_iter().filter(|line| !line.starts_with('|'));
        let words: usize = text.map(|line| line.split_whitespace().filter(is_word).count()).sum();
        assert!(words <= PAGE_WORDS, "{page} has {words} words");
    }
}

#[test]
fn the_glossary_has_at_most_25_terms() {
    let text = read("docs/design.md");
    let glossary = text.split("## Glossary").nth(1).unwrap();
    let terms = glossary.lines().filter(|line| line.starts_with("| ")).count() - 1;
    assert!((10..=25).contains(&terms), "{terms}");
}

#[test]
fn the_pages_use_plain_words() {
    for page in pages() {
        for line in read(&page).lines() {
            let lower = line.to_lowercase();
            let found =
                lower.split(|letter: char| !letter.is_alphanumeric()).find(|word| AVOIDED.contains(word));
            assert_eq!(found, None, "{page}: {line}");
        }
    }
}
