//! Every recorded group goes through unchanged; every value that GET hides is refused by its name.

use serde_json::json;

use super::*;

const FIRST: ContainerPlace = ContainerPlace { is_init: false, index: 0 };

/// The members that a body must not have, as pointers whose numbers and ids are `*`.
const READ_ONLY: [&str; 17] = [
    "/id",
    "/name",
    "/type",
    "/properties/provisioningState",
    "/properties/provisioningTimeoutInSeconds",
    "/properties/isCustomProvisioningTimeout",
    "/properties/customProvisioningTimeoutInSeconds",
    "/properties/isCreatedFromStandbyPool",
    "/properties/instanceView",
    "/properties/ipAddress/ip",
    "/properties/ipAddress/fqdn",
    "/properties/containers/*/properties/instanceView",
    "/properties/initContainers/*/properties/instanceView",
    "/identity/principalId",
    "/identity/tenantId",
    "/identity/userAssignedIdentities/*/principalId",
    "/identity/userAssignedIdentities/*/clientId",
];

/// Every scalar of a JSON text by its place, in order, as it is spelled. A second reader, which shares no code with the
/// first: it copies tokens.
fn tokens(text: &str) -> Vec<(String, String)> {
    let (mut found, mut path, mut counts) = (Vec::new(), Vec::<String>::new(), Vec::<Option<usize>>::new());
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut is_key = false;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => {
                counts.push(None);
                path.push(String::new());
                is_key = true;
                if text[at + 1..].trim_start().starts_with('}') {
                    found.push((path[..path.len() - 1].join("/"), "{}".to_owned()));
                }
            }
            b'[' => {
                counts.push(Some(0));
                path.push("0".to_owned());
                is_key = false;
                if text[at + 1..].trim_start().starts_with(']') {
                    found.push((path[..path.len() - 1].join("/"), "[]".to_owned()));
                }
            }
            b'}' | b']' => {
                counts.pop();
                path.pop();
            }
            b',' => match counts.last_mut().unwrap() {
                None => is_key = true,
                Some(count) => {
                    *count += 1;
                    *path.last_mut().unwrap() = count.to_string();
                }
            },
            b':' => is_key = false,
            byte if byte.is_ascii_whitespace() => {}
            first => {
                let mut end = at + 1;
                if first == b'"' {
                    while bytes[end] != b'"' {
                        end += if bytes[end] == b'\\' { 2 } else { 1 };
                    }
                    end += 1;
                } else {
                    while !b",]} \n\r\t".contains(&bytes[end]) {
                        end += 1;
                    }
                }
                let token = text[at..end].to_owned();
                if is_key {
                    *path.last_mut().unwrap() = token.trim_matches('"').to_owned();
                } else {
                    found.push((path.join("/"), token));
                }
                at = end;
                continue;
            }
        }
        at += 1;
    }
    found
}

/// Whether a place is read-only, or inside of what is.
fn is_read_only(place: &str) -> bool {
    let place = format!("/{place}");
    // An id in a key has slashes of its own.
    READ_ONLY.iter().any(|known| match known.split_once("/*/") {
        None => place == *known || place.starts_with(&format!("{known}/")),
        Some((before, after)) => {
            let rest = place.strip_prefix(&format!("{before}/"));
            let is_end = |rest: &str| rest.ends_with(&format!("/{after}"));
            let is_inside = |rest: &str| {
                rest.split_once('/')
                    .is_some_and(|(_, rest)| rest == after || rest.starts_with(&format!("{after}/")))
            };
            rest.is_some_and(|rest| is_end(rest) || is_inside(rest))
        }
    })
}

/// The recorded answers that describe a container group, as they are spelled.
fn recorded() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut groups = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let exchanges: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
        for (index, exchange) in exchanges.iter().enumerate() {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(exchange.get()).unwrap();
            let Some(answer) = members.get("answer").map(|answer| answer.get()) else { continue };
            if answer.contains("Microsoft.ContainerInstance/containerGroups\"") && !answer.starts_with('[') {
                let value: Value = serde_json::from_str(answer).unwrap();
                if value.get("properties").is_some() {
                    groups.push((format!("{name} {index}"), answer.to_owned()));
                }
            }
        }
    }
    groups.sort();
    groups
}

