//! Client of one storage queue, on the transport and the tokens that all clients share.
//!
//! `azure_storage_queue` builds the requests and reads the answers. Its transport is ours: it sends each request once,
//! attaches the token, and lets nothing through that does not go to the queue's own account. The crate's own token
//! policy is not used, because it refuses loopback addresses and has a cache of its own. A queue whose URL carries a
//! signature, which the settings accept on loopback only, gets no token.
//!
//! Deliberately absent: what messages mean.
//!
//! Source: <https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::BoxError;
use azure_core1::{
    error::ErrorKind,
    http::{AsyncRawResponse, ClientOptions, HttpClient, Request, RetryOptions, Transport},
};
use azure_storage_queue::{
    QueueClient, QueueClientOptions,
    models::{
        QueueClientGetPropertiesResultHeaders, QueueClientPeekMessagesOptions,
        QueueClientReceiveMessagesOptions, QueueClientSendMessageOptions, QueueMessage,
    },
};
use http::header;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use crate::azure::{
    http_transport::{HttpTransport, TransportError},
    tokens::{self, TokenError, Tokens, messages},
};

/// What tokens for queues are for, in every cloud.
///
/// Source: <https://learn.microsoft.com/azure/storage/blobs/authorize-access-azure-active-directory>
const SCOPE: &str = "https://storage.azure.com/.default";

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer: 32 messages of 64 KiB, whose text is escaped.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

/// The first pause before a request is repeated; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How many messages the service returns at once at most.
const MOST_MESSAGES: i32 = 32;

/// How long messages that are moved stay hidden from others.
const MOVE_SECONDS: i32 = 60;

/// Why a request to the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The client cannot be set up.
    #[error("the client of the queue cannot be set up")]
    Client(#[source] BoxError),
    /// The service refuses the request.
    #[error("the queue answers status {status}, {}{}", code.as_deref().unwrap_or("no code"), advice(*status, code.as_deref()))]
    Answer {
        /// The HTTP status.
        status: u16,
        /// The error code of the service.
        code: Option<String>,
    },
    /// There is no answer.
    #[error("the queue does not answer")]
    Network(#[source] TransportError),
    /// There is no token.
    #[error("no token for the queue")]
    Token(#[source] TokenError),
    /// The answer did not come in time.
    #[error("the queue did not answer in time")]
    Late,
    /// The answer cannot be read.
    #[error("the answer of the queue cannot be read")]
    Unreadable(#[source] BoxError),
    /// The request would have carried the token to another place.
    #[error("the request does not go to the queue")]
    Address,
}

/// What a person does about an answer.
fn advice(status: u16, code: Option<&str>) -> &'static str {
    match (status, code) {
        (403, Some("AuthorizationFailure")) => {
            ": the network rules of the storage account do not let the function app in"
        }
        (403, _) => ": its identity needs the role Storage Queue Data Contributor at the storage account",
        (404, _) => ": the queue or its storage account does not exist",
        _ => "",
    }
}

impl QueueError {
    /// Whether the same request may succeed a moment later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Answer { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Network(TransportError::Unreachable { .. } | TransportError::Lost(_))
            | Self::Token(TokenError::Unavailable(_))
            | Self::Late => true,
            Self::Network(_) | Self::Token(_) | Self::Client(_) | Self::Unreadable(_) | Self::Address => {
                false
            }
        }
    }

    fn is_missing_queue(&self) -> bool {
        matches!(self, Self::Answer { status: 404, code } if code.as_deref() == Some("QueueNotFound"))
    }
}

impl From<azure_core1::Error> for QueueError {
    fn from(error: azure_core1::Error) -> Self {
        if let ErrorKind::HttpResponse { status, error_code, .. } = error.kind() {
            return Self::Answer { status: u16::from(*status), code: error_code.clone() };
        }
        error.into_downcast().unwrap_or_else(|error| Self::Unreadable(error.into()))
    }
}

