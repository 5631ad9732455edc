//! The graph of the crate's modules: it has no cycle, and no pure module reaches an impure one.
//!
//! One module imports another if a `use` declaration or a path that starts with `crate`, `super` or `self`
//! names it. A re-exported name is resolved to its origin. Comments, literals and tests are ignored.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
};

use super::{ORDER, SIMULATOR, SOURCES, Source, names};

/// The path of a module below the crate: `["config", "zones"]`.
type ModulePath = Vec<String>;

/// The names that a pure module does not use: clients, clocks, the environment, I/O, logging, and `async`.
const IMPURE: [&str; 20] = [
    "async",
    "await",
    "axum",
    "azure_",
    "env::",
    "fs::",
    "hyper",
    "Instant",
    "io::",
    "process::",
    "reqwest",
    "std::env",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "thread::",
    "tokio",
    "tower",
    "tracing::",
    "UdpSocket",
];

/// One module that has a file.
#[derive(Default)]
struct Module {
    file: String,
    code: String,
    /// The modules that it declares.
    children: BTreeSet<String>,
    /// Every path in it, from the root of the crate.
    paths: BTreeSet<ModulePath>,
    /// The paths of its imported names.
    names: BTreeMap<String, ModulePath>,
    /// The modules that it imports, each with a path to it.
    imports: BTreeMap<ModulePath, ModulePath>,
}

/// The modules of a library, by path; the root has the empty one.
struct Graph(BTreeMap<ModulePath, Module>);

