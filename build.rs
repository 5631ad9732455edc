//! Tells the program of which commit and for which target it was built, for `aci-dns --version`.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=ACI_DNS_COMMIT");
    let target = env::var("TARGET").unwrap_or_default();
    // A development build does not follow the commits: it would be compiled again after each of them.
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = env::var("ACI_DNS_COMMIT").ok().or_else(|| if is_release { head() } else { None });
    // Identical functions, such as instances of one generic function, are linked once. The linker of this target is
    // LLD, which knows the option.
    if is_release && target == "x86_64-unknown-linux-gnu" && env::var_os("RUSTC_LINKER").is_none() {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    }
    println!("cargo:rustc-env=ACI_DNS_BUILD={}, {target}", commit.as_deref().unwrap_or("unknown commit"));
}

/// The commit of the checkout; nothing where the sources come from an archive.
fn head() -> Option<String> {
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists());
    if let Some(log) = log {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned())
}