/// A message that was peeked at or received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredMessage {
    /// The service's id.
    pub id: String,
    /// The text as it is stored.
    pub text: String,
    /// How often the message was received.
    pub dequeue_count: u64,
    /// What deletes it; empty where it was only peeked at.
    pop_receipt: String,
}

/// One storage queue. Cheap to clone.
#[derive(Clone)]
pub struct StorageQueue {
    client: Arc<QueueClient>,
}

impl fmt::Debug for StorageQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may be a signature.
        formatter.debug_tuple("StorageQueue").field(&self.client.url().path()).finish()
    }
}

impl StorageQueue {
    /// The queue at a URL that the settings accepted. Connects nothing yet.
    pub fn new(url: Url, http_transport: HttpTransport, tokens: Tokens) -> Result<Self, QueueError> {
        let tokens = (!url.query_pairs().any(|(name, _)| name == "sig")).then_some(tokens);
        let transport = QueueTransport { http_transport, tokens, origin: url.origin().ascii_serialization() };
        let client_options = ClientOptions {
            transport: Some(Transport::new(Arc::new(transport))),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let options = QueueClientOptions { client_options, ..QueueClientOptions::default() };
        let client =
            QueueClient::new(url, None, Some(options)).map_err(|error| QueueError::Client(error.into()))?;
        Ok(Self { client: Arc::new(client) })
    }

    /// Stores a message that never expires and that becomes visible after a delay. The queue is created, once, where
    /// it does not exist; what may pass is repeated until the deadline.
    ///
    /// A message whose answer was lost may be stored, and is stored again.
    pub async fn put(&self, text: &str, delay: Duration, deadline: Instant) -> Result<(), QueueError> {
        let store = async {
            let (mut pause, mut is_created) = (FIRST_PAUSE, false);
            loop {
                match self.send(text, delay).await {
                    Err(error) if error.is_missing_queue() && !is_created => {
                        is_created = true;
                        self.create().await?;
                    }
                    Err(error) if error.is_transient() && Instant::now() + pause < deadline => {
                        tracing::debug!(%error, "a message is sent once more");
                        sleep(pause).await;
                        pause *= 2;
                    }
                    result => return result,
                }
            }
        };
        timeout_at(deadline, store).await.unwrap_or(Err(QueueError::Late))
    }

    async fn send(&self, text: &str, delay: Duration) -> Result<(), QueueError> {
        let delay = i32::try_from(delay.as_secs()).unwrap_or(i32::MAX);
        let options = QueueClientSendMessageOptions {
            message_time_to_live: Some(-1),
            visibility_timeout: Some(delay),
            ..QueueClientSendMessageOptions::default()
        };
        let message = QueueMessage { message_text: Some(text.to_owned()) };
        self.client.send_message(message.try_into()?, Some(options)).await?;
        Ok(())
    }

    /// Creates the queue, where it does not exist.
    pub async fn create(&self) -> Result<(), QueueError> {
        match self.client.create(None).await.map_err(QueueError::from) {
            Ok(_) => Ok(()),
            // Somebody else created it, or its metadata are others.
            Err(QueueError::Answer { status: 409, code: Some(code) }) if code == "QueueAlreadyExists" => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// About how many messages there are; nothing where the queue does not exist.
    pub async fn count(&self) -> Result<Option<u64>, QueueError> {
        let count = async {
            let properties = self.client.get_properties(None).await?;
            let count = properties.approximate_messages_count()?.unwrap_or_default();
            Ok(Some(u64::try_from(count).unwrap_or_default()))
        };
        count.await.or_else(|error: QueueError| if error.is_missing_queue() { Ok(None) } else { Err(error) })
    }

    /// The first messages that are visible, as they are.
    pub async fn peek(&self) -> Result<Vec<StoredMessage>, QueueError> {
        let options = QueueClientPeekMessagesOptions {
            number_of_messages: Some(MOST_MESSAGES),
            ..QueueClientPeekMessagesOptions::default()
        };
        let messages = self.client.peek_messages(Some(options)).await?.into_model()?;
        let messages = messages.items.unwrap_or_default().into_iter();
        let stored = messages.map(|message| StoredMessage {
            id: message.message_id.unwrap_or_default(),
            text: message.message_text.unwrap_or_default(),
            dequeue_count: u64::try_from(message.dequeue_count.unwrap_or_default()).unwrap_or_default(),
            pop_receipt: String::new(),
        });
        Ok(stored.collect())
    }

    /// Takes the first visible messages, which stay hidden from others for a minute.
    pub async fn receive(&self) -> Result<Vec<StoredMessage>, QueueError> {
        let options = QueueClientReceiveMessagesOptions {
            number_of_messages: Some(MOST_MESSAGES),
            visibility_timeout: Some(MOVE_SECONDS),
            ..QueueClientReceiveMessagesOptions::default()
        };
        let messages = self.client.receive_messages(Some(options)).await?.into_model()?;
        let messages = messages.items.unwrap_or_default().into_iter();
        let stored = messages.map(|message| StoredMessage {
            id: message.message_id.unwrap_or_default(),
            text: message.message_text.unwrap_or_default(),
            dequeue_count: u64::try_from(message.dequeue_count.unwrap_or_default()).unwrap_or_default(),
            pop_receipt: message.pop_receipt.unwrap_or_default(),
        });
        Ok(stored.collect())
    }

    /// Deletes a message that was received.
    pub async fn delete(&self, message: &StoredMessage) -> Result<(), QueueError> {
        self.client.delete_message(&message.id, &message.pop_receipt, None).await?;
        Ok(())
    }
}

/// The shared transport, as the crate wants it.
#[derive(Debug)]
struct QueueTransport {
    http_transport: HttpTransport,
    /// Nothing, where the URL carries a signature.
    tokens: Option<Tokens>,
    /// Scheme, host and port of the queue: tokens go nowhere else.
    origin: String,
}

#[async_trait]
impl HttpClient for QueueTransport {
    async fn execute_request(&self, request: &Request) -> azure_core1::Result<AsyncRawResponse> {
        let sent = timeout(REQUEST_TIMEOUT, self.exchange(request)).await;
        sent.unwrap_or(Err(QueueError::Late))
            .map_err(|error| azure_core1::Error::new(ErrorKind::Other, error))
    }
}

impl QueueTransport {
    /// Sends a request; once more, with another token, where the first one was not accepted.
    async fn exchange(&self, request: &Request) -> Result<AsyncRawResponse, QueueError> {
        if request.url().origin().ascii_serialization() != self.origin {
            return Err(QueueError::Address);
        }
        let Some(tokens) = &self.tokens else { return self.send(request, None).await };
        self.http_transport.ready().await.map_err(QueueError::Network)?;
        let token = tokens.bearer(SCOPE).await.map_err(QueueError::Token)?;
        let answer = self.send(request, Some(&token)).await?;
        if u16::from(answer.status()) != 401 {
            return Ok(answer);
        }
        tokens.reject(SCOPE, &token);
        let token = tokens.bearer(SCOPE).await.map_err(QueueError::Token)?;
        self.send(request, Some(&token)).await
    }

    async fn send(&self, request: &Request, token: Option<&str>) -> Result<AsyncRawResponse, QueueError> {
        let unsendable = |error: BoxError| QueueError::Network(TransportError::Unsendable(error));
        let mut outgoing = messages::request(request).map_err(unsendable)?;
        if let Some(token) = token {
            let bearer = tokens::bearer(token).map_err(QueueError::Token)?;
            outgoing.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        let answer = self.http_transport.exchange(outgoing, ANSWER_LIMIT).await;
        answer.map(messages::answer).map_err(QueueError::Network)
    }
}