impl Graph {
    /// The library with the root `src/lib.rs`, from its files and their code.
    fn of<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let files: BTreeMap<&str, &str> = files.collect();
        let mut modules = BTreeMap::new();
        let mut declared = VecDeque::from([vec![]]);
        while let Some(path) = declared.pop_front() {
            let base = format!("src/{}", path.join("/"));
            let candidates = ["src/lib.rs".to_owned(), format!("{base}.rs"), format!("{base}/mod.rs")];
            let mut candidates = candidates.iter().skip(usize::from(!path.is_empty()));
            // A file that is missing contains only tests.
            let Some(file) = candidates.find(|file| files.contains_key(file.as_str())) else { continue };
            let module = read(&path, file, files[file.as_str()]);
            declared.extend(module.children.iter().map(|child| below(&path, child)));
            modules.insert(path, module);
        }
        let mut graph = Self(modules);
        let imports: Vec<_> = graph.0.values().map(|module| graph.imports_of(module)).collect();
        for (module, imports) in graph.0.values_mut().zip(imports) {
            module.imports = imports;
        }
        graph
    }

    fn imports_of(&self, module: &Module) -> BTreeMap<ModulePath, ModulePath> {
        let mut imports = BTreeMap::new();
        for path in &module.paths {
            let mut targets = BTreeSet::new();
            self.resolve(path, 8, &mut targets);
            for target in targets {
                // If there are several, the most direct path.
                let is_plain = path.starts_with(&target);
                let named = imports.entry(target).or_insert_with(|| path.clone());
                if is_plain {
                    named.clone_from(path);
                }
            }
        }
        imports
    }

    /// The modules on a path: the last one, and those that re-export it.
    fn resolve(&self, path: &[String], re_exports: usize, targets: &mut BTreeSet<ModulePath>) {
        let mut current = vec![];
        for (at, segment) in path.iter().enumerate() {
            let module = &self.0[&current];
            let child = below(&current, segment);
            if self.0.contains_key(&child) {
                current = child;
                continue;
            }
            if let Some(origin) = module.names.get(segment).filter(|_| re_exports > 0) {
                let origin = [origin, &path[at + 1..]].concat();
                self.resolve(&origin, re_exports - 1, targets);
            }
            break;
        }
        targets.insert(current);
    }

    /// A cycle between the modules that a module declares, as the text of its edges.
    fn cycle_below(&self, parent: &[String]) -> Option<String> {
        let child_of = |path: &[String]| path.strip_prefix(parent)?.first().cloned();
        let mut edges: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (path, module) in &self.0 {
            let Some(from) = child_of(path) else { continue };
            for (target, named) in &module.imports {
                let Some(to) = child_of(target).filter(|to| *to != from) else { continue };
                let text = format!("{from} -> {to}: {} names {}", module.file, named.join("::"));
                edges.entry(from.clone()).or_default().entry(to).or_insert(text);
            }
        }
        // A module without a remaining import is in no cycle.
        loop {
            let left: BTreeSet<String> = edges.keys().cloned().collect();
            for targets in edges.values_mut() {
                targets.retain(|to, _| left.contains(to));
            }
            edges.retain(|_, targets| !targets.is_empty());
            if edges.len() == left.len() {
                break;
            }
        }
        // Each remaining module imports another one, so a walk returns to a module that it has visited.
        let mut walk = vec![edges.keys().next()?.clone()];
        loop {
            let next = edges[walk.last()?].keys().next()?.clone();
            if let Some(start) = walk.iter().position(|one| *one == next) {
                let ends = walk[start + 1..].iter().chain([&next]);
                let cycle = walk[start..].iter().zip(ends).map(|(from, to)| edges[from][to].as_str());
                return Some(cycle.collect::<Vec<_>>().join("\n"));
            }
            walk.push(next);
        }
    }

    /// Every cycle: between the modules of the crate, and between those inside one of them.
    fn cycles(&self) -> Vec<String> {
        let parents = self.0.iter().filter(|(_, module)| !module.children.is_empty());
        parents.filter_map(|(path, _)| self.cycle_below(path)).collect()
    }

    /// The shortest chain of imports from this module to one whose code has this property.
    fn chain(&self, from: &ModulePath, is_bad: impl Fn(&Module) -> bool) -> Option<Vec<&Module>> {
        let mut queue = VecDeque::from([vec![from.clone()]]);
        let mut seen = BTreeSet::from([from.clone()]);
        while let Some(chain) = queue.pop_front() {
            let path = chain.last()?;
            let module = &self.0[path];
            if is_bad(module) {
                return Some(chain.iter().map(|path| &self.0[path]).collect());
            }
            // A module's methods may be in any file below it.
            let children = module.children.iter().map(|child| below(path, child));
            for next in module.imports.keys().cloned().chain(children) {
                if self.0.contains_key(&next) && seen.insert(next.clone()) {
                    queue.push_back([&chain[..], &[next]].concat());
                }
            }
        }
        None
    }
}

fn below(path: &[String], child: &str) -> ModulePath {
    [path, &[child.to_owned()]].concat()
}

/// Words, `::`, and other single characters.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = vec![];
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = if is_word(first) {
            rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Reads the declarations and names of a file.
fn read(path: &ModulePath, file: &str, code: &str) -> Module {
    let mut module = Module { file: file.to_owned(), code: code.to_owned(), ..Module::default() };
    let tokens = tokens(code);
    // The current module in the file, and the depth in braces of each module inside the file.
    let (mut here, mut depth, mut inside) = (path.clone(), 0, vec![]);
    let mut relative = vec![];
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at..] {
            ["mod", name, ";", ..] => _ = module.children.insert(name.to_owned()),
            ["mod", name, "{", ..] => {
                here.push(name.to_owned());
                inside.push(depth);
            }
            ["{", ..] => depth += 1,
            ["}", ..] => {
                depth -= 1;
                if inside.last() == Some(&depth) {
                    inside.pop();
                    here.pop();
                }
            }
            // A visibility is not an import.
            ["pub", "(", ..] => at += tokens[at..].iter().position(|token| *token == ")").unwrap(),
            ["use", next, ..] if next != "<" => {
                let mut imported = vec![];
                at += 1;
                use_tree(&tokens, &mut at, &[], &mut imported);
                relative.extend(imported.into_iter().map(|(path, name)| (here.clone(), path, name)));
            }
            ["crate" | "super" | "self", "::", ..] if at == 0 || tokens[at - 1] != "::" => {
                let mut segments = vec![tokens[at].to_owned()];
                while let ["::", next, ..] = tokens[at + 1..]
                    && next.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
                {
                    segments.push(next.to_owned());
                    at += 2;
                }
                relative.push((here.clone(), segments, None));
            }
            _ => {}
        }
        at += 1;
    }
    for (here, segments, name) in relative {
        let Some(absolute) = absolute(&here, &segments, &module.children) else { continue };
        if let Some(name) = name.filter(|_| here == *path) {
            module.names.insert(name, absolute.clone());
        }
        module.paths.insert(absolute);
    }
    module
}

