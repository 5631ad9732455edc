//! The corpus that a fuzzer begins with: the seeds of the tests, written anew at each start.

use std::{fs, path::Path};

/// Writes the seeds of a target to where cargo-fuzz looks for them.
pub(crate) fn write(target: &str, seeds: Vec<Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("the corpus can be written");
    for (index, seed) in seeds.into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{index:02}")), seed).expect("the corpus can be written");
    }
}
