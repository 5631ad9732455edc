//! The log lines of this test binary, by content.

use std::sync::{Mutex, OnceLock};

use aci_dns::telemetry;
use serde_json::Value;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Collects log lines from now on.
pub(crate) fn collect() {
    static COLLECTS: OnceLock<()> = OnceLock::new();
    COLLECTS.get_or_init(|| {
        let sink = |line: &str| LINES.lock().unwrap().push(line.to_owned());
        let subscriber = telemetry::subscriber(&"debug".parse().unwrap(), sink);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// The lines of one invocation that report an event.
pub(crate) fn of_invocation(id: &str) -> Vec<Value> {
    let lines = LINES.lock().unwrap();
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["invocation.id"] == id && !line["outcome"].is_null()).collect()
}

/// The lines that contain a text.
pub(crate) fn that_hold(text: &str) -> Vec<String> {
    LINES.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}