/// Reads a tree of imports, from `use` to its end: each path, and the name of its import.
fn use_tree(
    tokens: &[&str],
    at: &mut usize,
    prefix: &[String],
    imported: &mut Vec<(ModulePath, Option<String>)>,
) {
    let mut path = prefix.to_vec();
    loop {
        match tokens[*at] {
            "{" => {
                *at += 1;
                while tokens[*at] != "}" {
                    use_tree(tokens, at, &path, imported);
                    if tokens[*at] == "," {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "*" => {
                *at += 1;
                return imported.push((path, None));
            }
            "::" => {}
            // `use a::{self}` names `a`.
            "self" if !path.is_empty() => {}
            segment => path.push(segment.to_owned()),
        }
        *at += 1;
        match tokens[*at..] {
            ["as", name, ..] => {
                *at += 2;
                return imported.push((path, Some(name.to_owned())));
            }
            ["," | "}" | ";", ..] => {
                let name = path.last().cloned();
                return imported.push((path, name));
            }
            _ => {}
        }
    }
}

/// A path from the root of the crate; `None` if it leads out of the crate.
fn absolute(here: &[String], segments: &[String], children: &BTreeSet<String>) -> Option<ModulePath> {
    let mut base = match segments.first()?.as_str() {
        "crate" => vec![],
        "self" | "super" => here.to_vec(),
        child if children.contains(child) => return Some([here, segments].concat()),
        _ => return None,
    };
    let steps = segments.iter().take_while(|segment| ["crate", "self", "super"].contains(&segment.as_str()));
    let ups = steps.clone().filter(|step| *step == "super").count();
    base.truncate(base.len() - ups);
    base.extend_from_slice(&segments[steps.count()..]);
    Some(base)
}

fn crate_graph() -> Graph {
    let sources = SOURCES.iter().filter(|source| source.is_in_crate());
    let graph = Graph::of(sources.map(|source| (source.path.as_str(), source.code.as_str())));
    assert!(graph.0.len() > 60, "the modules are found");
    graph
}

fn simulator_graph() -> Graph {
    let sources = SOURCES.iter().filter(|source| source.is_in_simulator());
    let path = |source: &'static Source| source.path.strip_prefix(SIMULATOR)?.strip_prefix('/');
    let graph = Graph::of(sources.filter_map(|source| Some((path(source)?, source.code.as_str()))));
    assert!(graph.0.len() > 30, "the modules are found");
    graph
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    for graph in [crate_graph(), simulator_graph()] {
        let cycles = graph.cycles();
        assert!(cycles.is_empty(), "\n{}", cycles.join("\n\n"));
    }
}

#[test]
fn no_folder_imports_from_a_higher_one() {
    let graph = crate_graph();
    let rank = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut violations = String::new();
    for (path, module) in &graph.0 {
        let Some(from) = path.first() else { continue };
        let Some(height) = rank(from) else {
            writeln!(violations, "{} is not in ORDER", module.file).unwrap();
            continue;
        };
        for (target, named) in &module.imports {
            if target.first().and_then(|to| rank(to)).is_some_and(|to| to > height) {
                writeln!(violations, "{} names {}", module.file, named.join("::")).unwrap();
            }
        }
    }
    assert!(violations.is_empty(), "\n{violations}");
}

#[test]
fn pure_modules_import_only_pure_modules() {
    let graph = crate_graph();
    let named = |module: &Module| {
        let lines = module.code.lines();
        lines.flat_map(|line| IMPURE.into_iter().filter(move |text| names(line, text))).next()
    };
    let is_pure = |file: &str| SOURCES.iter().any(|source| source.path == file && Source::is_pure(source));
    let mut violations = String::new();
    let mut pure = 0;
    for (path, module) in graph.0.iter().filter(|(_, module)| is_pure(&module.file)) {
        pure += 1;
        if let Some(chain) = graph.chain(path, |module| named(module).is_some()) {
            let files: Vec<_> = chain.iter().map(|module| module.file.as_str()).collect();
            let impure = chain.last().and_then(|module| named(module)).unwrap_or_default();
            writeln!(violations, "{} has {impure} ({})", files.join(" -> "), module.file).unwrap();
        }
    }
    assert!(pure > 15, "the pure modules are found");
    assert!(violations.is_empty(), "\n{violations}");
}

/// The cycles of a sample library.
fn cycles(files: &[(&str, &str)]) -> Vec<String> {
    Graph::of(files.iter().copied()).cycles()
}

#[test]
fn a_cycle_is_found_and_reported() {
    let library = ("src/lib.rs", "pub mod a; pub mod b; pub mod c;");
    let reported = cycles(&[
        library,
        ("src/a.rs", "use crate::b::{self, Thing as Other}; fn f() {}"),
        ("src/b.rs", "fn f() { crate::c::f() }"),
        ("src/c.rs", "mod d;"),
        ("src/c/d.rs", "use super::super::a::Thing;"),
    ]);
    let expected =
        "a -> b: src/a.rs names b::Thing\nb -> c: src/b.rs names c::f\nc -> a: src/c/d.rs names a::Thing";
    assert_eq!(reported, [expected]);

    // Between files of one folder, through a name that the folder's root imports.
    let reported = cycles(&[
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "mod b; mod c; pub use c::Thing; use self::b::f; struct Own;"),
        ("src/a/b.rs", "use super::{Own, Thing};"),
        ("src/a/c.rs", "use super::f;"),
    ]);
    assert_eq!(reported, ["b -> c: src/a/b.rs names a::Thing\nc -> b: src/a/c.rs names a::f"]);
}

#[test]
fn other_names_make_no_cycle() {
    let reported = cycles(&[
        ("src/lib.rs", "mod a; mod b;"),
        ("src/a.rs", "mod c; mod d; use crate::b::f; use std::fmt; struct Own;"),
        ("src/a/c.rs", "use super::Own; pub(in crate::a) fn g() -> impl Fn() + use<> { self::h() }"),
        ("src/a/d.rs", "use super::c::g; mod inner { use super::g; }"),
        ("src/b.rs", "use a::b; pub(in crate::a) fn f(a: other::crate_a) {}"),
    ]);
    assert_eq!(reported, Vec::<String>::new());
}

#[test]
fn a_chain_of_imports_is_followed_to_its_end() {
    let graph = Graph::of(
        [
            ("src/lib.rs", "mod a; mod b; mod c;"),
            ("src/a.rs", "use crate::b::f;"),
            ("src/b.rs", "mod d;"),
            ("src/b/d.rs", "use crate::c;"),
            ("src/c.rs", "tokio"),
        ]
        .into_iter(),
    );
    let chain = |from: &str| {
        let chain = graph.chain(&vec![from.to_owned()], |module| module.code == "tokio");
        chain.map(|chain| chain.iter().map(|module| module.file.as_str()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(chain("a").as_deref(), Some("src/a.rs src/b.rs src/b/d.rs src/c.rs"));
    assert_eq!(chain("c").as_deref(), Some("src/c.rs"));
}
