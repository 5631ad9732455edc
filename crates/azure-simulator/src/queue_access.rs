//! Access to the queues: tokens of the identity endpoint, shared access signatures, and signatures with the
//! account's key
//! (<https://learn.microsoft.com/rest/api/storageservices/authorize-requests-to-azure-storage>).
//!
//! A token needs the data action of the operation at the queue or above; [`Azure::set_permissions`] sets the
//! caller's rights there, with [`queue_scope`] as the scope. A key, or a signature that grants the operation,
//! needs no right.
//!
//! Deliberately accepted: tokens over plain HTTP, which the real service and Azurite refuse.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{StatusCode, header};
use ring::hmac;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::messages::{Answer, Request};
use super::queue_rest::{Operation, QueueTarget};
use super::resource_ids::DEFAULT_SUBSCRIPTION;
use super::{Azure, World};

/// The version of the signatures of [`Azure::queue_url`].
const SIGNED_VERSION: &str = "2024-11-04";
const CHALLENGE: &str = "Bearer authorization_uri=https://login.microsoftonline.com/\
                         11111111-1111-1111-1111-111111111111/oauth2/authorize resource_id=https://storage.azure.com";

/// The headers that a signature with the key covers, in this order.
const SIGNED_HEADERS: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// The scope of rights to a queue: a resource id in the resource group `rg-aci-dns` of the default
/// subscription. Without a name, the scope of the account.
#[must_use]
pub fn queue_scope(account: &str, queue: &str) -> String {
    let account = format!(
        "/subscriptions/{DEFAULT_SUBSCRIPTION}/resourceGroups/rg-aci-dns/providers/Microsoft.Storage/storageAccounts\
         /{account}"
    );
    if queue.is_empty() { account } else { format!("{account}/queueServices/default/queues/{queue}") }
}

impl Operation {
    /// Data actions of which one is enough.
    fn data_actions(self) -> &'static [&'static str] {
        match self {
            Self::ListQueues | Self::GetMetadata => &["read"],
            Self::CreateQueue | Self::SetMetadata => &["write"],
            Self::DeleteQueue => &["delete"],
            Self::PutMessage => &["messages/add/action", "messages/write"],
            Self::PeekMessages => &["messages/read"],
            Self::GetMessages => &["messages/process/action"],
            Self::UpdateMessage => &["messages/write"],
            Self::DeleteMessage => &["messages/process/action", "messages/delete"],
            Self::ClearMessages => &["messages/delete"],
        }
    }

    /// Resource type and permissions (one is enough) in a signature for the account.
    fn account_permission(self) -> (char, &'static str) {
        match self {
            Self::ListQueues => ('s', "l"),
            Self::CreateQueue => ('c', "cw"),
            Self::DeleteQueue => ('c', "d"),
            Self::GetMetadata => ('c', "r"),
            Self::SetMetadata => ('c', "w"),
            Self::PutMessage => ('o', "a"),
            Self::PeekMessages => ('o', "r"),
            Self::GetMessages | Self::DeleteMessage => ('o', "p"),
            Self::UpdateMessage => ('o', "u"),
            Self::ClearMessages => ('o', "d"),
        }
    }

    /// Permission in a signature for one queue; `None` if such a signature is not enough.
    fn queue_permission(self) -> Option<char> {
        match self {
            Self::GetMetadata | Self::PeekMessages => Some('r'),
            Self::PutMessage => Some('a'),
            Self::UpdateMessage => Some('u'),
            Self::GetMessages | Self::DeleteMessage => Some('p'),
            Self::ListQueues
            | Self::CreateQueue
            | Self::DeleteQueue
            | Self::SetMetadata
            | Self::ClearMessages => None,
        }
    }
}

