//! Names and prefixes of names: the map uses them for resource groups, container groups and host names.

use std::fmt;

use crate::domain::resource_id::fold;

/// A name, or a prefix with a `*` at its end. Compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern {
    /// Lower case, without the `*`.
    text: String,
    is_prefix: bool,
}

impl NamePattern {
    /// A name, or a prefix with a `*` at its end. The text is not checked.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = fold(text);
        match text.strip_suffix('*') {
            Some(prefix) => Self { text: prefix.to_owned(), is_prefix: true },
            None => Self { text, is_prefix: false },
        }
    }

    /// The text without the `*`, in lower case.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it ends in a `*`.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        self.is_prefix
    }

    /// Whether it matches a name that is in lower case.
    pub(super) fn matches_folded(&self, name: &str) -> bool {
        if self.is_prefix { name.starts_with(&self.text) } else { name == self.text }
    }

    /// Whether it matches a name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.matches_folded(&fold(name))
    }

    /// A sample of the matching names, so that a rule for names can be checked: a prefix need not be a name
    /// itself.
    pub(super) fn sample(&self) -> String {
        format!("{}{}", self.text, if self.is_prefix { "a" } else { "" })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }
}

/// Any of several patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NamePatterns(Vec<NamePattern>);

impl NamePatterns {
    pub(super) fn new(patterns: Vec<NamePattern>) -> Self {
        Self(patterns)
    }

    /// Every name.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![NamePattern::new("*")])
    }

    /// Whether one of them matches a name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name = fold(name);
        self.0.iter().any(|pattern| pattern.matches_folded(&name))
    }

    /// The patterns, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &NamePattern> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_a_prefix_without_regard_to_case() {
        for (pattern, name, expected) in [
            ("api", "api", true),
            ("API", "Api", true),
            ("api", "api-1", false),
            ("api-*", "api-1", true),
            ("Api-*", "aPI-", true),
            ("api-*", "api", false),
            ("*", "", true),
            ("*", "anything", true),
        ] {
            assert_eq!(NamePattern::new(pattern).matches(name), expected, "{pattern} {name}");
            let patterns = NamePatterns::new(vec![NamePattern::new("other"), NamePattern::new(pattern)]);
            assert_eq!(patterns.matches(name), expected, "{pattern} {name}");
        }
        assert!(!NamePatterns::default().matches("web"));
        assert!(NamePatterns::all().matches("web"));
        assert_eq!(NamePattern::new("Api-*").to_string(), "api-*");
    }
}
