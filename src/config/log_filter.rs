//! The log filter.

use std::str::FromStr;

use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, ParseError},
};

/// The filter, such as `info` or `aci_dns=debug`; `info` by default.
///
/// Source:
/// <https://docs.rs/tracing-subscriber/0.3/tracing_subscriber/filter/struct.EnvFilter.html#directives>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    fn read(text: &str) -> Result<EnvFilter, ParseError> {
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(text)
    }

    /// The filter for `tracing`.
    pub(crate) fn env_filter(&self) -> EnvFilter {
        Self::read(&self.0).expect("the text was parsed before")
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text).map(|_| Self(text.to_owned()))
    }
}
