//! The REST API of the Queue service
//! (<https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>), as far as a queue trigger
//! of the Functions host and the clients of its messages use it.
//!
//! The account is the first segment of the path, as in Azurite, or the first label of a host
//! `<account>.queue.<suffix>`. Codes, messages and limits follow the documentation and Azurite.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};

use super::World;
use super::messages::{Answer, Request};
use super::queue_xml::{MessageForm, read_message};
use super::queues::{Queue, QueueKey};

const WEEK_SECONDS: u64 = 7 * 24 * 60 * 60;
const MOST_BYTES: usize = 64 * 1024;
const MOST_MESSAGES: u64 = 32;

/// The resource of a request to the Queue service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueTarget {
    pub(super) account: String,
    /// Queue, `messages`, and id of a message, as far as given.
    rest: Vec<String>,
    /// The address of the account.
    endpoint: String,
}

/// An operation of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    ListQueues,
    CreateQueue,
    DeleteQueue,
    GetMetadata,
    SetMetadata,
    PutMessage,
    GetMessages,
    PeekMessages,
    ClearMessages,
    UpdateMessage,
    DeleteMessage,
}

impl QueueTarget {
    pub(super) fn queue(&self) -> &str {
        self.rest.first().map_or("", String::as_str)
    }

    fn key(&self) -> QueueKey {
        (self.account.clone(), self.queue().to_owned())
    }

    fn message_id(&self) -> &str {
        self.rest.get(2).map_or("", String::as_str)
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let comp = request.query("comp");
        let is_peek = request.query("peekonly").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let rest: Vec<_> = self.rest.iter().map(String::as_str).collect();
        match (rest.as_slice(), &request.method, comp) {
            ([], &Method::GET, Some("list")) => Some(Operation::ListQueues),
            ([_], &Method::PUT, None) => Some(Operation::CreateQueue),
            ([_], &Method::DELETE, None) => Some(Operation::DeleteQueue),
            ([_], &Method::GET | &Method::HEAD, Some("metadata")) => Some(Operation::GetMetadata),
            ([_], &Method::PUT, Some("metadata")) => Some(Operation::SetMetadata),
            ([_, "messages"], &Method::POST, None) => Some(Operation::PutMessage),
            ([_, "messages"], &Method::GET, None) if is_peek => Some(Operation::PeekMessages),
            ([_, "messages"], &Method::GET, None) => Some(Operation::GetMessages),
            ([_, "messages"], &Method::DELETE, None) => Some(Operation::ClearMessages),
            ([_, "messages", _], &Method::PUT, None) => Some(Operation::UpdateMessage),
            ([_, "messages", _], &Method::DELETE, None) => Some(Operation::DeleteMessage),
            _ => None,
        }
    }
}

/// The refusal of an operation.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    details: Vec<(&'static str, String)>,
}

fn refuse(status: StatusCode, code: &'static str, message: &'static str) -> Refusal {
    Refusal { status, code, message, details: Vec::new() }
}

fn invalid_parameter(name: &'static str, value: &str, reason: &str) -> Refusal {
    let message = "Value for one of the query parameters specified in the request URI is invalid.";
    let details = vec![
        ("QueryParameterName", name.to_owned()),
        ("QueryParameterValue", value.to_owned()),
        ("Reason", reason.to_owned()),
    ];
    Refusal { details, ..refuse(StatusCode::BAD_REQUEST, "InvalidQueryParameterValue", message) }
}

fn queue_not_found() -> Refusal {
    refuse(StatusCode::NOT_FOUND, "QueueNotFound", "The specified queue does not exist.")
}

impl World {
    /// The resource of a request to the Queue service; `None` for other requests.
    pub(super) fn queue_target(&self, request: &Request) -> Option<QueueTarget> {
        let mut segments = request.segments();
        let host = request.origin.split("://").nth(1).unwrap_or_default();
        let of_host = host.split_once('.').filter(|(_, rest)| rest.starts_with("queue."));
        let (account, endpoint) = if let Some((account, _)) = of_host {
            (account.to_owned(), request.origin.clone())
        } else {
            let account = &self.settings.storage.account;
            if segments.first() != Some(account) {
                return None;
            }
            segments.remove(0);
            (account.clone(), format!("{}/{account}", request.origin))
        };
        Some(QueueTarget { account, rest: segments, endpoint })
    }

