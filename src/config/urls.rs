//! Checks of URLs that receive tokens.

use url::{Host, Url};

use super::{BrokenRule, Cloud};

/// Whether a URL leads to this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        None => false,
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
    }
}

/// The scheme and the host of a URL that may receive a token.
fn check_host(url: &Url) -> Result<(), &'static str> {
    if !url.has_host() {
        return Err("it must be a URL with a host");
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(url) => {}
        "http" => return Err("http is accepted only for a loopback address; use https"),
        _ => return Err("its scheme must be https"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not contain a user name or password");
    }
    Ok(())
}

/// Parses an endpoint: scheme, host and port only, because paths are appended to it.
pub(super) fn endpoint(given: &str) -> Result<Url, BrokenRule> {
    let refused = |rule| BrokenRule::Endpoint { given: given.to_owned(), rule };
    let url = Url::parse(given).map_err(|_| refused("it must be a URL such as https://host/"))?;
    check_host(&url).map_err(refused)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(refused("it must not have a path, query or fragment"));
    }
    Ok(url)
}

/// Parses the URL of a key vault: `https://NAME<suffix of the cloud>/`, or any endpoint on loopback. Tokens go there.
pub(super) fn vault(given: &str, cloud: Cloud) -> Result<Url, BrokenRule> {
    let refused = |rule| BrokenRule::Vault { given: given.to_owned(), rule };
    let url = endpoint(given).map_err(|broken| match broken {
        BrokenRule::Endpoint { rule, .. } => refused(rule.to_owned()),
        broken => broken,
    })?;
    let suffix = cloud.vault_suffix();
    let name = url.host_str().and_then(|host| host.strip_suffix(suffix));
    let is_vault = name.is_some_and(|name| !name.is_empty() && !name.contains('.')) && url.port().is_none();
    if is_vault || is_loopback(&url) {
        return Ok(url);
    }
    Err(refused(format!("it must be a URL such as https://NAME{suffix}/")))
}

/// Parses the URL of a storage queue.
///
/// It receives a token of the managed identity, so the host must belong to the cloud. On loopback, for an
/// emulator, the account is the first segment of the path, and the query may contain a signature.
///
/// Source: <https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata>
pub(super) fn queue(given: &str, cloud: Cloud) -> Result<Url, BrokenRule> {
    let displayed = given.split(['?', '#']).next().unwrap_or_default();
    let refused = |rule: String| BrokenRule::Queue { given: displayed.to_owned(), rule };
    let example = "it must be a URL such as https://ACCOUNT.queue.core.windows.net/aci-dns-retry";
    let url = Url::parse(given).map_err(|_| refused(example.to_owned()))?;
    check_host(&url).map_err(|rule| refused(rule.to_owned()))?;
    let is_emulator = is_loopback(&url);
    let host = url.host_str().unwrap_or_default();
    let suffixes = cloud.queue_suffixes();
    let has_account = |suffix: &&str| host.strip_suffix(suffix).is_some_and(|account| !account.is_empty());
    if !is_emulator && !suffixes.iter().any(has_account) {
        return Err(refused(format!("its host must end in {}", suffixes.join(" or "))));
    }
    if url.fragment().is_some() || (url.query().is_some() && !is_emulator) {
        return Err(refused(
            "it must not have a query or fragment: the managed identity authenticates, not a signature in the URL"
                .to_owned(),
        ));
    }
    let path: Vec<&str> = url.path().trim_matches('/').split('/').collect();
    let is_name = match path.as_slice() {
        [name] => is_queue_name(name),
        [_account, name] => is_emulator && is_queue_name(name),
        _ => false,
    };
    if !is_name {
        return Err(refused(
            "its path must be the name of a queue: 3 to 63 lower-case letters, digits and single inner hyphens"
                .to_owned(),
        ));
    }
    Ok(url)
}

fn is_queue_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}
