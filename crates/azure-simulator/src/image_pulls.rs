//! What containers pull.
//!
//! A group that is deployed, started or restarted asks its registries again, and pulls what each tag names at that
//! moment (<https://learn.microsoft.com/rest/api/container-instances/container-groups/restart>: "If container image has
//! updates, new image will be downloaded"). A container that is restarted after its end pulls the same digest again:
//! the recordings show that the service replaces a tag by a digest when it deploys.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::container_groups::ContainerGroup;
use super::images::{ImageName, Pull};
use super::messages::field;
use super::{Azure, World};

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
            self.world().images.remove(&name);
        }
    }

    /// The pushed images, and the digest of each.
    pub(super) fn pushed_images(&self) -> BTreeMap<String, String> {
        self.world().images.pushed()
    }
}
