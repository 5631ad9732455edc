//! The requests of a client before those to Resource Manager: the endpoints of the cloud, and a token from Microsoft
//! Entra ID (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>).
//!
//! Every client id and secret is accepted; there are no users. The tokens are those of the managed identity endpoint.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::World;
use super::identity::TENANT_ID;
use super::messages::{Answer, Request, method_not_allowed};

impl World {
    /// Answers a request for the endpoints of the cloud or for a token; `None` for other requests.
    pub(super) fn answer_sign_in(&mut self, request: &Request) -> Option<Answer> {
        let path = request.path.trim_matches('/').to_ascii_lowercase();
        let segments: Vec<_> = path.split('/').collect();
        let (method, answer) = match segments.as_slice() {
            ["metadata", "endpoints"] => (Method::GET, endpoints(request)),
            ["common", "discovery", "instance"] => (Method::GET, instance(&request.origin)),
            [tenant, "v2.0", ".well-known", "openid-configuration"] => {
                (Method::GET, Answer::json(StatusCode::OK, &configuration(&request.origin, tenant)))
            }
            [_, "oauth2", "v2.0", "token"] => (Method::POST, self.client_token(request)),
            _ => return None,
        };
        Some(if request.method == method { answer } else { method_not_allowed(&request.method) })
    }

    fn client_token(&mut self, request: &Request) -> Answer {
        let refuse = |error: &str, description: &str| {
            Answer::json(StatusCode::BAD_REQUEST, &json!({"error": error, "error_description": description}))
        };
        let form: Vec<_> = url::form_urlencoded::parse(&request.body).collect();
        let parameter = |name: &str| form.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_ref());
        if parameter("grant_type") != Some("client_credentials") {
            return refuse(
                "unsupported_grant_type",
                "The simulator issues tokens to client credentials only.",
            );
        }
        let Some(client_id) = parameter("client_id") else {
            return refuse("invalid_request", "The client_id is missing.");
        };
        // If the resource ends with a slash, the scope contains two.
        let mut scopes = parameter("scope").unwrap_or_default().split(' ');
        let Some(resource) = scopes.find_map(|scope| scope.strip_suffix("/.default")) else {
            return refuse("invalid_scope", "The scope must end in /.default.");
        };
        let (token, lifetime) = self.issue(resource, client_id);
        let body = json!({
            "token_type": "Bearer",
            "expires_in": lifetime.as_secs(),
            "ext_expires_in": lifetime.as_secs(),
            "access_token": token,
        });
        Answer::json(StatusCode::OK, &body)
    }
}

/// In the form of `https://management.azure.com/metadata/endpoints?api-version=2022-09-01`.
fn endpoints(request: &Request) -> Answer {
    let origin = &request.origin;
    let audience = "https://management.azure.com/";
    let cloud = json!({
        "name": "Simulator",
        "resourceManager": format!("{origin}/"),
        "authentication": {
            "loginEndpoint": origin,
            "audiences": ["https://management.core.windows.net/", audience],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "activeDirectoryDataLake": "https://datalake.azure.net/",
        "graphAudience": "https://graph.windows.net/",
        "microsoftGraphResourceId": "https://graph.microsoft.com/",
        "batch": "https://batch.core.windows.net/",
        "portal": "https://portal.azure.com",
        "gallery": "https://gallery.azure.com/",
        "media": "https://rest.media.azure.net",
        "suffixes": {
            "storage": "core.windows.net",
            "keyVaultDns": "vault.azure.net",
            "sqlServerHostname": "database.windows.net",
            "acrLoginServer": "azurecr.io",
        },
    });
    Answer::json(StatusCode::OK, &cloud)
}

fn instance(origin: &str) -> Answer {
    let metadata: Vec<Value> = Vec::new();
    let body = json!({
        "tenant_discovery_endpoint": format!("{origin}/{TENANT_ID}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": metadata,
    });
    Answer::json(StatusCode::OK, &body)
}

fn configuration(origin: &str, tenant: &str) -> Value {
    json!({
        "issuer": format!("{origin}/{TENANT_ID}/v2.0"),
        "authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{origin}/{tenant}/discovery/v2.0/keys"),
        "response_types_supported": ["code", "id_token", "token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::testing::{SUBSCRIPTION, azure, get, send};
    use super::super::{Azure, Settings};
    use super::*;

    async fn token(azure: &Azure, form: &str) -> (u16, Value) {
        let path = format!("/{TENANT_ID}/oauth2/v2.0/token?api-version=none");
        let answered = send(azure, Method::POST, &path, &[], Value::String(form.to_owned())).await;
        (answered.status.as_u16(), answered.json())
    }

    #[tokio::test]
    async fn a_token_for_client_credentials_opens_resource_manager() {
        let azure = azure(Settings::default());
        azure.configure(|settings| settings.require_token = true);
        let scope = "scope=https%3A%2F%2Fmanagement.azure.com%2F%2F.default+openid";
        let (status, issued) =
            token(&azure, &format!("client_id=c&grant_type=client_credentials&{scope}")).await;
        assert_eq!((status, &issued["token_type"]), (200, &json!("Bearer")));
        let bearer = format!("Bearer {}", issued["access_token"].as_str().unwrap());
        let path = format!("/subscriptions/{SUBSCRIPTION}");
        let read = send(&azure, Method::GET, &path, &[("authorization", &bearer)], Value::Null).await;
        assert_eq!(read.status, StatusCode::OK);
        for (form, error) in [
            ("client_id=c&grant_type=password", "unsupported_grant_type"),
            ("grant_type=client_credentials", "invalid_request"),
            ("client_id=c&grant_type=client_credentials&scope=openid", "invalid_scope"),
        ] {
            let (status, refused) = token(&azure, form).await;
            assert_eq!((status, &refused["error"]), (400, &json!(error)));
        }
    }

    #[tokio::test]
    async fn the_endpoints_of_the_cloud_are_those_that_were_asked() {
        let azure = azure(Settings::default());
        let cloud = get(&azure, "/metadata/endpoints?api-version=2022-09-01").await.json();
        assert_eq!(cloud["resourceManager"], "http://127.0.0.1:4711/");
        let login = cloud["authentication"]["loginEndpoint"].as_str().unwrap();
        let path = format!("/{TENANT_ID}/v2.0/.well-known/openid-configuration");
        let found = get(&azure, &path).await.json();
        assert_eq!(found["token_endpoint"], format!("{login}/{TENANT_ID}/oauth2/v2.0/token"));
    }
}
