//! The managed identities of the app, and the formats of a token.

use http::Method;
use serde_json::{Value, json};

use super::super::testing::{Answered, azure, put, send};
use super::super::{AssignedIdentities, Azure, Settings};

async fn token(azure: &Azure, query: &str) -> Answered {
    let path = format!("/msi/token?resource=https://management.azure.com/&api-version=2019-08-01{query}");
    send(azure, Method::GET, &path, &[("x-identity-header", "simulated-identity-header")], Value::Null).await
}

/// The identity of a token, or the description of the error.
async fn chosen(azure: &Azure, query: &str) -> String {
    let answered = token(azure, query).await;
    let body = answered.json();
    match answered.status.as_u16() {
        200 => body["client_id"].as_str().unwrap().to_owned(),
        400 => {
            assert_eq!(body["error"], "invalid_request");
            body["error_description"].as_str().unwrap().to_owned()
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_identity_is_the_named_one_or_the_only_one() {
    let azure = azure(Settings::default());
    let assign = |system_assigned, ids: &[&str]| {
        let client_ids = Some(ids.iter().map(|id| (*id).to_owned()).collect());
        azure.configure(|settings| {
            settings.identities =
                AssignedIdentities { system_assigned, client_ids, ..AssignedIdentities::default() };
        });
    };
    assert_eq!(chosen(&azure, "&client_id=any").await, "any");
    assign(true, &["a", "b"]);
    assert!(chosen(&azure, "").await.starts_with("22222222"), "the system-assigned one");
    assert_eq!(chosen(&azure, "&client_id=B").await, "B");
    assert_eq!(chosen(&azure, "&client_id=c").await, "Identity not found");
    assign(false, &["a"]);
    assert_eq!(chosen(&azure, "").await, "a");
    assign(false, &["a", "b"]);
    assert!(chosen(&azure, "").await.starts_with("Multiple user assigned identities exist, please specify"));
    assign(false, &[]);
    assert_eq!(chosen(&azure, "").await, "Identity not found");
}

#[tokio::test]
async fn the_verb_sets_identities_and_the_form_of_the_expiry() {
    let azure = azure(Settings::default());
    assert_eq!(token(&azure, "").await.json()["expires_on"], "1767312000");
    let set = async |body: Value| put(&azure, "/simulator/identity", body).await.status.as_u16();
    assert_eq!(
        set(json!({"systemAssigned": false, "clientIds": ["a", "b"], "expiresOn": "number"})).await,
        204
    );
    assert_eq!(token(&azure, "").await.status, 400);
    assert_eq!(token(&azure, "&client_id=a").await.json()["expires_on"], 1_767_312_000);
    assert_eq!(set(json!({"expiresOn": "date"})).await, 400);
    assert_eq!(set(json!({})).await, 204);
    assert_eq!(token(&azure, "").await.status, 200);
}
