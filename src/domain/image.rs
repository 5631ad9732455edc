//! References to container images, read as container engines read them and compared as registries compare them.
//!
//! `nginx` is `docker.io/library/nginx:latest`. Docker Hub answers to several host names. A first segment is a host if
//! it has a dot or a colon, or is `localhost`. Host and path compare in lower case, because registries accept no other
//! case and some senders of webhooks keep upper case; tags and digests compare exactly.
//!
//! Source: <https://github.com/distribution/reference/blob/main/normalize.go>

use std::{fmt, str::FromStr};

/// The host under which Docker Hub is compared.
const DOCKER_HUB: &str = "docker.io";

/// The host names of Docker Hub.
const DOCKER_HUB_HOSTS: [&str; 4] =
    [DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// The tag of a reference that has none.
const DEFAULT_TAG: &str = "latest";

/// The longest reference that is read, in characters.
const LONGEST: usize = 512;

/// A text that is not a reference to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reference to an image, such as demo.azurecr.io/app:v1")]
pub struct NotAnImage;

/// A repository: the host of its registry, and its path there. Lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    path: String,
}

impl Repository {
    /// The repository at a path of a registry. `None` if one of them is not valid.
    #[must_use]
    pub fn new(host: &str, path: &str) -> Option<Self> {
        let host = normal_host(host)?;
        let path = path.to_ascii_lowercase();
        if !is_path(&path) {
            return None;
        }
        let path = if host == DOCKER_HUB && !path.contains('/') { format!("library/{path}") } else { path };
        Some(Self { host, path })
    }

    /// The host of the registry, with its port if it has one.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path in the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.host, self.path)
    }
}

impl FromStr for Repository {
    type Err = NotAnImage;

    /// Reads a repository without tag and digest.
    fn from_str(text: &str) -> Result<Self, NotAnImage> {
        let (host, path) = split_host(text);
        Self::new(host, path).ok_or(NotAnImage)
    }
}

/// A reference to an image, as a container or a sender of pushes gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference {
    /// The repository.
    pub repository: Repository,
    /// The tag; `latest` for a reference with neither tag nor digest.
    pub tag: Option<String>,
    /// The digest to which the reference is pinned.
    pub digest: Option<String>,
    /// The text without tag and digest, in its own spelling.
    given: String,
}

impl ImageReference {
    /// The same reference with another tag, in its own spelling.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> String {
        format!("{}:{tag}", self.given)
    }
}

impl FromStr for ImageReference {
    type Err = NotAnImage;

    fn from_str(text: &str) -> Result<Self, NotAnImage> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(NotAnImage);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) if is_digest(digest) => (name, Some(digest.to_owned())),
            Some(_) => return Err(NotAnImage),
            None => (text, None),
        };
        // A colon before the last slash is that of a port.
        let (given, tag) = match name.rsplit_once(':') {
            Some((given, tag)) if !tag.contains('/') => (given, Some(tag)),
            _ => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(NotAnImage);
        }
        let default = digest.is_none().then_some(DEFAULT_TAG);
        Ok(Self {
            repository: given.parse()?,
            tag: tag.or(default).map(str::to_owned),
            digest,
            given: given.to_owned(),
        })
    }
}

/// The registry of a setting: a host, or a host and the first segments of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    host: String,
    /// Empty for every repository of the host.
    prefix: String,
}

impl Registry {
    /// Whether a repository is in it. A prefix ends at a segment: `docker.io/contoso` does not contain
    /// `docker.io/contoso-other/app`.
    #[must_use]
    pub fn contains(&self, repository: &Repository) -> bool {
        let rest = repository.path.strip_prefix(self.prefix.as_str());
        self.host == repository.host
            && rest.is_some_and(|rest| self.prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for Registry {
    type Err = NotAnImage;

    fn from_str(text: &str) -> Result<Self, NotAnImage> {
        let (host, prefix) = text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path)));
        if !is_like_host(host) {
            return Err(NotAnImage);
        }
        let host = normal_host(host).ok_or(NotAnImage)?;
        let prefix = prefix.unwrap_or_default().to_ascii_lowercase();
        if text.contains('/') && !is_path(&prefix) {
            return Err(NotAnImage);
        }
        Ok(Self { host, prefix })
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(formatter, "{}{slash}{}", self.host, self.prefix)
    }
}

/// Whether a text is the digest of a manifest: `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:");
    digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether a text can be a tag.
///
/// Source: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
#[must_use]
pub fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_first = text.bytes().next().is_some_and(is_word);
    is_first && text.len() <= 128 && text.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

/// Host and path of a repository; Docker Hub, if it names no host.
fn split_host(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((host, path)) if is_like_host(host) => (host, path),
        _ => (DOCKER_HUB, text),
    }
}

fn is_like_host(text: &str) -> bool {
    text.contains(['.', ':']) || text.eq_ignore_ascii_case("localhost")
}

