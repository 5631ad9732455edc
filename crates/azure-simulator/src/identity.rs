//! The managed identity endpoint of App Service
//! (<https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>), and
//! the validation of its tokens.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::World;
use super::clock::Identifiers;
use super::messages::{Answer, Request, flat, wrapped};

pub(super) const TENANT_ID: &str = "11111111-1111-1111-1111-111111111111";
const OBJECT_ID: &str = "33333333-3333-3333-3333-333333333333";
const CLIENT_ID: &str = "22222222-2222-2222-2222-222222222222";
const CHALLENGE: &str = "Bearer authorization_uri=\"https://login.microsoftonline.com/\
                         11111111-1111-1111-1111-111111111111\", error=\"invalid_token\"";

/// The managed identities of the app, and the format of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedIdentities {
    /// Whether there is a system-assigned one. Default: yes.
    pub system_assigned: bool,
    /// The client ids of the user-assigned ones. Default: any.
    pub client_ids: Option<Vec<String>>,
    /// The format of `expires_on`. Default: text.
    pub expires_on: ExpiryForm,
}

impl Default for AssignedIdentities {
    fn default() -> Self {
        Self { system_assigned: true, client_ids: None, expires_on: ExpiryForm::Text }
    }
}

/// The format of a Unix time in the answer to a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryForm {
    /// `"1586984735"`, as App Service documents it.
    Text,
    /// `1586984735`, as other hosts of managed identities answer.
    Number,
}

impl AssignedIdentities {
    /// The client id of the requested identity, or why there is none.
    fn choose<'a>(&'a self, named: Option<&'a str>) -> Result<&'a str, &'static str> {
        let assigned = self.client_ids.as_deref();
        let is_assigned =
            |id: &str| assigned.is_none_or(|ids| ids.iter().any(|it| it.eq_ignore_ascii_case(id)));
        match (named, assigned) {
            (Some(id), _) if is_assigned(id) => Ok(id),
            (None, _) if self.system_assigned => Ok(CLIENT_ID),
            (None, Some([only])) => Ok(only),
            (None, Some([_, _, ..])) => Err(
                "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in \
                 the token request",
            ),
            (Some(_), _) | (None, None | Some([])) => Err("Identity not found"),
        }
    }
}

/// The issued tokens.
#[derive(Debug)]
pub(super) struct Identity {
    ids: Identifiers,
    requests: u64,
    issued: BTreeMap<String, Token>,
}

#[derive(Debug)]
struct Token {
    resource: String,
    client_id: String,
    issued: Duration,
    expires: Duration,
}

impl Identity {
    pub(super) fn new(seed: u64) -> Self {
        Self { ids: Identifiers::new(seed), requests: 0, issued: BTreeMap::new() }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// The token for a resource: the same one for half of its lifetime, because the platform caches it.
    fn token(
        &mut self,
        resource: &str,
        client_id: &str,
        now: Duration,
        lifetime: Duration,
    ) -> (String, Duration) {
        self.issued.retain(|_, token| token.expires > now);
        let fresh = self.issued.iter().find(|(_, token)| {
            token.resource == resource && token.client_id == client_id && token.issued + lifetime / 2 > now
        });
        if let Some((token, issued)) = fresh {
            return (token.clone(), issued.expires);
        }
        let expires = now + lifetime;
        let claims =
            json!({"aud": resource, "appid": client_id, "oid": OBJECT_ID, "tid": TENANT_ID, "idtyp": "app"});
        let parts = [json!({"typ": "JWT", "alg": "none"}), claims]
            .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let token = format!("{}.{}", parts.join("."), self.ids.guid());
        let issued =
            Token { resource: resource.to_owned(), client_id: client_id.to_owned(), issued: now, expires };
        self.issued.insert(token.clone(), issued);
        (token, expires)
    }
}

impl World {
    /// `GET /msi/token`.
    pub(super) fn issue_token(&mut self, request: &Request) -> Answer {
        self.identity.requests += 1;
        let sent = request.headers.get("x-identity-header").and_then(|value| value.to_str().ok());
        match sent {
            None => {
                return identity_error(StatusCode::BAD_REQUEST, "The header X-IDENTITY-HEADER is missing.");
            }
            Some(sent) if sent != self.settings.identity_header => {
                return identity_error(StatusCode::UNAUTHORIZED, "The header X-IDENTITY-HEADER is wrong.");
            }
            Some(_) => {}
        }
        if request.query("api-version") != Some("2019-08-01") {
            return identity_error(StatusCode::BAD_REQUEST, "The api-version is missing or not supported.");
        }
        let Some(resource) = request.query("resource").filter(|resource| !resource.is_empty()) else {
            return identity_error(StatusCode::BAD_REQUEST, "The resource is missing.");
        };
        let client_id = match self.settings.identities.choose(request.query("client_id")) {
            Ok(client_id) => client_id.to_owned(),
            Err(description) => {
                let body = json!({"error": "invalid_request", "error_description": description});
                return Answer::json(StatusCode::BAD_REQUEST, &body);
            }
        };
        let (token, remaining) = self.issue(resource, &client_id);
        let expires_on = self.settings.epoch_seconds + (self.now() + remaining).as_secs();
        let expires_on = match self.settings.identities.expires_on {
            ExpiryForm::Text => json!(expires_on.to_string()),
            ExpiryForm::Number => json!(expires_on),
        };
        Answer::json(
            StatusCode::OK,
            &json!({
                "access_token": token,
                "expires_on": expires_on,
                "resource": resource,
                "token_type": "Bearer",
                "client_id": client_id,
            }),
        )
    }

