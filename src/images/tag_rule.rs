//! The tag `aci-dns-image` of a container group: which pushes update it, and how.
//!
//! Versions are `SemVer` with an optional leading `v`. A partial one (`1.3`) is none: it usually names whatever the
//! latest patch is. A range without a pre-release matches none, as the crate `semver` has it.

use std::str::FromStr;

use semver::{Version, VersionReq};

/// The name of the tag.
pub const IMAGE_TAG: &str = "aci-dns-image";

/// What a push does to a container group that uses its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagRule {
    /// A push of the group's own tag restarts it.
    Restart,
    /// A higher version in the range replaces the tag.
    Semver(VersionReq),
    /// Another tag that matches the pattern replaces the tag.
    Glob(String),
}

/// A value of the tag that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// An unknown word.
    #[error("the tag {IMAGE_TAG} is {0:?}, which is none of restart, semver:<range> and glob:<pattern>")]
    Word(String),
    /// A range that cannot be read.
    #[error("the tag {IMAGE_TAG} is {value:?}, whose range cannot be read: {reason}")]
    Range {
        /// The value of the tag.
        value: String,
        /// The cause.
        reason: String,
    },
    /// A pattern that matches no tag.
    #[error("the tag {IMAGE_TAG} is {0:?}, whose pattern is empty")]
    Pattern(String),
}

impl FromStr for TagRule {
    type Err = BadRule;

    fn from_str(value: &str) -> Result<Self, BadRule> {
        let text = value.trim();
        if text.eq_ignore_ascii_case("restart") {
            return Ok(Self::Restart);
        }
        match text.split_once(':') {
            Some((word, range)) if word.trim().eq_ignore_ascii_case("semver") => {
                let read = VersionReq::parse(range.trim());
                let refuse = |error: semver::Error| BadRule::Range {
                    value: value.to_owned(),
                    reason: error.to_string(),
                };
                read.map(Self::Semver).map_err(refuse)
            }
            Some((word, pattern)) if word.trim().eq_ignore_ascii_case("glob") => {
                let pattern = pattern.trim();
                if pattern.is_empty() {
                    return Err(BadRule::Pattern(value.to_owned()));
                }
                Ok(Self::Glob(pattern.to_owned()))
            }
            _ => Err(BadRule::Word(value.to_owned())),
        }
    }
}

/// The version that a tag names; `None` for a partial version and for any other tag.
#[must_use]
pub fn version(tag: &str) -> Option<Version> {
    let digits = tag.strip_prefix('v').or_else(|| tag.strip_prefix('V')).unwrap_or(tag);
    Version::parse(digits).ok()
}

/// Whether a pattern matches a whole tag: `*` stands for any characters, `?` for one.
#[must_use]
pub fn glob_matches(pattern: &str, tag: &str) -> bool {
    let (pattern, tag) = (pattern.as_bytes(), tag.as_bytes());
    let (mut at, mut in_tag) = (0, 0);
    // Where to go on if the characters after the last star do not match: only the last one has to be widened.
    let mut star: Option<(usize, usize)> = None;
    while in_tag < tag.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_tag));
                at += 1;
            }
            Some(byte) if *byte == b'?' || tag.get(in_tag) == Some(byte) => {
                at += 1;
                in_tag += 1;
            }
            _ => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                at = after + 1;
                in_tag = from + 1;
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_one_of_three_words() {
        assert_eq!(" Restart ".parse(), Ok(TagRule::Restart));
        assert_eq!("glob:build-*".parse(), Ok(TagRule::Glob("build-*".to_owned())));
        assert!(matches!("semver:>=1.2, <2".parse(), Ok(TagRule::Semver(_))));
        for (value, expected) in [
            ("", "none of restart"),
            ("true", "none of restart"),
            ("digest", "none of restart"),
            ("restart:", "none of restart"),
            ("semver:", "range cannot be read"),
            ("semver:latest", "range cannot be read"),
            ("glob:", "pattern is empty"),
        ] {
            let error = value.parse::<TagRule>().unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(&format!("{value:?}")), "{error}");
        }
    }

    #[test]
    fn a_version_may_begin_with_v_and_a_partial_one_is_none() {
        for tag in ["1.3.0", "v1.3.0", "V1.3.0", "1.3.0-rc.1"] {
            assert!(version(tag).is_some(), "{tag}");
        }
        for tag in ["1.3", "1", "v1", "latest", "", "v", "vv1.0.0", "1.3.0.1", "01.3.0", "release-1.3.0"] {
            assert_eq!(version(tag), None, "{tag}");
        }
    }

    #[test]
    fn a_glob_matches_the_whole_tag() {
        for (pattern, tag, expected) in [
            ("build-*", "build-7", true),
            ("build-*", "build-", true),
            ("build-*", "xbuild-7", false),
            ("*", "", true),
            ("*-amd64", "v1-amd64-amd64", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("v?", "v1", true),
            ("v?", "v", false),
            ("v?", "v12", false),
            ("v1", "V1", false),
            ("v1.0", "v1x0", false),
            ("**a", "aaa", true),
        ] {
            assert_eq!(glob_matches(pattern, tag), expected, "{pattern} {tag}");
        }
    }
}
