//! Classification of answers, and the form of requests.

use super::*;
use crate::domain::{
    container_group::{Container, IpAddress},
    dns::{PtrTarget, RecordSet},
};

async fn read(body: &Value) -> Result<Option<ARecordSet>, ArmError> {
    Azure::new([reply(200, body)]).writer().reader().a_record_set(&zone(), &name()).await
}

#[tokio::test(start_paused = true)]
async fn requests_ask_for_the_stable_versions_and_carry_the_token() {
    let azure = Azure::new([error(404, "NotFound")]);
    let writer = azure.writer();
    assert_eq!(writer.reader().container_group(&group_id()).await.unwrap(), None);
    assert_eq!(writer.reader().a_record_set(&zone(), &name()).await.unwrap(), None);
    assert_eq!(writer.reader().ptr_record_set(&zone(), &"4.5".parse().unwrap()).await.unwrap(), None);
    assert_eq!(
        azure.lines(),
        [
            "GET /subscriptions/s1/resourceGroups/rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups/web?api-version=2023-05-01".to_owned(),
            format!("GET {SUBSCRIPTION}/spoke1.contoso.internal/A/web?api-version=2024-06-01"),
            format!("GET {SUBSCRIPTION}/spoke1.contoso.internal/PTR/4.5?api-version=2024-06-01"),
        ]
    );
    for seen in azure.seen.lock().unwrap().iter() {
        assert_eq!(seen.headers["authorization"], "Bearer secret-token");
        assert_eq!(seen.headers["host"], "management.azure.com");
    }
    assert_eq!(writer.reader().calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_record_set_is_created_only_if_it_does_not_exist() {
    let azure = Azure::new([reply(201, &web())]);
    let etag = azure.writer().put_a_record_set(&zone(), &name(), &web_content(), &Precondition::Absent).await;
    assert_eq!(etag.unwrap(), ETag::from("e1".to_owned()));
    let seen = azure.seen.lock().unwrap()[0].clone();
    assert_eq!(seen.line, format!("PUT {SUBSCRIPTION}/spoke1.contoso.internal/A/web?api-version=2024-06-01"));
    assert_eq!(seen.headers["if-none-match"], "*");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert!(!seen.headers.contains_key("if-match"));
    // The whole text: a parsed comparison would not see a duplicate key.
    assert_eq!(
        seen.body,
        r#"{"properties":{"metadata":{"aci-dns-owner":"s1/rg/web","costs":"42"},"ttl":60,"aRecords":[{"ipv4Address":"10.1.5.4"}]}}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_set_is_replaced_only_with_the_etag_of_the_read() {
    let azure = Azure::new([reply(200, &web())]);
    let content = Content {
        ttl: 60,
        records: vec![PtrTarget::from("Web.Spoke1.Contoso.Internal.".to_owned())],
        metadata: Metadata::new(),
    };
    let precondition = Precondition::Unchanged(ETag::from("e0".to_owned()));
    azure.writer().put_ptr_record_set(&zone(), &name(), &content, &precondition).await.unwrap();
    let seen = azure.seen.lock().unwrap()[0].clone();
    assert_eq!(seen.headers["if-match"], "e0");
    assert!(!seen.headers.contains_key("if-none-match"));
    assert_eq!(
        seen.body,
        r#"{"properties":{"metadata":{},"ttl":60,"ptrRecords":[{"ptrdname":"Web.Spoke1.Contoso.Internal."}]}}"#
    );
}

#[tokio::test(start_paused = true)]
async fn deleting_a_missing_record_set_succeeds() {
    for answer in [
        Reply::Answer(200, vec![], Bytes::new()),
        Reply::Answer(204, vec![], Bytes::new()),
        Reply::Truncated(200),
        reply(404, &json!({"code": "NotFound", "message": "no such record set"})),
    ] {
        let azure = Azure::new([answer]);
        let etag = ETag::from("e1".to_owned());
        azure.writer().delete_record_set(RecordType::Ptr, &zone(), &name(), &etag).await.unwrap();
        assert_eq!(
            azure.lines(),
            [format!("DELETE {SUBSCRIPTION}/spoke1.contoso.internal/PTR/web?api-version=2024-06-01")]
        );
        assert_eq!(azure.seen.lock().unwrap()[0].headers["if-match"], "e1");
    }
}

#[tokio::test(start_paused = true)]
async fn every_part_of_a_record_set_is_read() {
    let expected =
        RecordSet { etag: ETag::from("e1".to_owned()), content: web_content(), is_auto_registered: false };
    assert_eq!(read(&web()).await.unwrap(), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn an_emptied_record_set_is_read_as_empty() {
    let body = json!({"name": "web", "etag": "e1", "properties": {"ttl": 3600, "aRecords": []}});
    let content = Content { ttl: 3600, records: vec![], metadata: Metadata::new() };
    let expected = RecordSet { etag: ETag::from("e1".to_owned()), content, is_auto_registered: false };
    assert_eq!(read(&body).await.unwrap(), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn auto_registration_is_read() {
    let mut body = web();
    body["properties"]["isAutoRegistered"] = true.into();
    assert!(read(&body).await.unwrap().unwrap().is_auto_registered);
}

#[tokio::test(start_paused = true)]
async fn ptr_targets_keep_their_spelling() {
    let body = json!({"name": "4.5", "etag": "e1", "properties": {
        "ttl": 60, "ptrRecords": [{"ptrdname": "Web.Contoso.Internal."}, {"ptrdname": "old host"}]
    }});
    let azure = Azure::new([reply(200, &body)]);
    let read = azure.writer().reader().ptr_record_set(&zone(), &name()).await.unwrap().unwrap();
    let spelled: Vec<_> = read.content.records.iter().map(PtrTarget::as_str).collect();
    assert_eq!(spelled, ["Web.Contoso.Internal.", "old host"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_set_that_a_write_would_damage_is_refused() {
    for (pointer, value) in [
        ("/properties/metadata/costs", json!(42)),
        ("/properties/metadata/costs", json!(null)),
        ("/properties/metadata", json!(["costs"])),
        ("/properties/aRecords/0/ipv4Address", json!("10.1.5")),
        ("/properties/aRecords/0/ipv4Address", json!(null)),
        ("/properties/ttl", json!(-1)),
        ("/properties/ttl", json!(null)),
    ] {
        let mut body = web();
        *body.pointer_mut(pointer).unwrap() = value;
        let error = read(&body).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{pointer}: {}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_record_set_is_unreadable() {
    for body in [json!({}), json!([]), json!({"status": "up"}), json!({"etag": "e1"}), json!({"etag": ""})] {
        let error = read(&body).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Transient, "{body}: {}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_group_is_read_with_its_states_and_tags() {
    let body = json!({
        "id": group_id().to_string(), "name": "web", "location": "westeurope",
        "tags": {"aci-dns-ttl": "30", "empty": null, "odd": 7},
        "properties": {
            "provisioningState": "Succeeded",
            "osType": "Linux",
            "subnetIds": [{"id": "/subscriptions/s1/virtualNetworks/v"}],
            "containers": [
                {"name": "a", "properties": {"image": "i", "instanceView": {"currentState": {"state": "Running"}}}},
                {"name": "b", "properties": {"image": "i"}}
            ],
            "ipAddress": {"ports": [{"protocol": "TCP", "port": 80}], "ip": "10.1.5.4", "type": "Private"},
            "instanceView": {"events": [], "state": "Running"}
        }
    });
    let azure = Azure::new([reply(200, &body)]);
    let expected = ContainerGroup {
        restart_policy: None,
        subnets: Vec::new(),
        tags: [("aci-dns-ttl", "30"), ("odd", "7")].map(|(name, text)| (name.into(), text.into())).into(),
        provisioning_state: Some("Succeeded".into()),
        state: Some("Running".into()),
        ip_address: Some(IpAddress { kind: Some("Private".into()), ip: Some("10.1.5.4".into()) }),
        containers: vec![Container { state: Some("Running".into()), exit_code: None }, Container::default()],
    };
    assert_eq!(azure.writer().reader().container_group(&group_id()).await.unwrap(), Some(expected));
}

#[tokio::test(start_paused = true)]
async fn a_container_group_is_absent_only_if_azure_says_so() {
    for code in ["ContainerGroupNotFound", "ResourceNotFound", "NotFound", "ResourceGroupNotFound"] {
        let azure = Azure::new([error(404, code)]);
        assert_eq!(azure.writer().reader().container_group(&group_id()).await.unwrap(), None, "{code}");
    }
    for (answer, expected) in [
        (error(404, "InvalidResourceType"), Kind::Transient),
        (reply(404, &json!({})), Kind::Transient),
        (Reply::Answer(404, vec![], "<html>404</html>".into()), Kind::Transient),
        (error(404, "SubscriptionNotFound"), Kind::Missing),
    ] {
        let azure = Azure::new([answer]);
        let error = azure.writer().reader().container_group(&group_id()).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_set_is_absent_only_in_a_zone_that_exists() {
    for answer in [
        reply(404, &json!({"code": "NotFound", "message": "The resource record 'web' does not exist"})),
        error(404, "NotFound"),
        error(404, "ResourceNotFound"),
    ] {
        let azure = Azure::new([answer]);
        assert_eq!(azure.writer().reader().a_record_set(&zone(), &name()).await.unwrap(), None);
    }
    for code in ["ParentResourceNotFound", "ResourceGroupNotFound", "SubscriptionNotFound", "Other"] {
        let azure = Azure::new([error(404, code)]);
        let error = azure.writer().reader().a_record_set(&zone(), &name()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Missing, "{}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_names_the_operation_and_azures_message() {
    let azure = Azure::new([error(403, "AuthorizationFailed")]);
    let error = azure.writer().reader().a_record_set(&zone(), &name()).await.unwrap_err();
    assert_eq!(
        chain(&error),
        "not permitted to read A web in spoke1.contoso.internal: status 403, AuthorizationFailed: no"
    );
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_could_change_the_path_is_never_sent() {
    for (subscription, resource_group) in [("s1/../s2", "rg"), ("s1", ".."), ("s1", "rg?x"), ("", "rg")] {
        let azure = Azure::new([reply(200, &web())]);
        let zone =
            Zone { subscription: subscription.into(), resource_group: resource_group.into(), ..zone() };
        let writer = azure.writer();
        let error = writer.reader().a_record_set(&zone, &name()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{}", chain(&error));
        let etag = ETag::from("e".to_owned());
        assert!(writer.delete_record_set(RecordType::A, &zone, &name(), &etag).await.is_err());
        assert!(
            writer.put_a_record_set(&zone, &name(), &web_content(), &Precondition::Absent).await.is_err()
        );
        assert!(writer.reader().list_a_record_sets(&zone).await.is_err());
        assert_eq!(writer.reader().calls(), 0);
    }
}