impl Azure {
    /// The URL of a queue below an origin such as `http://127.0.0.1:8181`, with a signature for all
    /// operations that is valid for a year.
    #[must_use]
    pub fn queue_url(&self, origin: &str, queue: &str) -> String {
        let expires = self.unix_time() + Duration::from_hours(24 * 365);
        let world = self.world();
        let storage = &world.settings.storage;
        let expires =
            OffsetDateTime::from_unix_timestamp(i64::try_from(expires.as_secs()).unwrap_or(i64::MAX));
        let date = expires.unwrap_or(OffsetDateTime::UNIX_EPOCH).date();
        let expires = format!("{:04}-{:02}-{:02}T00:00:00Z", date.year(), u8::from(date.month()), date.day());
        let (permissions, services, types) = ("rwdlacup", "q", "sco");
        let account = &storage.account;
        let text =
            format!("{account}\n{permissions}\n{services}\n{types}\n\n{expires}\n\n\n{SIGNED_VERSION}\n\n");
        let signature = sign(&storage.key, &text);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("sv", SIGNED_VERSION),
            ("ss", services),
            ("srt", types),
            ("sp", permissions),
            ("se", expires.as_str()),
            ("sig", signature.as_str()),
        ] {
            query.append_pair(name, value);
        }
        format!("{origin}/{account}/{queue}?{}", query.finish())
    }
}

impl World {
    /// The refusal of a request to the Queue service.
    pub(super) fn refuse_queue_access(
        &mut self,
        request: &Request,
        target: &QueueTarget,
        operation: Operation,
    ) -> Option<Answer> {
        if !self.settings.require_token {
            return None;
        }
        let authorization = request.header(header::AUTHORIZATION.as_str()).unwrap_or_default().to_owned();
        if let Some(token) = authorization.strip_prefix("Bearer ") {
            return self.refuse_token(token, target, operation);
        }
        let is_signed = request.query("sig").is_some();
        if !is_signed && authorization.is_empty() {
            let message = "Server failed to authenticate the request. Please refer to the information in the \
                           www-authenticate header.";
            let refusal =
                self.queue_error(StatusCode::UNAUTHORIZED, "NoAuthenticationInformation", message, &[]);
            return Some(refusal.header("www-authenticate", CHALLENGE));
        }
        if !self.settings.storage.accepts_keys {
            let message = "Key based authentication is not permitted on this storage account.";
            let code = "KeyBasedAuthenticationNotPermitted";
            return Some(self.queue_error(StatusCode::FORBIDDEN, code, message, &[]));
        }
        match authorization.strip_prefix("SharedKey ") {
            Some(signed) if self.is_signed_with_key(request, target, signed) => None,
            Some(_) => Some(self.not_authenticated(
                "The MAC signature found in the HTTP request is not the same as any computed signature.",
            )),
            None if is_signed => self.refuse_signature(request, target, operation),
            None => {
                let message = "Authentication information is not given in the correct format. Check the value of \
                               Authorization header.";
                Some(self.queue_error(StatusCode::BAD_REQUEST, "InvalidAuthenticationInfo", message, &[]))
            }
        }
    }

    fn not_authenticated(&mut self, detail: &str) -> Answer {
        let message = "Server failed to authenticate the request. Make sure the value of Authorization header is \
                       formed correctly including the signature.";
        let details = [("AuthenticationErrorDetail", detail)];
        self.queue_error(StatusCode::FORBIDDEN, "AuthenticationFailed", message, &details)
    }

    fn not_permitted(&mut self) -> Answer {
        let message = "This request is not authorized to perform this operation using this permission.";
        self.queue_error(StatusCode::FORBIDDEN, "AuthorizationPermissionMismatch", message, &[])
    }

    fn refuse_token(&mut self, token: &str, target: &QueueTarget, operation: Operation) -> Option<Answer> {
        let detail = if self.settings.storage.accepts_tokens {
            self.invalid_storage_token(token, &target.account)
        } else {
            Some("Authentication scheme Bearer is not supported in this version.")
        };
        if let Some(detail) = detail {
            let message = "Server failed to authenticate the request. Please refer to the information in the \
                           www-authenticate header.";
            let details = [("AuthenticationErrorDetail", detail)];
            let code = "InvalidAuthenticationInfo";
            let refusal = self.queue_error(StatusCode::UNAUTHORIZED, code, message, &details);
            return Some(refusal.header("www-authenticate", CHALLENGE));
        }
        let scope = queue_scope(&target.account, target.queue());
        let permissions = self.permissions_at(&scope);
        let may = operation.data_actions().iter().any(|action| {
            let action = format!("Microsoft.Storage/storageAccounts/queueServices/queues/{action}");
            permissions.iter().any(|permission| permission.grants_data(&action))
        });
        if may { None } else { Some(self.not_permitted()) }
    }

