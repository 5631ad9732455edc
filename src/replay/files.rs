//! Event files: arrays, objects, or one event per line; folders of them in the order of their names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// An event and where it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The file, and the place in it where the file holds several.
    pub place: String,
    /// The event as it stands there.
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
        /// What the system says.
        source: io::Error,
    },
    /// The file holds neither JSON nor lines of JSON.
    #[error("{}, line {line}: neither a JSON document nor one JSON document per line", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// The first line that cannot be read, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// There is no event in any of the files.
    #[error("there is no event in {0}")]
    Empty(String),
}

/// Reads every event of the files and folders, in order.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Found>, FileError> {
    let mut found = Vec::new();
    for path in paths {
        for file in files(path)? {
            found.extend(read_file(&file)?);
        }
    }
    if found.is_empty() {
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(FileError::Empty(paths.join(", ")));
    }
    Ok(found)
}

/// A file itself; of a folder, its `.json`, `.jsonl` and `.ndjson` files.
fn files(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
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

fn read_file(path: &Path) -> Result<Vec<Found>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let documents = match serde_json::from_str::<Value>(&text) {
        Ok(Value::Array(events)) => events,
        Ok(event) => vec![event],
        Err(_) => lines(path, &text)?,
    };
    let is_only = documents.len() == 1;
    let place = |index: usize| if is_only { name.clone() } else { format!("{name}[{index}]") };
    Ok(documents.into_iter().enumerate().map(|(index, event)| Found { place: place(index), event }).collect())
}

fn lines(path: &Path, text: &str) -> Result<Vec<Value>, FileError> {
    let mut events = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let document = serde_json::from_str(line).map_err(|source| FileError::NotJson {
            path: path.to_owned(),
            line: index + 1,
            source,
        })?;
        match document {
            Value::Array(several) => events.extend(several),
            event => events.push(event),
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.json");
        fs::write(&file, text).unwrap();
        let found = read(&[folder.path().to_owned()]);
        let places: Vec<_> = found.iter().flatten().map(|found| found.place.as_str()).collect();
        assert_eq!(places, expected, "{found:?}");
    }

    #[test]
    fn a_file_is_an_object_an_array_or_lines() {
        check("{}", &["events.json"]);
        check("[{}]", &["events.json"]);
        check("[{}, {}]", &["events.json[0]", "events.json[1]"]);
        check("{}\n\n[{}]\n{}\n", &["events.json[0]", "events.json[1]", "events.json[2]"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.jsonl");
        fs::write(&file, "{}\nnonsense\n").unwrap();
        let error = read(&[file]).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("events.jsonl, line 2: neither a JSON document nor one JSON document per line"),
            "{error}"
        );
    }

    #[test]
    fn no_event_at_all_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(&[folder.path().to_owned()]), Err(FileError::Empty(_))));
        assert!(matches!(read(&[folder.path().join("none")]), Err(FileError::Unreadable { .. })));
    }
}
