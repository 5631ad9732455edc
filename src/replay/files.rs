//! Event files: one JSON document after the other, each an event, an array of events, or an invocation of the Functions
//! host; folders of them in the order of their names; `-` is stdin.
//!
//! A file that cannot be read is skipped and reported.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde_json::{Deserializer, Value};

use crate::domain::text::{self, EncodingError};

/// An event and its place.
#[derive(Clone, Debug)]
pub struct FoundEvent {
    /// The file, and the index of the event if the file contains several.
    pub place: String,
    /// The event as written there.
    pub event: Value,
}

/// Why events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file or folder cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not text.
    #[error("{} cannot be read", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: EncodingError,
    },
    /// The file is not a sequence of JSON documents.
    #[error("{} is not JSON", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// The cause, with line and column.
        source: serde_json::Error,
    },
    /// None of the files contains an event.
    #[error("no event in {0}")]
    Empty(String),
}

/// The events of files.
#[derive(Debug, Default)]
pub struct EventFiles {
    /// Every event, in order.
    pub found: Vec<FoundEvent>,
    /// The files that cannot be read.
    pub unreadable: Vec<FileError>,
}

/// Reads all events of the files and folders, in order. Fails if none of them is readable.
pub fn read(paths: &[PathBuf]) -> Result<EventFiles, FileError> {
    let mut events = EventFiles::default();
    for path in paths {
        let files = files(path).unwrap_or_else(|error| {
            events.unreadable.push(error);
            vec![]
        });
        for file in files {
            match read_file(&file) {
                Ok(found) => events.found.extend(found),
                Err(error) => events.unreadable.push(error),
            }
        }
    }
    if !events.found.is_empty() {
        return Ok(events);
    }
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    Err(events.unreadable.into_iter().next().unwrap_or_else(|| FileError::Empty(paths.join(", "))))
}

/// The path that means stdin.
const STDIN: &str = "-";

/// The file itself, or the `.json`, `.jsonl` and `.ndjson` files of a folder.
fn files(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    if path.as_os_str() == STDIN {
        return Ok(vec![path.to_owned()]);
    }
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if ["json", "jsonl", "ndjson"].contains(&extension) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Vec<FoundEvent>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let bytes = if path.as_os_str() == STDIN {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    let text = text::decode(&bytes.map_err(unreadable)?);
    let text = text.map_err(|source| FileError::NotText { path: path.to_owned(), source })?;
    let mut events = Vec::new();
    for document in Deserializer::from_str(&text).into_iter() {
        let not_json = |source| FileError::NotJson { path: path.to_owned(), source };
        match document.map_err(not_json)? {
            Value::Array(several) => events.extend(several),
            event => events.push(event),
        }
    }
    let name = path.file_name().map_or_else(|| STDIN.to_owned(), |name| name.to_string_lossy().into_owned());
    let is_only = events.len() == 1;
    let place = |index: usize| if is_only { name.clone() } else { format!("{name}[{index}]") };
    let events = events.into_iter().enumerate();
    Ok(events.map(|(index, event)| FoundEvent { place: place(index), event: unwrapped(event) }).collect())
}

/// The event in an invocation of the Functions host, as its log shows it. Any other value is returned unchanged.
fn unwrapped(mut event: Value) -> Value {
    let inner = event.pointer_mut("/Data/eventGridEvent").map(Value::take);
    inner.unwrap_or(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.json");
        fs::write(&file, bytes).unwrap();
        let events = read(&[folder.path().to_owned()]).unwrap();
        let places: Vec<_> = events.found.iter().map(|found| found.place.as_str()).collect();
        assert_eq!(places, expected, "{events:?}");
        assert!(events.unreadable.is_empty());
    }

    #[test]
    fn a_file_is_a_sequence_of_json_documents_in_utf_8_or_utf_16() {
        for (text, expected) in [
            ("{}", &["events.json"][..]),
            ("[{}]", &["events.json"]),
            ("[{}, {}]", &["events.json[0]", "events.json[1]"]),
            ("{}\n\n[{}]\n{}\n", &["events.json[0]", "events.json[1]", "events.json[2]"]),
            ("[{}][{}]", &["events.json[0]", "events.json[1]"]),
            ("[\n  {}\n]\n[\n  {}\n]\n", &["events.json[0]", "events.json[1]"]),
        ] {
            let marked = format!("\u{feff}{text}");
            check(text.as_bytes(), expected);
            check(marked.as_bytes(), expected);
            check(&marked.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(), expected);
            check(&marked.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn an_invocation_of_the_functions_host_is_the_event_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("invocation.json");
        fs::write(&file, r#"{"Data": {"eventGridEvent": {"id": "1"}}, "Metadata": {}}"#).unwrap();
        let events = read(&[file]).unwrap();
        assert_eq!(events.found[0].event, serde_json::json!({"id": "1"}));
    }

    #[test]
    fn what_is_wrong_is_said_and_does_not_stop_the_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let paths = [
            file("a.jsonl", b"{}\nnonsense\n"),
            file("b.json", b"{\"caf\xe9\": 1}"),
            folder.path().join("none.json"),
            file("c.json", b"{}"),
        ];
        let events = read(&paths).unwrap();
        assert_eq!(events.found.len(), 1);
        let said = |error: &FileError| {
            let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("{error}: {source}").replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(
            events.unreadable.iter().map(said).collect::<Vec<_>>(),
            [
                "a.jsonl is not JSON: expected ident at line 2 column 2",
                "b.json cannot be read: its encoding is unknown; save it as UTF-8, or as UTF-16 with a \
                 byte-order mark",
                "none.json cannot be read: No such file or directory (os error 2)",
            ]
        );
    }

    #[test]
    fn no_event_at_all_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(&[folder.path().to_owned()]), Err(FileError::Empty(_))));
        assert!(matches!(read(&[folder.path().join("none")]), Err(FileError::Unreadable { .. })));
    }
}