    /// Answers a request to the Queue service.
    pub(super) fn answer_queue(&mut self, request: &Request, target: &QueueTarget) -> Answer {
        let Some(operation) = target.operation(request) else {
            let message = "Value for one of the query parameters specified in the request URI is invalid.";
            return self.queue_error(StatusCode::BAD_REQUEST, "InvalidQueryParameterValue", message, &[]);
        };
        if let Some(refusal) = self.refuse_queue_access(request, target, operation) {
            return refusal;
        }
        self.operate(request, target, operation).unwrap_or_else(|refusal| {
            let details: Vec<_> = refusal.details.iter().map(|(name, text)| (*name, text.as_str())).collect();
            self.queue_error(refusal.status, refusal.code, refusal.message, &details)
        })
    }

    fn operate(
        &mut self,
        request: &Request,
        target: &QueueTarget,
        operation: Operation,
    ) -> Result<Answer, Refusal> {
        if operation == Operation::ListQueues {
            let prefix = request.query("prefix").unwrap_or_default();
            return Ok(self.queue_list(&target.account, prefix, &target.endpoint));
        }
        check_name(target.queue())?;
        match operation {
            Operation::ListQueues | Operation::CreateQueue => self.put_queue(request, target),
            Operation::DeleteQueue => {
                self.queues.remove(&target.key()).ok_or_else(queue_not_found)?;
                Ok(self.done(StatusCode::NO_CONTENT))
            }
            Operation::GetMetadata => {
                let queue = self.existing_queue(target)?;
                let count = queue.messages.len().to_string();
                let answer = Answer::empty(StatusCode::OK).header("x-ms-approximate-messages-count", count);
                let metadata = queue.metadata.iter();
                Ok(metadata.fold(answer, |answer, (name, value)| {
                    answer.named_header(&format!("x-ms-meta-{name}"), value)
                }))
            }
            Operation::SetMetadata => {
                self.existing_queue(target)?.metadata = metadata(request);
                Ok(self.done(StatusCode::NO_CONTENT))
            }
            Operation::PutMessage => self.put_message_by_rest(request, target),
            Operation::GetMessages => self.get_messages(request, target),
            Operation::PeekMessages => self.peek_messages(request, target),
            Operation::ClearMessages => {
                self.existing_queue(target)?.messages.clear();
                Ok(self.done(StatusCode::NO_CONTENT))
            }
            Operation::UpdateMessage => self.update_message(request, target),
            Operation::DeleteMessage => self.delete_message(request, target),
        }
    }

    /// The answer to an operation that changed something.
    fn done(&mut self, status: StatusCode) -> Answer {
        self.changed();
        Answer::empty(status).effective()
    }

    fn existing_queue(&mut self, target: &QueueTarget) -> Result<&mut Queue, Refusal> {
        let now = self.now();
        let queue = self.queues.get_mut(&target.key()).ok_or_else(queue_not_found)?;
        queue.expire(now);
        Ok(queue)
    }

    fn put_queue(&mut self, request: &Request, target: &QueueTarget) -> Result<Answer, Refusal> {
        let metadata = metadata(request);
        match self.queues.get(&target.key()) {
            Some(queue) if queue.metadata == metadata => Ok(Answer::empty(StatusCode::NO_CONTENT)),
            Some(_) => {
                let message = "The specified queue already exists.";
                Err(refuse(StatusCode::CONFLICT, "QueueAlreadyExists", message))
            }
            None => {
                self.queues.insert(target.key(), Queue { metadata, ..Queue::default() });
                Ok(self.done(StatusCode::CREATED))
            }
        }
    }

