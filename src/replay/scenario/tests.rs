//! What the commands of a scenario do to the embedded Azure, as requests to it show.

use axum::body::Body;
use http::Request;
use tower::ServiceExt;

use super::*;
use azure_simulator::CertificateRefused;

/// Plays these lines.
async fn played(lines: &[&str]) -> Player<impl Fn(&str) -> Option<String>> {
    let azure = Azure::default();
    azure.configure(|settings| settings.require_token = false);
    let mut player = Player::new(azure, Lines::default(), |_: &str| None);
    for line in ["zone spoke1.contoso.internal", "subnet rg-spoke1 10.1.5.0/24"].iter().chain(lines) {
        player.play(line, &mut Vec::new()).await.unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    player
}

/// The answer to a request below the resource group of the zones or of the groups, as text: its status, and its body
/// or its code.
async fn ask(azure: &Azure, method: &str, path: &str) -> String {
    let path = if let Some(name) = path.strip_prefix("rg-spoke1/") {
        format!("rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups/{name}")
    } else {
        format!("rg-dns/providers/Microsoft.Network/privateDnsZones/spoke1.contoso.internal/{path}")
    };
    let version = if path.contains("privateDnsZones") { "2024-06-01" } else { "2023-05-01" };
    let uri = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{path}?api-version={version}");
    let body = r#"{"properties": {"ttl": 60, "aRecords": []}}"#;
    let request = Request::builder().method(method).uri(uri).body(Body::from(body)).unwrap();
    let response = azure.router().oneshot(request).await.unwrap();
    if response.extensions().get::<CertificateRefused>().is_some() {
        return "refused".to_owned();
    }
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let shown = ["/error/code", "/code", "/properties/ipAddress/ip", "/properties/provisioningState"];
    let shown = shown.iter().find_map(|pointer| body.pointer(pointer)).cloned().unwrap_or_default();
    format!("{status} {}", shown.as_str().unwrap_or("-"))
}

#[tokio::test(start_paused = true)]
async fn reads_are_stale_or_hidden_for_a_number_of_answers_or_a_time() {
    let player = played(&[
        "create rg-spoke1/web",
        "stale containerGroups/web? now for=30s",
        "move rg-spoke1/web",
        "hide containerGroups/web? skip=1 times=1",
        "hide /A/ resource-group",
    ])
    .await;
    let azure = player.azure().clone();
    assert_eq!(ask(&azure, "GET", "rg-spoke1/web").await, "200 10.1.5.4");
    assert_eq!(ask(&azure, "GET", "A/web").await, "404 ResourceGroupNotFound");
    assert_eq!(ask(&azure, "GET", "A/web").await, "404 NotFound");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(ask(&azure, "GET", "rg-spoke1/web").await, "404 ContainerGroupNotFound");
    assert_eq!(ask(&azure, "GET", "rg-spoke1/web").await, "200 10.1.5.5");
    let player =
        played(&["create rg-spoke1/web", "wait 10s", "stop rg-spoke1/web", "stale /web? behind=5s"]).await;
    assert_eq!(ask(player.azure(), "GET", "rg-spoke1/web").await, "200 10.1.5.4");
    let player = played(&["create rg-spoke1/web", "wait 10s", "move rg-spoke1/web", "stale /web?"]).await;
    assert_eq!(ask(player.azure(), "GET", "rg-spoke1/web").await, "200 10.1.5.4");
}

#[tokio::test(start_paused = true)]
async fn locks_and_denied_rights_refuse_until_they_are_taken_back() {
    let refused = "409 ScopeLocked";
    let mut player = played(&[
        "record A web.spoke1.contoso.internal 10.1.5.4",
        "lock spoke1.contoso.internal CanNotDelete",
    ])
    .await;
    let azure = player.azure().clone();
    assert_eq!(ask(&azure, "DELETE", "A/web").await, refused);
    assert_eq!(ask(&azure, "PUT", "A/web").await, "200 -");
    for line in ["unlock spoke1.contoso.internal", "lock rg-dns ReadOnly"] {
        player.play(line, &mut Vec::new()).await.unwrap();
    }
    assert_eq!(ask(&azure, "PUT", "A/web").await, refused);
    let action = "Microsoft.Network/privateDnsZones/A/delete";
    for line in ["unlock rg-dns", &format!("deny spoke1.contoso.internal {action}")] {
        player.play(line, &mut Vec::new()).await.unwrap();
    }
    assert_eq!(ask(&azure, "DELETE", "A/web").await, "403 AuthorizationFailed");
    player.play("allow spoke1.contoso.internal", &mut Vec::new()).await.unwrap();
    assert_eq!(ask(&azure, "DELETE", "A/web").await, "200 -");
}

#[tokio::test(start_paused = true)]
async fn groups_end_are_claimed_and_hand_their_address_over() {
    let player = played(&[
        "create rg-spoke1/web policy=Never",
        "create rg-spoke1/api standby visible-after=30s",
        "create rg-spoke1/pool standby",
        "claim rg-spoke1/pool",
        "hand-over rg-spoke1/web rg-spoke1/pool",
        "exit rg-spoke1/web 3",
    ])
    .await;
    let states = player.azure().read(|view| {
        let groups = view.groups().into_iter();
        groups
            .map(|group| format!("{} {} {}", group.name, group.provisioning_state, group.state))
            .collect::<Vec<_>>()
    });
    assert_eq!(states, ["api PreProvisioned Running", "pool Succeeded Running", "web Succeeded Failed"]);
    assert_eq!(ask(player.azure(), "GET", "rg-spoke1/pool").await, "200 10.1.5.4");
    assert_eq!(ask(player.azure(), "GET", "rg-spoke1/api").await, "404 ContainerGroupNotFound");
}

#[tokio::test(start_paused = true)]
async fn record_sets_are_empty_or_stored_as_they_are() {
    let player = played(&[
        "record A web.spoke1.contoso.internal - ttl=60",
        r#"store A odd.spoke1.contoso.internal {"aRecords": [{"ipv4Address": ""}], "metadata": {"n": 1}}"#,
    ])
    .await;
    let record_sets = player.azure().record_sets("spoke1.contoso.internal");
    let shown: Vec<_> = record_sets.iter().take(2).map(ToString::to_string).collect();
    assert_eq!(shown, ["A odd.spoke1.contoso.internal 0 ", "A web.spoke1.contoso.internal 60 "]);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_not_trusted_and_faults_have_occasions() {
    let player =
        played(&["distrust GET /A/web times=2", "fail PUT /A/web 503 code=ServiceUnavailable for=5s"]).await;
    let azure = player.azure();
    assert_eq!(ask(azure, "GET", "A/web").await, "refused");
    assert_eq!(ask(azure, "GET", "A/web").await, "refused");
    assert_eq!(ask(azure, "GET", "A/web").await, "404 NotFound");
    assert_eq!(ask(azure, "PUT", "A/web").await, "503 ServiceUnavailable");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(ask(azure, "PUT", "A/web").await, "201 -");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_cannot_be_played_says_why() {
    for (line, expected) in [
        ("lock rg-dns Never", "\"Never\" is not CanNotDelete or ReadOnly"),
        ("stale /web? sometimes", "\"sometimes\" is not an option of this command"),
        ("create rg-spoke1/web policy=Sometimes", "\"Sometimes\" is not Always, OnFailure or Never"),
        ("store A web.spoke1.contoso.internal 3", "\"3\" is not a JSON object"),
        ("store A web.spoke1.contoso.internal", "the command needs properties"),
        ("exit rg-spoke1/none 1", "does not exist in the simulated Azure"),
    ] {
        let mut player = played(&[]).await;
        let error = player.play(line, &mut Vec::new()).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
}