#[test]
fn nothing_but_the_image_changes_in_any_recorded_group() {
    let (mut replaced, mut refused) = (0, 0);
    for (name, group) in recorded() {
        let images = BTreeMap::from([(FIRST, "demo.azurecr.io/app:v2".to_owned())]);
        let body = match put_body(&group, &images) {
            Ok(body) => body,
            Err(PutBodyError::Hidden(hidden)) => {
                assert!(!hidden.is_empty(), "{name}");
                refused += 1;
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        let image = "properties/containers/0/properties/image";
        let mut expected = tokens(&group);
        expected.retain(|(place, _)| !is_read_only(place));
        let mut count = 0;
        for (_, token) in expected.iter_mut().filter(|(place, _)| place == image) {
            *token = "\"demo.azurecr.io/app:v2\"".to_owned();
            count += 1;
        }
        assert_eq!(count, 1, "{name}");
        // What holds only read-only members is an empty object afterwards.
        let mut found = tokens(&body);
        let emptied = |(place, token): &(String, String)| {
            token == "{}" && !expected.iter().any(|(known, _)| known == place)
        };
        found.retain(|leaf| !emptied(leaf));
        assert_eq!(found, expected, "{name}");
        let kept: Value = serde_json::from_str(&body).unwrap();
        assert!(kept.pointer("/properties/containers/0/properties/resources").is_some(), "{name}");
        replaced += 1;
    }
    assert!(replaced >= 8 && refused >= 1, "{replaced} {refused}");
}

/// A group that can be replaced.
fn group() -> Value {
    json!({
        "id": "/subscriptions/x", "name": "web", "type": "Microsoft.ContainerInstance/containerGroups",
        "location": "westeurope", "tags": {"aci-dns-image": "semver:1"}, "zones": ["1"],
        "properties": {
            "provisioningState": "Succeeded", "provisioningTimeoutInSeconds": 1800, "isCreatedFromStandbyPool": false,
            "containers": [{"name": "app", "properties": {"image": "a.io/app:1", "environmentVariables": [
                {"name": "PLAIN", "value": ""}], "instanceView": {"restartCount": 0}}}],
            "initContainers": [{"name": "init", "properties": {"image": "a.io/init:1"}}],
            "ipAddress": {"type": "Private", "ip": "10.1.5.4", "ports": []},
            "imageRegistryCredentials": [{"server": "a.io", "identity": "/subscriptions/x/identity"}],
            "volumes": [{"name": "empty", "emptyDir": {}}, {"name": "code", "gitRepo": {"repository": "https://a"},
                "secret": null, "azureFile": null}],
            "newMember": {"later": 1.0},
        },
    })
}

/// The names of what is hidden after a change of the group.
#[track_caller]
fn check(pointer: &str, value: Value, expected: &str) {
    let mut changed = group();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = changed.pointer_mut(parent).unwrap();
    match name.parse::<usize>() {
        Ok(_) => parent.as_array_mut().unwrap().push(value),
        Err(_) => parent[name] = value,
    }
    let images = BTreeMap::from([(FIRST, "a.io/app:2".to_owned())]);
    match put_body(&changed.to_string(), &images) {
        Err(PutBodyError::Hidden(hidden)) => assert_eq!(hidden, [expected]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_without_hidden_values_is_replaced_and_keeps_what_is_unknown() {
    let images = BTreeMap::from([
        (FIRST, "a.io/app:2".to_owned()),
        (ContainerPlace { is_init: true, index: 0 }, "a.io/init:2".to_owned()),
    ]);
    let body: Value = serde_json::from_str(&put_body(&group().to_string(), &images).unwrap()).unwrap();
    let mut expected = group();
    for name in ["id", "name", "type"] {
        expected.as_object_mut().unwrap().remove(name);
    }
    let properties = expected["properties"].as_object_mut().unwrap();
    for name in ["provisioningState", "provisioningTimeoutInSeconds", "isCreatedFromStandbyPool"] {
        properties.remove(name);
    }
    properties["ipAddress"].as_object_mut().unwrap().remove("ip");
    let container = properties["containers"][0]["properties"].as_object_mut().unwrap();
    container.remove("instanceView");
    container["image"] = "a.io/app:2".into();
    properties["initContainers"][0]["properties"]["image"] = "a.io/init:2".into();
    assert_eq!(body, expected);
}

#[test]
fn a_secure_variable_is_refused() {
    for value in [json!({"name": "TOKEN"}), json!({"name": "TOKEN", "value": null})] {
        check(
            "/properties/containers/0/properties/environmentVariables/1",
            value.clone(),
            "the secure variable TOKEN of the container app",
        );
        check(
            "/properties/initContainers/0/properties/environmentVariables",
            json!([value]),
            "the secure variable TOKEN of the container init",
        );
    }
}

#[test]
fn a_registry_password_is_refused() {
    let expected = "the password of the registry b.io";
    check("/properties/imageRegistryCredentials/1", json!({"server": "b.io", "username": "u"}), expected);
    let both = json!({"server": "b.io", "username": "u", "identity": "/subscriptions/x"});
    check("/properties/imageRegistryCredentials/1", both, expected);
    check("/properties/imageRegistryCredentials/1", json!({"server": "b.io"}), expected);
}

#[test]
fn a_secret_volume_is_refused() {
    check("/properties/volumes/2", json!({"name": "keys", "secret": {}}), "the secret volume keys");
}

#[test]
fn a_storage_account_key_is_refused() {
    let share = json!({"name": "share", "azureFile": {"shareName": "s", "storageAccountName": "a"}});
    check("/properties/volumes/2", share, "the storage account key of the volume share");
}

#[test]
fn a_workspace_key_is_refused() {
    let diagnostics = json!({"logAnalytics": {"workspaceId": "w"}});
    check("/properties/diagnostics", diagnostics, "the workspace key of Log Analytics");
}

#[test]
fn a_confidential_group_is_refused() {
    let expected = "the policy of a confidential group, which is bound to its images";
    check("/properties/confidentialComputeProperties", json!({"ccePolicy": "x"}), expected);
    check("/properties/sku", "Confidential".into(), expected);
}

#[test]
fn protected_settings_of_an_extension_are_refused() {
    let extensions = json!([{"name": "kube-proxy", "properties": {}}]);
    check("/properties/extensions", extensions, "the protected settings of the extension kube-proxy");
}

#[test]
fn all_hidden_values_are_named_together() {
    let mut changed = group();
    changed["properties"]["volumes"] = json!([{"name": "keys", "secret": {}}]);
    changed["properties"]["diagnostics"] = json!({"logAnalytics": {"workspaceId": "w"}});
    let error = put_body(&changed.to_string(), &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains("the secret volume keys, the workspace key of Log Analytics; use"), "{error}");
}

#[test]
fn spelling_and_order_of_what_stays_are_those_of_the_answer() {
    let text = r#"{"properties":{"b":1.0,"a":"\u00e9","containers":[{"name":"x","properties":{"image":"a:1","resources":{"cpu":1.50}}}],"id":7},"id":"x","location":"y"}"#;
    let images = BTreeMap::from([(FIRST, "a:2".to_owned())]);
    let expected = text.replace(r#","id":"x""#, "").replace("a:1", "a:2");
    assert_eq!(put_body(text, &images).unwrap(), expected);
}

#[test]
fn a_container_that_is_not_there_is_an_error() {
    let images = BTreeMap::from([(ContainerPlace { is_init: false, index: 1 }, "a:2".to_owned())]);
    assert!(matches!(put_body(&group().to_string(), &images), Err(PutBodyError::NoContainer)));
}