    /// Whether the `Authorization` header `SharedKey <account>:<signature>` is valid.
    fn is_signed_with_key(&self, request: &Request, target: &QueueTarget, signed: &str) -> bool {
        let header = |name: &str| request.header(name).unwrap_or_default();
        let mut lines = vec![request.method.to_string()];
        lines.extend(SIGNED_HEADERS.map(|name| match (name, header(name)) {
            ("content-length", "0") => String::new(),
            (_, value) => value.to_owned(),
        }));
        let mut names: Vec<_> = request.headers.keys().map(http::HeaderName::as_str).collect();
        names.retain(|name| name.starts_with("x-ms-"));
        names.sort_unstable();
        lines.extend(names.into_iter().map(|name| format!("{name}:{}", header(name).trim())));
        lines.push(format!("/{}{}", target.account, request.path));
        lines.extend(request.parameters().map(|(name, value)| format!("{name}:{value}")));
        let text = lines.join("\n");
        signed == format!("{}:{}", target.account, sign(&self.settings.storage.key, &text))
    }

    /// The refusal of a shared access signature, for the account or for a queue.
    fn refuse_signature(
        &mut self,
        request: &Request,
        target: &QueueTarget,
        operation: Operation,
    ) -> Option<Answer> {
        let part = |name: &str| request.query(name).unwrap_or_default();
        let (permissions, starts, expires) = (part("sp"), part("st"), part("se"));
        let (ip, protocol, version) = (part("sip"), part("spr"), part("sv"));
        let account = &target.account;
        let is_for_account = request.query("ss").is_some();
        let text = if is_for_account {
            // Since 2020-12-06 an encryption scope follows.
            let scope = if version >= "2020-12-06" { format!("{}\n", part("ses")) } else { String::new() };
            format!(
                "{account}\n{permissions}\n{}\n{}\n{starts}\n{expires}\n{ip}\n{protocol}\n{version}\n{scope}",
                part("ss"),
                part("srt")
            )
        } else {
            let name = format!("/queue/{account}/{}", target.queue());
            let identifier = part("si");
            format!("{permissions}\n{starts}\n{expires}\n{name}\n{identifier}\n{ip}\n{protocol}\n{version}")
        };
        if sign(&self.settings.storage.key, &text) != part("sig") {
            return Some(self.not_authenticated("Signature did not match."));
        }
        let now = Duration::from_secs(self.settings.epoch_seconds) + self.now();
        let is_over = read_time(expires).is_none_or(|expires| expires <= now);
        let is_early = !starts.is_empty() && read_time(starts).is_none_or(|starts| starts > now);
        if is_over || is_early {
            return Some(self.not_authenticated("Signature not valid in the specified time frame."));
        }
        if !is_for_account {
            let is_granted = operation.queue_permission().is_some_and(|it| permissions.contains(it));
            return if is_granted { None } else { Some(self.not_permitted()) };
        }
        let (resource_type, any) = operation.account_permission();
        if !part("ss").contains('q') {
            let message = "This request is not authorized to perform this operation using this service.";
            return Some(self.queue_error(
                StatusCode::FORBIDDEN,
                "AuthorizationServiceMismatch",
                message,
                &[],
            ));
        }
        if !part("srt").contains(resource_type) {
            let message =
                "This request is not authorized to perform this operation using this resource type.";
            let code = "AuthorizationResourceTypeMismatch";
            return Some(self.queue_error(StatusCode::FORBIDDEN, code, message, &[]));
        }
        let is_granted = any.chars().any(|it| permissions.contains(it));
        if is_granted { None } else { Some(self.not_permitted()) }
    }
}

/// A time in the format of a signature, with or without a time of day, since the beginning of 1970.
fn read_time(text: &str) -> Option<Duration> {
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let seconds = OffsetDateTime::parse(&whole, &Rfc3339).ok()?.unix_timestamp();
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// The signature of a text with a key in Base64: HMAC-SHA256, in Base64.
fn sign(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(key).unwrap_or_default());
    BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_equals_that_of_another_implementation() {
        // From Python: base64(hmac(base64-decode(key), text, sha256)).
        assert_eq!(
            sign("a2V5", "The quick brown fox jumps over the lazy dog"),
            "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg="
        );
    }

    #[test]
    fn a_time_may_be_a_date() {
        let seconds = |text| read_time(text).map(|time| time.as_secs());
        assert_eq!(seconds("2026-01-01"), Some(1_767_225_600));
        assert_eq!(seconds("2026-01-01T00:00:10Z"), Some(1_767_225_610));
        assert_eq!(seconds("soon"), None);
    }
}
