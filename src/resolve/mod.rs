//! Queries a DNS server for the A and PTR records of each container group, as a client does, and compares the answers
//! with the group and with the record sets.
//!
//! Record sets can be correct while clients get other answers: from a stale cache, a network that is not linked, another
//! DNS server for the zone, or a cached negative answer. The system's resolver hides TTL and SOA, so the questions are
//! sent to its servers directly ([`client`]). [`verdict`] classifies the answers.
//!
//! This module only reads.

pub mod answer;
pub mod client;
pub mod show;
pub mod verdict;

#[cfg(test)]
mod tests;

use futures::{StreamExt as _, stream};

use self::{
    answer::{QueryType, Question, without_dot},
    client::Client,
    verdict::{AnswerStatus, Authority, Resolution},
};
use crate::sweep::findings::LiveName;

/// How many questions wait for their answers at the same time.
const CONCURRENT_QUERIES: usize = 16;

/// Queries the A and PTR records of each name, and returns the results in the order of the names.
pub async fn check(client: &Client, names: &[LiveName]) -> Vec<Resolution> {
    let questions: Vec<_> = names.iter().flat_map(questions).collect();
    let answers = stream::iter(questions).map(|question| resolve(client, question));
    answers.buffered(CONCURRENT_QUERIES).collect().await
}

/// The questions about one name.
fn questions(name: &LiveName) -> Vec<Question> {
    let group = format!("{}/{}", name.id.resource_group(), name.id.name());
    let forward = Question {
        group: group.clone(),
        name: name.fqdn.to_string(),
        kind: QueryType::A,
        zone: name.zone.to_string(),
        expected: name.address.to_string(),
        recorded: name.recorded.iter().map(ToString::to_string).collect(),
    };
    let reverse = name.reverse.as_ref().map(|(zone, reverse)| Question {
        group,
        name: reverse.to_string(),
        kind: QueryType::Ptr,
        zone: zone.to_string(),
        expected: name.fqdn.to_string(),
        recorded: name.recorded_ptr.iter().map(|target| without_dot(target)).collect(),
    });
    std::iter::once(forward).chain(reverse).collect()
}

async fn resolve(client: &Client, question: Question) -> Resolution {
    let answer = client.query(&question.name, question.kind).await;
    let mut verdict = verdict::of(&question, answer.as_ref());
    // A positive answer does not identify the authority, so the SOA record is queried, too.
    if matches!(verdict, AnswerStatus::Stale { .. } | AnswerStatus::RecordSet)
        && answer.as_ref().is_some_and(|answer| !answer.values.is_empty())
        && let Some(soa) = client.query(&question.zone, QueryType::Soa).await
        && let Authority::Other(server) = verdict::authority(&question.zone, &soa)
    {
        verdict = AnswerStatus::Shadowed { server };
    }
    let values = answer.map(|answer| answer.values).unwrap_or_default();
    Resolution { question, values, verdict }
}
