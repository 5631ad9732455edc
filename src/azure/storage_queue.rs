//! Client of one storage queue, on the transport and the tokens that all clients share.
//!
//! `azure_storage_queue` builds the requests and reads the answers, on a transport of this crate. The transport sends
//! each request once, attaches the token, and refuses requests to other hosts than the queue's account. The token policy
//! of the SDK is not used, because it refuses loopback addresses and has its own cache. A queue whose URL carries a
//! signature, which the settings accept on loopback only, gets no token.
//!
//! Deliberately absent: the meaning of messages.
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

/// The scope of tokens for queues, in every cloud.
///
/// Source: <https://learn.microsoft.com/azure/storage/blobs/authorize-access-azure-active-directory>
const SCOPE: &str = "https://storage.azure.com/.default";

/// The timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes: 32 messages of 64 KiB with escaped text.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

/// The pause before the first retry of a request; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The largest number of messages that the service returns at once.
const MOST_MESSAGES: i32 = 32;

/// The visibility timeout of messages that are moved, in seconds.
const MOVE_SECONDS: i32 = 60;

/// Why a request to the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The client cannot be set up.
    #[error("the client of the queue cannot be set up")]
    Client(#[source] BoxError),
    /// The service refuses the request.
    #[error("the queue answered with status {status}, {}{}", code.as_deref().unwrap_or("no code"), advice(*status, code.as_deref()))]
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
    /// The answer did not arrive in time.
    #[error("the queue did not answer in time")]
    Late,
    /// The answer cannot be read.
    #[error("the answer of the queue cannot be read")]
    Unreadable(#[source] BoxError),
    /// The request would have sent the token to another host.
    #[error("the request does not go to the queue")]
    Address,
}

/// What a person can do about an error.
fn advice(status: u16, code: Option<&str>) -> &'static str {
    match (status, code) {
        (403, Some("AuthorizationFailure")) => {
            ": the network rules of the storage account block the function app"
        }
        (403, _) => ": the identity needs the role Storage Queue Data Contributor at the storage account",
        (404, _) => ": the queue or its storage account does not exist",
        _ => "",
    }
}

impl QueueError {
    /// Whether a retry may succeed.
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

/// A message that was peeked or received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredMessage {
    /// The service's id.
    pub id: String,
    /// The stored text.
    pub text: String,
    /// How often the message was received.
    pub dequeue_count: u64,
    /// The receipt that a deletion needs; empty if the message was only peeked.
    pop_receipt: String,
}

/// One storage queue. Cheap to clone.
#[derive(Clone)]
pub struct StorageQueue {
    client: Arc<QueueClient>,
}

impl fmt::Debug for StorageQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may contain a signature.
        formatter.debug_tuple("StorageQueue").field(&self.client.url().path()).finish()
    }
}

impl StorageQueue {
    /// The queue at a URL that the settings accepted. It does not connect yet.
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

    /// Stores a message that never expires and that becomes visible after a delay. Creates the queue if it does not
    /// exist, and retries temporary failures until the deadline.
    ///
    /// After a lost answer, the message is sent again, so the queue may contain it twice.
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
                        tracing::debug!(%error, "retrying to store a message");
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

    /// Creates the queue if it does not exist.
    pub async fn create(&self) -> Result<(), QueueError> {
        match self.client.create(None).await.map_err(QueueError::from) {
            Ok(_) => Ok(()),
            // The queue exists with other metadata, or another process created it meanwhile.
            Err(QueueError::Answer { status: 409, code: Some(code) }) if code == "QueueAlreadyExists" => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The approximate number of messages; `None` if the queue does not exist.
    pub async fn count(&self) -> Result<Option<u64>, QueueError> {
        let count = async {
            let properties = self.client.get_properties(None).await?;
            let count = properties.approximate_messages_count()?.unwrap_or_default();
            Ok(Some(u64::try_from(count).unwrap_or_default()))
        };
        count.await.or_else(|error: QueueError| if error.is_missing_queue() { Ok(None) } else { Err(error) })
    }

    /// The first visible messages. They stay visible.
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

    /// Receives the first visible messages, which are then invisible for a minute.
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

/// The shared transport, through the interface that the SDK requires.
#[derive(Debug)]
struct QueueTransport {
    http_transport: HttpTransport,
    /// `None` if the URL carries a signature.
    tokens: Option<Tokens>,
    /// Scheme, host and port of the queue. Tokens are sent only there.
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
    /// Sends a request, and retries it once with a new token if the queue rejects the first one.
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
