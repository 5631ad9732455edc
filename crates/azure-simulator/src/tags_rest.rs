//! The REST API of the tags of a container group
//! (<https://learn.microsoft.com/rest/api/resources/tags/update-at-scope>).

use http::{Method, StatusCode};
use serde_json::json;

use super::World;
use super::container_group_body::read_tags;
use super::messages::{Answer, Request, field, method_not_allowed, wrapped};

impl World {
    /// Answers a request to `<group>/providers/Microsoft.Resources/tags/default`.
    pub(super) fn answer_tags(&mut self, request: &Request, group: &str) -> Answer {
        let key = group.to_ascii_lowercase();
        let Some(current) = self.groups.get(&key).map(|group| group.tags.clone()) else {
            let message = format!("The Resource '{group}' was not found.");
            return wrapped(StatusCode::NOT_FOUND, "ResourceNotFound", &message);
        };
        let mut tags = current;
        if request.method == Method::PATCH {
            let body = match request.json() {
                Ok(body) => body,
                Err(refusal) => return refusal,
            };
            let given = read_tags(field(field(&body, "properties"), "tags"));
            match field(&body, "operation").as_str() {
                Some("Merge") => tags.extend(given),
                Some("Replace") => tags = given,
                Some("Delete") => tags.retain(|name, value| given.get(name) != Some(value)),
                _ => {
                    let message = "The operation must be Merge, Replace or Delete.";
                    return wrapped(StatusCode::BAD_REQUEST, "InvalidTagsOperation", message);
                }
            }
            self.tag(&key, tags.clone());
        } else if request.method != Method::GET {
            return method_not_allowed(&request.method);
        }
        let id = format!("{group}/providers/Microsoft.Resources/tags/default");
        let body = json!({
            "id": id, "name": "default", "type": "Microsoft.Resources/tags", "properties": {"tags": tags}
        });
        let answer = Answer::json(StatusCode::OK, &body);
        if request.method == Method::PATCH { answer.effective() } else { answer }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use serde_json::json;

    use super::super::testing::{azure, send};
    use super::super::{GroupSpec, Settings};

    #[tokio::test(start_paused = true)]
    async fn tags_are_merged_and_deleted_without_a_restart() {
        let azure = azure(Settings::default());
        let id = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
        let path = format!("{id}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01");
        let body = |operation: &str| json!({"operation": operation, "properties": {"tags": {"a": "1"}}});
        for (operation, expected) in [("Merge", json!({"a": "1"})), ("Delete", json!({}))] {
            let answered = send(&azure, Method::PATCH, &path, &[], body(operation)).await;
            assert_eq!(
                (answered.status, &answered.json()["properties"]["tags"]),
                (StatusCode::OK, &expected)
            );
        }
        let refused = send(&azure, Method::PATCH, &path, &[], body("Nothing")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
}
