//! Container images: which digest each tag names in its registry, and what containers have pulled.
//!
//! A group that is deployed, started or restarted asks its registries anew, and pulls what each tag names at that
//! moment (<https://learn.microsoft.com/rest/api/container-instances/container-groups/restart>: "If container image has
//! updates, new image will be downloaded"). A container that is restarted after its end pulls the same digest again:
//! the recordings show that the service replaces a tag by a digest when it deploys.
//!
//! A registry has no REST API here, and no credentials are checked: an image is there unless [`Azure::remove_image`]
//! removed it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::container_groups::ContainerGroup;
use super::messages::field;
use super::{Azure, World};

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

    /// The digest of an image: one that was never pushed has a digest of its own.
    fn digest(&self, image: &str) -> String {
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

/// An image that a container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningImage {
    /// Name of the container or init container.
    pub container: String,
    /// The image as the group names it.
    pub image: String,
    /// What the tag named when the container was last started.
    pub digest: String,
}

impl ContainerGroup {
    /// Name and image of each container and init container.
    pub(super) fn images(&self) -> Vec<(String, String)> {
        let of = |kind: &str| field(&self.definition, kind).as_array().cloned().unwrap_or_default();
        let named = |container: &Value| {
            let image = field(field(container, "properties"), "image").as_str()?;
            Some((field(container, "name").as_str()?.to_owned(), image.to_owned()))
        };
        of("initContainers").iter().chain(&of("containers")).filter_map(named).collect()
    }

    /// Counts the pulls of containers that are restarted after their end.
    pub(super) fn pull_again(&mut self, now: Duration) {
        let containers = field(&self.definition, "containers").as_array().cloned().unwrap_or_default();
        for name in containers.iter().filter_map(|container| field(container, "name").as_str()) {
            if let Some(pull) = self.pulls.get_mut(name).and_then(|pulls| pulls.last_mut()) {
                pull.count += 1;
                pull.last = now;
            }
        }
    }
}

impl World {
    /// Pulls the images of a group that is started.
    pub(super) fn pull_images(&mut self, id: &str, now: Duration) {
        let Some(group) = self.groups.get_mut(id) else { return };
        for (container, image) in group.images() {
            let digest = self.images.digest(&image);
            let pulls = group.pulls.entry(container).or_default();
            match pulls.iter().position(|pull| pull.digest == digest && pull.image == image) {
                Some(at) => {
                    let mut pull = pulls.remove(at);
                    pull.count += 1;
                    pull.last = now;
                    pulls.push(pull);
                }
                None => pulls.push(Pull { image, digest, first: now, last: now, count: 1 }),
            }
        }
    }
}

impl Azure {
    /// The images that the containers of a group run, init containers first.
    #[must_use]
    pub fn running_images(&self, id: &str) -> Vec<RunningImage> {
        let world = self.world();
        let Some(group) = world.groups.get(&id.to_ascii_lowercase()) else { return Vec::new() };
        let running = |(container, image): (String, String)| {
            let digest = group.pulls.get(&container)?.last()?.digest.clone();
            Some(RunningImage { container, image, digest })
        };
        group.images().into_iter().filter_map(running).collect()
    }

    /// Removes an image from its registry. A PUT that names it is refused until it is pushed again.
    pub fn remove_image(&self, image: &str) {
        if let Some(name) = ImageName::parse(image) {
            self.world().images.digests.insert(name.key(), None);
        }
    }

    /// The pushed images, and the digest of each.
    pub(super) fn pushed_images(&self) -> BTreeMap<String, String> {
        let world = self.world();
        let pushed = world.images.digests.iter();
        pushed.filter_map(|(name, digest)| Some((name.clone(), digest.clone()?))).collect()
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
