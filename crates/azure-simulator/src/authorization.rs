//! Rights: the caller's permissions, as the permissions API reports them
//! (<https://learn.microsoft.com/rest/api/authorization/permissions>), and the refusal of other requests.
//!
//! By default, the caller may do everything. Permissions that are set at a scope apply below it, and only
//! those of the deepest scope are used. Azure adds up the rights of all scopes instead; with the rule here, a right
//! can be removed without listing all others.
//!
//! Other principals have the rights of their assigned roles. These are reported and not enforced
//! (<https://learn.microsoft.com/rest/api/authorization/role-assignments>).

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::messages::{Answer, Request, field, gateway, method_not_allowed, wrapped};
use super::{Azure, World};

/// The permissions of one role: actions without exceptions; `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The granted actions.
    pub actions: Vec<String>,
    /// The exceptions.
    pub not_actions: Vec<String>,
    /// The granted actions on the data in resources, such as the messages of a queue.
    pub data_actions: Vec<String>,
    /// The exceptions.
    pub not_data_actions: Vec<String>,
}

impl Permission {
    /// Grants these actions, except the others, and no data actions.
    #[must_use]
    pub fn new(actions: &[&str], not_actions: &[&str]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let (data_actions, not_data_actions) = (Vec::new(), Vec::new());
        Self { actions: owned(actions), not_actions: owned(not_actions), data_actions, not_data_actions }
    }

    /// Adds these data actions.
    #[must_use]
    pub fn with_data(mut self, data_actions: &[&str]) -> Self {
        self.data_actions.extend(data_actions.iter().map(|action| (*action).to_owned()));
        self
    }

    fn grants(&self, action: &str) -> bool {
        names(&self.actions, action) && !names(&self.not_actions, action)
    }

    pub(super) fn grants_data(&self, action: &str) -> bool {
        names(&self.data_actions, action) && !names(&self.not_data_actions, action)
    }
}

impl Azure {
    /// Sets the caller's permissions at a scope (the id of a subscription, a resource group or a resource)
    /// and below.
    pub fn set_permissions(&self, scope: &str, permissions: Vec<Permission>) {
        self.world().permissions.insert(scope.trim_end_matches('/').to_ascii_lowercase(), permissions);
    }

    /// Removes an action or data action (`*` stands for any text) from the caller's permissions at a scope
    /// and below.
    pub fn deny(&self, scope: &str, action: &str) {
        let mut permissions = self.world().permissions_at(scope);
        for permission in &mut permissions {
            permission.not_actions.push(action.to_owned());
            permission.not_data_actions.push(action.to_owned());
        }
        self.set_permissions(scope, permissions);
    }

    /// Removes the permissions that were set at exactly this scope.
    pub fn allow(&self, scope: &str) {
        self.world().permissions.remove(&scope.trim_end_matches('/').to_ascii_lowercase());
    }

    /// Assigns a role with these permissions to a principal (an object id of Entra ID) at a scope.
    pub fn assign(&self, principal: &str, scope: &str, permission: Permission) {
        let (principal, scope) = (principal.to_owned(), scope.trim_end_matches('/').to_owned());
        self.world().assignments.push(Assignment { principal, scope, permission });
    }

    /// Removes all role assignments of a principal at exactly this scope.
    pub fn take_back(&self, principal: &str, scope: &str) {
        let is_meant = |one: &Assignment| one.principal == principal && one.scope.eq_ignore_ascii_case(scope);
        self.world().assignments.retain(|one| !is_meant(one));
    }
}

/// A role assignment.
#[derive(Debug)]
pub(super) struct Assignment {
    principal: String,
    scope: String,
    permission: Permission,
}