fn normal_host(text: &str) -> Option<String> {
    let host = text.to_ascii_lowercase();
    let is_host = !host.is_empty()
        && !host.starts_with(['.', ':', '-'])
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    let host = if DOCKER_HUB_HOSTS.contains(&host.as_str()) { DOCKER_HUB.to_owned() } else { host };
    is_host.then_some(host)
}

/// Whether every segment of a path consists of the characters of the names of repositories.
fn is_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        is_edge(segment.bytes().next())
            && is_edge(segment.bytes().next_back())
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    path.len() < 256 && path.split('/').all(is_segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:213bbc182920ab41e18edc2001e06abcca6735d87782d9cef68abd83941cf0e5";

    fn check(text: &str, repository: &str, tag: Option<&str>, digest: Option<&str>) {
        let image: ImageReference = text.parse().unwrap();
        let read = (image.repository.to_string(), image.tag.as_deref(), image.digest.as_deref());
        assert_eq!(read, (repository.to_owned(), tag, digest), "{text}");
    }

    #[test]
    fn an_image_of_docker_hub_has_a_host_and_a_library() {
        check("nginx", "docker.io/library/nginx", Some("latest"), None);
        check("nginx:1.27", "docker.io/library/nginx", Some("1.27"), None);
        check("contoso/app:v1", "docker.io/contoso/app", Some("v1"), None);
        for host in DOCKER_HUB_HOSTS {
            check(&format!("{host}/nginx:1"), "docker.io/library/nginx", Some("1"), None);
            check(&format!("{host}/library/nginx:1"), "docker.io/library/nginx", Some("1"), None);
        }
    }

    #[test]
    fn a_port_in_the_host_is_no_tag() {
        check("localhost:5000/app", "localhost:5000/app", Some("latest"), None);
        check("localhost:5000/app:v1", "localhost:5000/app", Some("v1"), None);
        check("registry.contoso.com:443/a/b:v1", "registry.contoso.com:443/a/b", Some("v1"), None);
        check("localhost/app:v1", "localhost/app", Some("v1"), None);
    }

    #[test]
    fn host_and_path_compare_in_lower_case_and_tags_exactly() {
        check("Demo.azurecr.io/Team/App:V1", "demo.azurecr.io/team/app", Some("V1"), None);
    }

    #[test]
    fn a_digest_stands_after_an_at_sign_with_or_without_a_tag() {
        check(&format!("demo.azurecr.io/app@{DIGEST}"), "demo.azurecr.io/app", None, Some(DIGEST));
        check(&format!("demo.azurecr.io/app:v1@{DIGEST}"), "demo.azurecr.io/app", Some("v1"), Some(DIGEST));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "/",
            "app:",
            "app@sha256:1",
            "demo.azurecr.io/",
            "demo.azurecr.io/../app",
            "demo.azurecr.io//app",
            "app:v1 ; rm",
            "app:-v1",
            "https://demo.azurecr.io/app:v1",
            "demo.azurecr.io/app?x:v1",
        ] {
            assert_eq!(text.parse::<ImageReference>(), Err(NotAnImage), "{text}");
        }
    }

    #[test]
    fn a_replaced_tag_leaves_the_spelling_of_the_rest() {
        for (image, expected) in [
            ("nginx", "nginx:2"),
            ("Demo.azurecr.io/App:1", "Demo.azurecr.io/App:2"),
            ("localhost:5000/app", "localhost:5000/app:2"),
        ] {
            assert_eq!(image.parse::<ImageReference>().unwrap().with_tag("2"), expected);
        }
    }

    #[test]
    fn a_registry_is_a_host_or_ends_at_a_segment_of_the_path() {
        for (registry, image, expected) in [
            ("demo.azurecr.io", "demo.azurecr.io/team/app", true),
            ("Demo.azurecr.io", "demo.azurecr.io/app", true),
            ("demo.azurecr.io", "demo.azurecr.io:444/app", false),
            ("demo.azurecr.io", "xdemo.azurecr.io/app", false),
            ("docker.io/contoso", "contoso/app", true),
            ("docker.io/contoso", "contoso-other/app", false),
            ("docker.io/contoso/app", "contoso/app", true),
            ("index.docker.io/library", "nginx", true),
            ("localhost:5000", "localhost:5000/app", true),
        ] {
            let registry: Registry = registry.parse().unwrap();
            let image: ImageReference = image.parse().unwrap();
            assert_eq!(registry.contains(&image.repository), expected, "{registry} {}", image.repository);
        }
        for registry in
            ["", "contoso", "demo.azurecr.io/", "*.azurecr.io", "https://demo.azurecr.io", "a.b//c"]
        {
            assert_eq!(registry.parse::<Registry>(), Err(NotAnImage), "{registry}");
        }
    }
}