    fn put_message_by_rest(&mut self, request: &Request, target: &QueueTarget) -> Result<Answer, Refusal> {
        self.existing_queue(target)?;
        let text = message_text(request)?;
        let hidden = seconds(request, "visibilitytimeout", 0)?.unwrap_or(0);
        let now = self.now();
        let expires = match request.query("messagettl") {
            None => Some(now + Duration::from_secs(WEEK_SECONDS)),
            Some("-1") => None,
            Some(given) => {
                let reason = "Value must be greater than or equal to 1, or -1 to indicate an infinite TTL.";
                let lifetime = given.parse::<u64>().ok().filter(|seconds| *seconds >= 1);
                let lifetime = lifetime.ok_or_else(|| invalid_parameter("messagettl", given, reason))?;
                if request.query("visibilitytimeout").is_some() && hidden >= lifetime {
                    let reason = "messagettl must be greater than visibilitytimeout.";
                    return Err(invalid_parameter("visibilitytimeout", &hidden.to_string(), reason));
                }
                Some(now + Duration::from_secs(lifetime))
            }
        };
        let message = self.new_message(text, now + Duration::from_secs(hidden), expires);
        let answer = self.message_list(StatusCode::CREATED, &[&message], MessageForm::Put).effective();
        self.existing_queue(target)?.messages.push(message);
        self.changed();
        Ok(answer)
    }

    fn get_messages(&mut self, request: &Request, target: &QueueTarget) -> Result<Answer, Refusal> {
        let most = most_messages(request)?;
        let hidden = seconds(request, "visibilitytimeout", 1)?.unwrap_or(30);
        let now = self.now();
        let receipts: Vec<_> = (0..most).map(|_| self.pop_receipt()).collect();
        let queue = self.existing_queue(target)?;
        let mut got = Vec::new();
        for (message, receipt) in queue.visible(now).into_iter().zip(receipts) {
            message.pop_receipt = receipt;
            message.view.visible = now + Duration::from_secs(hidden);
            message.view.dequeue_count += 1;
            got.push(message.view.id.clone());
        }
        let queue = self.queues.get(&target.key()).ok_or_else(queue_not_found)?;
        let by_id = |id: &String| queue.messages.iter().find(|message| message.view.id == *id);
        let messages: Vec<_> = got.iter().filter_map(by_id).collect();
        let answer = self.message_list(StatusCode::OK, &messages, MessageForm::Got);
        if got.is_empty() {
            return Ok(answer);
        }
        self.changed();
        Ok(answer.effective())
    }

    fn peek_messages(&mut self, request: &Request, target: &QueueTarget) -> Result<Answer, Refusal> {
        let most = usize::try_from(most_messages(request)?).unwrap_or(usize::MAX);
        let now = self.now();
        self.existing_queue(target)?;
        let Some(queue) = self.queues.get(&target.key()) else { return Err(queue_not_found()) };
        let mut visible: Vec<_> = queue.messages.iter().filter(|message| message.is_visible(now)).collect();
        visible.sort_by_key(|message| message.view.visible);
        visible.truncate(most);
        Ok(self.message_list(StatusCode::OK, &visible, MessageForm::Peeked))
    }

    fn update_message(&mut self, request: &Request, target: &QueueTarget) -> Result<Answer, Refusal> {
        let text = if request.body.is_empty() { None } else { Some(message_text(request)?) };
        let hidden = seconds(request, "visibilitytimeout", 0)?
            .ok_or_else(|| required_parameter("visibilitytimeout"))?;
        let visible = self.now() + Duration::from_secs(hidden);
        let new_receipt = self.pop_receipt();
        let place = self.received_message(request, target)?;
        if let Some(message) = self.existing_queue(target)?.messages.get_mut(place) {
            message.view.visible = visible;
            message.view.text = text.unwrap_or_else(|| std::mem::take(&mut message.view.text));
            message.pop_receipt.clone_from(&new_receipt);
        }
        let next_visible = self.http_date(visible);
        let answer = self.done(StatusCode::NO_CONTENT).header("x-ms-popreceipt", new_receipt);
        Ok(answer.header("x-ms-time-next-visible", next_visible))
    }

    fn delete_message(&mut self, request: &Request, target: &QueueTarget) -> Result<Answer, Refusal> {
        let place = self.received_message(request, target)?;
        self.existing_queue(target)?.messages.remove(place);
        Ok(self.done(StatusCode::NO_CONTENT))
    }

