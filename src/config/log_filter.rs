//! The log filter.

use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};

/// The filter, such as `info` or `aci_dns=debug`; `info` by default.
///
/// Source:
/// <https://docs.rs/tracing-subscriber/0.3/tracing_subscriber/filter/targets/struct.Targets.html#filtering-with-targets>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    fn read(text: &str) -> Result<Targets, ParseError> {
        let directives: Vec<_> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if directives.is_empty() {
            return Ok(Targets::new().with_default(LevelFilter::INFO));
        }
        directives.join(",").parse()
    }

    /// The filter for `tracing`.
    pub(crate) fn targets(&self) -> Targets {
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
