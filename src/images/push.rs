//! A push of an image: the repository, the tag, the digest and the time.

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::domain::image::{Repository, is_digest, is_tag};

/// A push of an image to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The id that its sender gave it.
    pub id: Option<String>,
    /// The repository.
    pub repository: Repository,
    /// The pushed tag; `None` for a push of a digest alone.
    pub tag: Option<String>,
    /// The digest of what was pushed.
    pub digest: Option<String>,
    /// When it was pushed: what its sender says, but no later than its arrival.
    pub time: OffsetDateTime,
}

/// The member of a stored push that is missing or has the wrong form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the member {0:?} of the push is missing or has the wrong form")]
pub struct BadMember(&'static str);

impl Push {
    /// The push in a message of the retry queue.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id, "registry": self.repository.host(), "repository": self.repository.path(),
            "tag": self.tag, "digest": self.digest, "time": self.time.format(&Rfc3339).ok(),
        })
    }

    /// Reads a push of a message. A time that is missing or in the future counts as now.
    pub fn of_json(value: &Value, now: OffsetDateTime) -> Result<Self, BadMember> {
        let text = |name: &'static str| match value.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(BadMember(name)),
        };
        let host = text("registry")?.ok_or(BadMember("registry"))?;
        let path = text("repository")?.ok_or(BadMember("repository"))?;
        let repository = Repository::new(host, path).ok_or(BadMember("repository"))?;
        let is_right = |text: Option<&str>, is_right: fn(&str) -> bool| text.is_none_or(is_right);
        let (tag, digest) = (text("tag")?, text("digest")?);
        if !is_right(tag, is_tag) {
            return Err(BadMember("tag"));
        }
        if !is_right(digest, is_digest) {
            return Err(BadMember("digest"));
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (id, tag, digest) = (owned(text("id")?), owned(tag), owned(digest));
        Ok(Self { id, repository, tag, digest, time: bounded(text("time")?.and_then(moment), now) })
    }

    /// The pushed image as people write it.
    #[must_use]
    pub fn image(&self) -> String {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => format!("{}:{tag}", self.repository),
            (None, Some(digest)) => format!("{}@{digest}", self.repository),
            (None, None) => self.repository.to_string(),
        }
    }
}

/// A time as RFC 3339 has it.
pub(super) fn moment(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text.trim(), &Rfc3339).ok()
}

/// The time of a push. A clock that runs ahead must not make a push newer than every later start of a group.
pub(super) fn bounded(given: Option<OffsetDateTime>, arrival: OffsetDateTime) -> OffsetDateTime {
    given.map_or(arrival, |given| given.min(arrival))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T12:00:00Z";

    fn push() -> Value {
        json!({
            "id": "p1", "registry": "demo.azurecr.io", "repository": "app", "tag": "v1",
            "digest": format!("sha256:{}", "ab".repeat(32)), "time": "2026-01-01T11:00:00.5Z",
        })
    }

    #[test]
    fn a_stored_push_is_read_as_it_was() {
        let read = Push::of_json(&push(), moment(NOW).unwrap()).unwrap();
        assert_eq!(read.to_json(), push());
        assert_eq!(Push::of_json(&read.to_json(), moment(NOW).unwrap()), Ok(read));
    }

    #[test]
    fn a_time_that_is_missing_or_in_the_future_counts_as_the_arrival() {
        let now = moment(NOW).unwrap();
        for time in [Value::Null, "2026-01-01T12:00:01Z".into(), "yesterday".into()] {
            let mut given = push();
            given["time"] = time;
            assert_eq!(Push::of_json(&given, now).unwrap().time, now);
        }
    }

    #[test]
    fn a_stored_push_with_a_member_of_the_wrong_form_is_refused() {
        for (name, value) in [
            ("registry", Value::Null),
            ("registry", "a/b".into()),
            ("repository", "../app".into()),
            ("tag", "a b".into()),
            ("tag", 7.into()),
            ("digest", "sha256:1".into()),
        ] {
            let mut given = push();
            given[name] = value;
            assert!(Push::of_json(&given, moment(NOW).unwrap()).is_err(), "{name}");
        }
    }
}