    /// A token for a resource, and its remaining lifetime.
    pub(super) fn issue(&mut self, resource: &str, client_id: &str) -> (String, Duration) {
        let (now, lifetime) = (self.now(), self.settings.token_lifetime);
        let (token, expires) = self.identity.token(resource, client_id, now, lifetime);
        (token, expires.saturating_sub(now))
    }

    /// Why a storage account refuses a token; `None` if it accepts the token.
    pub(super) fn invalid_storage_token(&self, token: &str, account: &str) -> Option<&'static str> {
        let own = format!("https://{account}.queue.");
        self.refuse_token_unless(token, |resource| {
            resource == "https://storage.azure.com" || resource.starts_with(&own)
        })
    }

    /// Why a service with this audience refuses a token; `None` if it accepts the token.
    pub(super) fn invalid_token(&self, token: &str, audience: &str) -> Option<&'static str> {
        self.refuse_token_unless(token, |resource| resource == audience)
    }

    fn refuse_token_unless(&self, token: &str, is_audience: impl Fn(&str) -> bool) -> Option<&'static str> {
        match self.identity.issued.get(token) {
            None => Some("Issuer validation failed. Issuer did not match."),
            Some(token) if token.expires <= self.now() => {
                Some("Lifetime validation failed. The token is expired.")
            }
            Some(token) if !is_audience(token.resource.trim_end_matches('/')) => {
                Some("Audience validation failed. Audience did not match.")
            }
            Some(_) => None,
        }
    }

    /// The refusal of a request to Resource Manager without a token for it.
    pub(super) fn refuse_unauthenticated(&self, headers: &HeaderMap) -> Option<Answer> {
        if !self.settings.require_token {
            return None;
        }
        let refuse = |code, message: &str| {
            Some(wrapped(StatusCode::UNAUTHORIZED, code, message).header("www-authenticate", CHALLENGE))
        };
        let Some(authorization) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok())
        else {
            let message = "Authentication failed. The 'Authorization' header is missing.";
            return refuse("AuthenticationFailed", message);
        };
        let token = authorization.strip_prefix("Bearer ").and_then(|token| self.identity.issued.get(token));
        match token {
            None => refuse("InvalidAuthenticationToken", "The access token is invalid."),
            Some(token) if token.expires <= self.now() => {
                refuse("ExpiredAuthenticationToken", "The access token expiry is in the past.")
            }
            // In every cloud the audience is the endpoint of Resource Manager, `https://management.…`.
            Some(token) if !token.resource.starts_with("https://management.") => {
                let message = format!(
                    "The access token has been obtained for wrong audience or resource '{}'.",
                    token.resource
                );
                refuse("InvalidAuthenticationTokenAudience", &message)
            }
            Some(_) => None,
        }
    }
}

fn identity_error(status: StatusCode, message: &str) -> Answer {
    flat(status, status.as_str(), message)
}