/// `{"scope", "actions", "notActions", "dataActions", "notDataActions"}`: the scope and its single role.
/// Without `dataActions`, all data actions are granted.
pub(super) fn read_permission(body: &Value) -> Result<(String, Permission), String> {
    let scope = field(body, "scope").as_str().ok_or("'scope' is missing")?;
    let texts = |name| {
        let texts = field(body, name).as_array().into_iter().flatten();
        texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let all_data = field(body, "dataActions").is_null();
    let permission = Permission {
        actions: texts("actions"),
        not_actions: texts("notActions"),
        data_actions: if all_data { vec!["*".to_owned()] } else { texts("dataActions") },
        not_data_actions: texts("notDataActions"),
    };
    Ok((scope.to_owned(), permission))
}

impl World {
    /// Answers a request to the provider of authorization; `None` for other requests.
    pub(super) fn answer_authorization(&self, request: &Request) -> Option<Answer> {
        let provider = "/providers/microsoft.authorization/";
        let at = request.path.to_ascii_lowercase().rfind(provider)?;
        let (scope, rest) = (request.path.get(..at)?, request.path.get(at + provider.len()..)?);
        let rest: Vec<&str> = rest.split('/').collect();
        if request.method != Method::GET {
            return Some(method_not_allowed(&request.method));
        }
        match rest.as_slice() {
            ["permissions"] => Some(self.answer_permissions(scope)),
            ["roleAssignments"] => Some(self.answer_assignments(request, scope)),
            ["roleDefinitions", name] => Some(self.answer_role(scope, name)),
            _ => None,
        }
    }

    /// The assignments at a scope and above for the principal in the filter: `atScope() and assignedTo('…')`.
    fn answer_assignments(&self, request: &Request, scope: &str) -> Answer {
        let filter = request.query("$filter").unwrap_or_default();
        let principal = filter.split('\'').nth(1).unwrap_or_default();
        let held = self.assignments.iter().enumerate().filter(|(_, held)| {
            held.principal == principal
                && is_above(&held.scope.to_ascii_lowercase(), &scope.to_ascii_lowercase())
        });
        let reported = held.map(|(number, held)| {
            json!({
                "id": format!("{}/providers/Microsoft.Authorization/roleAssignments/{}", held.scope, role_name(number)),
                "type": "Microsoft.Authorization/roleAssignments",
                "name": role_name(number),
                "properties": {
                    "roleDefinitionId": format!("/providers/Microsoft.Authorization/roleDefinitions/{}", role_name(number)),
                    "principalId": held.principal,
                    "principalType": "ServicePrincipal",
                    "scope": held.scope,
                },
            })
        });
        Answer::json(StatusCode::OK, &json!({"value": reported.collect::<Vec<_>>()}))
    }

    fn answer_role(&self, scope: &str, name: &str) -> Answer {
        let held = self.assignments.iter().enumerate().find(|(number, _)| role_name(*number) == name);
        let Some((_, Assignment { permission, .. })) = held else {
            let message = format!("The specified role definition with ID '{name}' does not exist.");
            return wrapped(StatusCode::NOT_FOUND, "RoleDefinitionDoesNotExist", &message);
        };
        let role = json!({
            "id": format!("{scope}/providers/Microsoft.Authorization/roleDefinitions/{name}"),
            "type": "Microsoft.Authorization/roleDefinitions",
            "name": name,
            "properties": {
                "roleName": format!("role {name}"),
                "type": "CustomRole",
                "permissions": [permission_body(permission)],
            },
        });
        Answer::json(StatusCode::OK, &role)
    }

    fn answer_permissions(&self, scope: &str) -> Answer {
        let permissions: Vec<Value> = self.permissions_at(scope).iter().map(permission_body).collect();
        Answer::json(StatusCode::OK, &json!({"value": permissions}))
    }

    /// The refusal of a request that the caller may not send.
    pub(super) fn refuse_unauthorized(&self, request: &Request) -> Option<Answer> {
        let action = action(&request.method, &request.segments())?;
        let permissions = self.permissions_at(&request.path);
        if permissions.iter().any(|permission| permission.grants(&action)) {
            return None;
        }
        let message = format!(
            "The client does not have authorization to perform action '{action}' over scope '{}' or the scope is \
             invalid. If access was recently granted, please refresh your credentials.",
            request.path
        );
        Some(gateway(StatusCode::FORBIDDEN, "AuthorizationFailed", &message))
    }

    /// The permissions of the deepest scope that contains a path.
    pub(super) fn permissions_at(&self, path: &str) -> Vec<Permission> {
        let path = path.to_ascii_lowercase();
        let deepest = self.permissions.iter().filter(|(scope, _)| is_above(scope, &path));
        let deepest = deepest.max_by_key(|(scope, _)| scope.len());
        let everything = || vec![Permission::new(&["*"], &[]).with_data(&["*"])];
        deepest.map_or_else(everything, |(_, permissions)| permissions.clone())
    }
}

fn permission_body(permission: &Permission) -> Value {
    json!({
        "actions": permission.actions,
        "notActions": permission.not_actions,
        "dataActions": permission.data_actions,
        "notDataActions": permission.not_data_actions,
    })
}

/// Whether one of these patterns matches an action.
fn names(patterns: &[String], action: &str) -> bool {
    patterns.iter().any(|pattern| covers(pattern, action))
}

/// Whether a path is a scope or below it; both in lower case.
pub(super) fn is_above(scope: &str, path: &str) -> bool {
    path.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The name of the role of an assignment.
fn role_name(number: usize) -> String {
    format!("66666666-0000-0000-0000-{number:012}")
}

/// The action that a request needs, from the types in the path and the method.
fn action(method: &Method, segments: &[String]) -> Option<String> {
    let verb = match *method {
        Method::GET => "read",
        Method::DELETE => "delete",
        Method::POST => "action",
        _ => "write",
    };
    let at = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers"));
    let Some(at) = at else {
        return (segments.len() > 3)
            .then(|| format!("Microsoft.Resources/subscriptions/resourceGroups/{verb}"));
    };
    let namespace = segments.get(at + 1)?;
    // Types and names alternate; a list or an action ends with the type.
    let types: Vec<&str> = segments.iter().skip(at + 2).step_by(2).map(String::as_str).collect();
    Some(format!("{namespace}/{}/{verb}", types.join("/")))
}

/// Whether a pattern matches an action.
fn covers(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| action.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    let mut is_open = false;
    while let Some(part) = parts.next() {
        is_open = true;
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    is_open || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::testing::{SUBSCRIPTION, ZONES, azure, get, put};
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, expected) in [
            ("*", true),
            ("*/read", true),
            ("Microsoft.Network/*", true),
            ("microsoft.network/privateDnsZones/*/READ", true),
            ("Microsoft.Network/privateDnsZones/A/read", true),
            ("Microsoft.Network/privateDnsZones/A", false),
            ("Microsoft.Network/privateDnsZones/A/read/x", false),
            ("*/write", false),
            ("Microsoft.Compute/*", false),
        ] {
            assert_eq!(covers(pattern, "Microsoft.Network/privateDnsZones/A/read"), expected, "{pattern}");
        }
    }

    #[tokio::test]
    async fn an_assigned_role_is_reported_below_its_scope_and_not_above() {
        let azure = azure(Settings::default());
        let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dns");
        azure.assign("ada", &group, Permission::new(&["*/read"], &[]));
        azure.assign("bob", &group, Permission::new(&["*"], &[]));
        let held = async |scope: &str| {
            let path = format!(
                "{scope}/providers/Microsoft.Authorization/roleAssignments?$filter=atScope()+and+assignedTo('ada')"
            );
            get(&azure, &path).await.json()["value"].clone()
        };
        assert_eq!(held(&format!("/subscriptions/{SUBSCRIPTION}")).await, json!([]));
        let reported = held(&format!("{ZONES}/contoso.internal")).await;
        assert_eq!(
            (reported[0]["properties"]["principalId"].clone(), reported[1].clone()),
            (json!("ada"), Value::Null)
        );
        let role = format!(
            "/subscriptions/{SUBSCRIPTION}{}",
            reported[0]["properties"]["roleDefinitionId"].as_str().unwrap()
        );
        assert_eq!(
            get(&azure, &role).await.json()["properties"]["permissions"][0]["actions"],
            json!(["*/read"])
        );
        assert_eq!(
            get(&azure, &format!("{role}x")).await.error(),
            (404, "RoleDefinitionDoesNotExist".to_owned())
        );
        azure.take_back("ada", &group);
        assert_eq!(held(&group).await, json!([]));
    }

    #[tokio::test]
    async fn a_removed_right_is_neither_reported_nor_granted() {
        let azure = azure(Settings::default());
        azure.create_zone(SUBSCRIPTION, "rg-dns", "contoso.internal");
        let zone = format!("{ZONES}/contoso.internal");
        let permissions = format!("{zone}/providers/Microsoft.Authorization/permissions");
        assert_eq!(get(&azure, &permissions).await.json()["value"][0]["actions"], json!(["*"]));
        let write = "Microsoft.Network/privateDnsZones/A/write";
        azure.set_permissions(&zone.to_uppercase(), vec![Permission::new(&["*"], &[write])]);
        assert_eq!(get(&azure, &permissions).await.json()["value"][0]["notActions"], json!([write]));
        let set = json!({"properties": {"ttl": 60, "aRecords": [{"ipv4Address": "10.1.5.4"}]}});
        let refused = put(&azure, &format!("{zone}/A/web"), set.clone()).await;
        assert_eq!(refused.error(), (403, "AuthorizationFailed".to_owned()));
        assert_eq!(get(&azure, &format!("{zone}/A")).await.status, 200);
        azure.set_permissions(&format!("{zone}/A/web"), vec![Permission::new(&["*/write"], &[])]);
        assert_eq!(put(&azure, &format!("{zone}/A/web"), set).await.status, 201);
    }
}
