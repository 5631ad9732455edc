//! Keys of the map that match no known container group and no known resource group, most often because of a
//! spelling mistake.

use std::{collections::BTreeSet, fmt};

use crate::{config::variables, domain::resource_id::fold};

/// Keys of the map that match nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnmatchedKeys {
    /// Each key, and the most similar name of a resource group, if there is one.
    pub keys: Vec<(String, Option<String>)>,
    /// Whether the map has no other key.
    pub is_whole_map: bool,
}

impl UnmatchedKeys {
    /// Adds the most similar resource group to each key.
    #[must_use]
    pub fn new(keys: Vec<String>, is_whole_map: bool, names: &BTreeSet<String>) -> Self {
        let with_nearest = |key: String| {
            let nearest = nearest(&key, names);
            (key, nearest)
        };
        Self { keys: keys.into_iter().map(with_nearest).collect(), is_whole_map }
    }

    /// Whether the map matches nothing at all.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.is_whole_map && !self.keys.is_empty()
    }

    /// A sentence for each key.
    pub fn messages(&self) -> impl Iterator<Item = String> {
        self.keys.iter().map(|(key, nearest)| {
            let hint = nearest.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
            format!("the key {key:?} of {} matches no container group{hint}", variables::ZONES)
        })
    }
}

impl fmt::Display for UnmatchedKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences: Vec<String> = self.messages().collect();
        formatter.write_str(&sentences.join("; "))
    }
}

/// The name with the fewest edits to the key, if these are no more than a third of it.
fn nearest(key: &str, names: &BTreeSet<String>) -> Option<String> {
    let key = key.rsplit('/').next().unwrap_or(key);
    let key = key.strip_suffix('*').unwrap_or(key);
    let distances = names.iter().map(|name| (strsim::levenshtein(key, &fold(name)), name));
    let (distance, name) = distances.min()?;
    (distance * 3 <= key.chars().count()).then(|| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_name_is_suggested() {
        let names = ["rg-spoke1", "RG-Spoke2", "rg-hub"].map(str::to_owned).into();
        let keys = ["rg-spok1", "00000000-0000-0000-0000-000000000000/rg-spoke22", "rg-hubs*", "prod"];
        let unmatched = UnmatchedKeys::new(keys.map(str::to_owned).to_vec(), true, &names);
        let nearest: Vec<_> = unmatched.keys.iter().map(|(_, nearest)| nearest.as_deref()).collect();
        assert_eq!(nearest, [Some("rg-spoke1"), Some("RG-Spoke2"), Some("rg-hub"), None]);
        assert!(unmatched.is_error());
        assert_eq!(
            unmatched.messages().next().unwrap(),
            "the key \"rg-spok1\" of ACI_DNS_ZONES matches no container group; did you mean \"rg-spoke1\"?"
        );
    }
}
