//! Container images: their names, which digest each tag names in its registry, and how events name a pull.
//!
//! A registry has no REST API here, and no credentials are checked: an image is there unless [`super::Azure::remove_image`]
//! removed it.

use std::collections::BTreeMap;
use std::time::Duration;

/// The pulling events of containers in answers. All forms are recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullingEvents {
    /// They name a digest (`test_container_create_with_vnet-017` of Azure/azure-cli).
    #[default]
    WithDigest,
    /// They name the image as the group does (`test_container_git_repo_volume_mount-003`).
    WithTag,
    /// There are none (`test_container_create_with_confidential_sku-004`).
    Absent,
}

/// The name of an image, as registries compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageName {
    pub(super) host: String,
    pub(super) repository: String,
    /// Empty for an image that is named by its digest.
    pub(super) tag: String,
    pub(super) digest: Option<String>,
}

impl ImageName {
    /// Reads a name as Docker does: `nginx` is `docker.io/library/nginx:latest`.
    pub(super) fn parse(image: &str) -> Option<Self> {
        let (name, digest) = match image.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (image, None),
        };
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => ("docker.io", name),
        };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, tag),
            None => (path, if digest.is_some() { "" } else { "latest" }),
        };
        let host = match host.to_ascii_lowercase().as_str() {
            "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
            host => host.to_owned(),
        };
        let repository = repository.to_ascii_lowercase();
        let is_complete = repository.contains('/') || host != "docker.io";
        let repository = if is_complete { repository } else { format!("library/{repository}") };
        let is_empty = repository.is_empty() || repository.ends_with('/');
        let has_blank = image.contains(char::is_whitespace);
        (!is_empty && !has_blank).then_some(Self { host, repository, tag: tag.to_owned(), digest })
    }

    fn key(&self) -> String {
        format!("{}/{}:{}", self.host, self.repository, self.tag)
    }
}

/// What the registries have.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// By host, repository and tag. `None` for an image that was removed.
    digests: BTreeMap<String, Option<String>>,
}

impl Images {
    pub(super) fn store(&mut self, name: &ImageName, digest: &str) {
        self.digests.insert(name.key(), Some(digest.to_owned()));
    }

    /// Forgets an image: no group can pull it.
    pub(super) fn remove(&mut self, name: &ImageName) {
        self.digests.insert(name.key(), None);
    }

    /// The pushed images, and the digest of each.
    pub(super) fn pushed(&self) -> BTreeMap<String, String> {
        let pushed = self.digests.iter();
        pushed.filter_map(|(name, digest)| Some((name.clone(), digest.clone()?))).collect()
    }

    /// The digest of an image: one that was never pushed has a digest of its own.
    pub(super) fn digest(&self, image: &str) -> String {
        let name = ImageName::parse(image);
        if let Some(digest) = name.as_ref().and_then(|name| name.digest.clone()) {
            return digest;
        }
        let pushed = name.and_then(|name| self.digests.get(&name.key()).cloned().flatten());
        pushed.unwrap_or_else(|| digest_of(image))
    }

    /// Whether a group can pull this image.
    pub(super) fn is_accessible(&self, image: &str) -> bool {
        ImageName::parse(image).is_some_and(|name| self.digests.get(&name.key()) != Some(&None))
    }
}

/// A digest that only this text has.
pub(super) fn digest_of(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold("sha256:".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// The pulls of one digest by one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pull {
    /// As the group names it.
    pub(super) image: String,
    pub(super) digest: String,
    pub(super) first: Duration,
    pub(super) last: Duration,
    pub(super) count: u64,
}

impl Pull {
    /// The image as events name it; `None` if there are no events.
    pub(super) fn named(&self, form: PullingEvents) -> Option<String> {
        match form {
            PullingEvents::Absent => None,
            PullingEvents::WithTag => Some(self.image.clone()),
            PullingEvents::WithDigest => {
                let name = self.image.split('@').next().unwrap_or_default();
                let last = name.rfind('/').map_or(0, |slash| slash + 1);
                let tag = name.get(last..).and_then(|name| name.find(':'));
                let name = tag.and_then(|colon| name.get(..last + colon)).unwrap_or(name);
                Some(format!("{name}@{}", self.digest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_docker_reads_it() {
        let check = |image: &str, expected: &str| {
            let name = ImageName::parse(image).map(|name| {
                format!("{} {} {} {}", name.host, name.repository, name.tag, name.digest.unwrap_or_default())
            });
            assert_eq!(name.as_deref().map(str::trim_end), Some(expected), "{image}");
        };
        check("nginx", "docker.io library/nginx latest");
        check("nginx:1.27", "docker.io library/nginx 1.27");
        check("contoso/app", "docker.io contoso/app latest");
        check("registry-1.docker.io/contoso/app:v1", "docker.io contoso/app v1");
        check("Demo.azurecr.io/Team/App:V1", "demo.azurecr.io team/app V1");
        check("localhost:5000/app:v1", "localhost:5000 app v1");
        check("registry.contoso.internal:5000/app", "registry.contoso.internal:5000 app latest");
        check("demo.azurecr.io/app@sha256:ab", "demo.azurecr.io app  sha256:ab");
        check("demo.azurecr.io/app:v1@sha256:ab", "demo.azurecr.io app v1 sha256:ab");
        assert_eq!(ImageName::parse("demo.azurecr.io/"), None);
        assert_eq!(ImageName::parse("demo.azurecr.io/my app"), None);
    }

    #[test]
    fn an_event_names_the_digest_in_place_of_the_tag() {
        let check = |image: &str, expected: &str| {
            let time = Duration::ZERO;
            let (image, digest) = (image.to_owned(), "sha256:ab".to_owned());
            let pull = Pull { image, digest, first: time, last: time, count: 1 };
            assert_eq!(pull.named(PullingEvents::WithDigest).as_deref(), Some(expected));
        };
        check("nginx", "nginx@sha256:ab");
        check("localhost:5000/app:v1", "localhost:5000/app@sha256:ab");
        check("localhost:5000/app", "localhost:5000/app@sha256:ab");
        check("demo.azurecr.io/app@sha256:ab", "demo.azurecr.io/app@sha256:ab");
    }
}