    /// The position in its queue of the message with the id and pop receipt in a request.
    fn received_message(&mut self, request: &Request, target: &QueueTarget) -> Result<usize, Refusal> {
        let receipt = request.query("popreceipt").ok_or_else(|| required_parameter("popreceipt"))?;
        let queue = self.existing_queue(target)?;
        let mut messages = queue.messages.iter();
        let place = messages.position(|message| message.view.id == target.message_id()).ok_or_else(|| {
            refuse(StatusCode::NOT_FOUND, "MessageNotFound", "The specified message does not exist.")
        })?;
        if queue.messages.get(place).is_some_and(|message| message.pop_receipt == receipt) {
            return Ok(place);
        }
        let message = "The specified pop receipt did not match the pop receipt for a dequeued message.";
        Err(refuse(StatusCode::BAD_REQUEST, "PopReceiptMismatch", message))
    }
}

fn required_parameter(name: &'static str) -> Refusal {
    let message = "A required query parameter was not specified for this request.";
    let details = vec![("QueryParameterName", name.to_owned())];
    Refusal { details, ..refuse(StatusCode::BAD_REQUEST, "MissingRequiredQueryParameter", message) }
}

/// The text in the body of a request.
fn message_text(request: &Request) -> Result<String, Refusal> {
    let text = read_message(&request.body).ok_or_else(|| {
        refuse(StatusCode::BAD_REQUEST, "InvalidXmlDocument", "XML specified is not syntactically valid.")
    })?;
    if text.len() > MOST_BYTES {
        let message = "The request body is too large and exceeds the maximum permissible limit.";
        let details = vec![("MaxLimit", MOST_BYTES.to_string())];
        let refusal = refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge", message);
        return Err(Refusal { details, ..refusal });
    }
    Ok(text)
}

/// A parameter in seconds, up to a week; `None` if it is missing.
fn seconds(request: &Request, name: &'static str, least: u64) -> Result<Option<u64>, Refusal> {
    number(request, name, least, WEEK_SECONDS)
}

fn most_messages(request: &Request) -> Result<u64, Refusal> {
    Ok(number(request, "numofmessages", 1, MOST_MESSAGES)?.unwrap_or(1))
}

fn number(request: &Request, name: &'static str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
    let Some(given) = request.query(name) else { return Ok(None) };
    let Ok(number) = given.parse::<i64>() else {
        return Err(invalid_parameter(name, given, "Failed to parse query parameter: int"));
    };
    let in_range = u64::try_from(number).ok().filter(|number| (least..=most).contains(number));
    in_range.map(Some).ok_or_else(|| {
        let message =
            "One of the query parameters specified in the request URI is outside the permissible range.";
        let details = vec![
            ("QueryParameterName", name.to_owned()),
            ("QueryParameterValue", given.to_owned()),
            ("MinimumAllowed", least.to_string()),
            ("MaximumAllowed", most.to_string()),
        ];
        let refusal = refuse(StatusCode::BAD_REQUEST, "OutOfRangeQueryParameterValue", message);
        Refusal { details, ..refusal }
    })
}

/// The metadata of a queue in the headers of a request.
fn metadata(request: &Request) -> BTreeMap<String, String> {
    let headers = request.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("x-ms-meta-")?;
        Some((name.to_owned(), value.to_str().ok()?.to_owned()))
    });
    headers.collect()
}

/// Names of queues (<https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata>).
fn check_name(name: &str) -> Result<(), Refusal> {
    if !(3..=63).contains(&name.len()) {
        let message = "The specified resource name length is not within the permissible limits.";
        return Err(refuse(StatusCode::BAD_REQUEST, "OutOfRangeInput", message));
    }
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_valid = name.bytes().all(|byte| is_letter(byte) || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    if is_valid {
        return Ok(());
    }
    let message = "The specified resource name contains invalid characters.";
    Err(refuse(StatusCode::BAD_REQUEST, "InvalidResourceName", message))
}
