//! Checks that each function receives all events of the container groups of the map.
//!
//! A filter is checked against sample events: one for each operation that matters and each way in which it
//! ends, for a container group with an improbable name in each resource group, in the spellings that Resource
//! Manager uses. Conditions that cannot be evaluated this way are reported as unknown.
//!
//! Sources: <https://learn.microsoft.com/azure/event-grid/event-filtering>,
//! <https://learn.microsoft.com/azure/event-grid/event-schema-resource-groups>.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    diagnosis::{Check, Finding, Severity, Title, count},
    evidence::{EventSubscriptions, Inspection},
    zones::{fullness, percentage},
};
use crate::{
    config::{Settings, Stopped},
    decide::report,
    domain::{
        inventory::{Caller, Condition, EventSubscription, Filter, Quota, Topic},
        resource_id::{ResourceId, Scope, fold},
    },
};

pub(super) const RECONCILE: Title = Title { group: "events", name: "function_aci_reconcile gets events" };
pub(super) const TRACK_DRIFT: Title = Title { group: "events", name: "function_drift_tracker gets events" };
pub(super) const ROOM: Title = Title { group: "quotas", name: "topics have room" };

/// The maximum number of event subscriptions of a topic.
///
/// Source: <https://learn.microsoft.com/azure/event-grid/quotas-limits>
const MOST_SUBSCRIPTIONS: u64 = 500;

/// What the subject of an event of a container group contains.
const CONTAINER_GROUPS: &str = "/providers/Microsoft.ContainerInstance/containerGroups/";

/// An improbable name, so that no filter is specific to it.
const NAME: &str = "zq7-aci-dns-sample";

/// An operation on a container group.
struct SampleOperation {
    /// Its short name.
    word: &'static str,
    /// The suffix of the event's type.
    verb: &'static str,
    operation: &'static str,
    provider: &'static str,
    /// The part of the subject after the id of the container group.
    below: &'static str,
}

const fn operation(word: &'static str, verb: &'static str, operation: &'static str) -> SampleOperation {
    SampleOperation { word, verb, operation, provider: "Microsoft.ContainerInstance", below: "" }
}

const OPERATIONS: [SampleOperation; 5] = [
    operation("write", "Write", "Microsoft.ContainerInstance/containerGroups/write"),
    operation("delete", "Delete", "Microsoft.ContainerInstance/containerGroups/delete"),
    operation("restart", "Action", "Microsoft.ContainerInstance/containerGroups/restart/action"),
    operation("start", "Action", "Microsoft.ContainerInstance/containerGroups/start/action"),
    operation("stop", "Action", "Microsoft.ContainerInstance/containerGroups/stop/action"),
];

/// Tags written through the Tags API. It is not documented whether the subject is always the path of the
/// tags.
///
/// Source: <https://learn.microsoft.com/rest/api/resources/tags/update-at-scope>
const TAGS: [SampleOperation; 2] = [tags(""), tags("/providers/Microsoft.Resources/tags/default")];

const fn tags(below: &'static str) -> SampleOperation {
    SampleOperation {
        word: "tags",
        verb: "Write",
        operation: "Microsoft.Resources/tags/write",
        provider: "Microsoft.Resources",
        below,
    }
}
/// How an operation ends: the suffix of the event's type, and the status.
const ENDS: [(&str, &str); 3] = [("Success", "Succeeded"), ("Failure", "Failed"), ("Cancel", "Canceled")];

/// One of the two functions that receive events.
struct Subscriber {
    title: Title,
    name: &'static str,
    /// The severity if the function receives no events.
    state: Severity,
    impact: &'static str,
    /// Whether it needs deletions, stops and tags.
    is_writer: bool,
    /// Whether a stopped group keeps its records.
    keeps_stopped: bool,
}

pub(super) fn of_reconciler(evidence: &Inspection, settings: &Settings, caller: &Caller) -> Check {
    let function = Subscriber {
        title: RECONCILE,
        name: report::RECONCILE,
        state: Severity::Problem,
        impact: "records there do not follow changes until a sweep finds them",
        is_writer: true,
        keeps_stopped: settings.stopped == Stopped::Keep,
    };
    function.check(evidence, settings, caller)
}

pub(super) fn of_drift_tracker(evidence: &Inspection, settings: &Settings, caller: &Caller) -> Check {
    let function = Subscriber {
        title: TRACK_DRIFT,
        name: report::TRACK_DRIFT,
        state: Severity::Warning,
        impact: "only sweeps report drift of groups there",
        // A deleted or stopped group has nothing to compare.
        is_writer: false,
        keeps_stopped: true,
    };
    function.check(evidence, settings, caller)
}

impl Subscriber {
    fn check(&self, evidence: &Inspection, settings: &Settings, caller: &Caller) -> Check {
        let mut findings = vec![];
        let mut delivering = BTreeSet::new();
        for (subscription, events) in &evidence.events {
            let scope = format!("/subscriptions/{subscription}");
            let unseen = [events.topics.as_ref().err(), events.loose.as_ref().err()].into_iter().flatten();
            let of_topics =
                events.topics.iter().flatten().filter_map(|topic| topic.subscriptions.as_ref().err());
            let unseen: Vec<_> =
                unseen.chain(of_topics).map(|unseen| Finding::unseen(unseen, &scope, caller)).collect();
            let all: Vec<_> = subscriptions(events).collect();
            let subscribed = |place: &Scope| {
                all.iter().copied().filter(|one| self.is_subscribed(one, place)).collect::<Vec<_>>()
            };
            for place in places(evidence, subscription) {
                let groups = resource_groups(evidence, settings, &place);
                let is_whole = !subscribed(&place).is_empty();
                if !is_whole && place.resource_group().is_none() && !groups.is_empty() && unseen.is_empty() {
                    findings.push(self.missing_in_future(&place, events));
                }
                // Without an event subscription for the whole subscription, each resource group needs one.
                let parts = if is_whole || groups.is_empty() { vec![place] } else { groups.clone() };
                for part in parts {
                    let subscribed = subscribed(&part);
                    delivering.extend(subscribed.iter().map(|one| &one.subscription.id));
                    if subscribed.is_empty() && unseen.is_empty() {
                        findings.push(self.missing(&part, events));
                    }
                    let groups = if part.resource_group().is_some() { vec![part] } else { groups.clone() };
                    let faults: Vec<_> = subscribed.iter().map(|one| self.faults(one, &groups)).collect();
                    // One correct event subscription is enough.
                    if !faults.iter().any(Vec::is_empty) {
                        let new = faults.into_iter().flatten().filter(|fault| !findings.contains(fault));
                        findings.extend(new.collect::<Vec<_>>());
                    }
                }
            }
            findings.extend(unseen);
        }
        Check { title: self.title, examined: count(delivering.len(), "event subscription"), findings }
    }

    /// Whether an event subscription delivers events of a scope to this function.
    fn is_subscribed(&self, route: &EventRoute<'_>, place: &Scope) -> bool {
        let source = route.topic.map(|topic| &topic.source).or(route.subscription.topic.as_ref());
        let covers = |source: &ResourceId| {
            let (source, place) = (fold(source.as_str()), fold(&place.to_string()));
            source == place || place.strip_prefix(&source).is_some_and(|rest| rest.starts_with('/'))
        };
        let is_ours = |function: &ResourceId| function.name().eq_ignore_ascii_case(self.name);
        route.subscription.function.as_ref().is_some_and(is_ours) && source.is_some_and(covers)
    }

    fn missing(&self, place: &Scope, events: &EventSubscriptions) -> Finding {
        let what = format!("no event subscription delivers events of {place} to {}", self.name);
        Finding::new(self.state, what, self.impact, self.subscribe(place, events))
    }

    fn missing_in_future(&self, place: &Scope, events: &EventSubscriptions) -> Finding {
        let what = format!("no event subscription delivers events of all of {place} to {}", self.name);
        let impact = "events of new resource groups that match a pattern of ACI_DNS_ZONES are not delivered";
        Finding::new(Severity::Warning, what, impact, self.subscribe(place, events))
    }

    /// The commands that subscribe the function to the events of a scope.
    fn subscribe(&self, place: &Scope, events: &EventSubscriptions) -> String {
        let is_source = |topic: &&Topic| fold(topic.source.as_str()) == fold(&place.to_string());
        let topic = events.topics.iter().flatten().find(is_source);
        let (create, topic, resource_group) = if let Some(topic) = topic {
            (String::new(), topic.id.name(), topic.id.after("resourceGroups").unwrap_or_default())
        } else {
            let resource_group = place.resource_group().unwrap_or("RG");
            let kind = place.resource_group().map_or("Subscriptions", |_| "ResourceGroups");
            let create = format!(
                "az eventgrid system-topic create --subscription {} --resource-group {resource_group} --name \
                 aci-dns-events --location global --topic-type Microsoft.Resources.{kind} --source {place}; ",
                place.subscription()
            );
            (create, "aci-dns-events", resource_group)
        };
        format!(
            "infra/deploy.sh, or {create}az eventgrid system-topic event-subscription create --subscription {} \
             --resource-group {resource_group} --system-topic-name {topic} --name aci-dns-{} --endpoint-type \
             azurefunction --endpoint FUNCTION_APP_ID/functions/{} --advanced-filter subject StringContains \
             {CONTAINER_GROUPS}",
            place.subscription(),
            self.name.replace('_', "-"),
            self.name
        )
    }

    /// The problems of an event subscription that delivers events of these resource groups to this function.
    fn faults(&self, route: &EventRoute<'_>, groups: &[Scope]) -> Vec<Finding> {
        let EventRoute { topic, subscription } = *route;
        let mut faults = vec![];
        let mut fault = |state: Severity, what: String, impact: &str, fix: String| {
            faults.push(Finding::new(state, what, impact, fix));
        };
        let id = &subscription.id;
        let again = "run infra/deploy.sh, which creates it again";
        let states = [(id, &subscription.provisioning_state)].into_iter();
        let states = states.chain(topic.map(|topic| (&topic.id, &topic.provisioning_state)));
        for (id, state) in states {
            match state.as_deref() {
                Some(state @ ("Creating" | "Updating")) => {
                    let what = format!("{id} is {state}");
                    fault(
                        Severity::Warning,
                        what,
                        "events may not be delivered yet",
                        "wait, then run aci-dns doctor again".to_owned(),
                    );
                }
                None | Some("Succeeded") => {}
                Some(state) => fault(self.state, format!("{id} is {state}"), self.impact, again.to_owned()),
            }
        }
        let blocked = self.blocked(&subscription.filter, groups);
        let (required, others): (Vec<_>, Vec<_>) =
            blocked.excluded_names().into_iter().partition(|name| name.contains("Success"));
        let filter = Self::refilter(subscription);
        if !required.is_empty() {
            let what = format!(
                "the filter of {id} excludes {}{}",
                required.join(", "),
                begins_with(&subscription.filter)
            );
            fault(self.state, what, self.impact, filter.clone());
        } else if !others.is_empty() {
            let what = format!("the filter of {id} excludes {}", others.join(", "));
            let impact = "a failed update may still have moved the group, and its event is not delivered";
            fault(Severity::Warning, what, impact, filter.clone());
        }
        if blocked.excludes_tags {
            let what = format!(
                "the filter of {id} excludes tags that are written through the Tags API (provider \
                 Microsoft.Resources, operation Microsoft.Resources/tags/write)"
            );
            let impact = "a tag set in the portal takes effect only at the next event of another kind";
            fault(Severity::Warning, what, impact, filter.clone());
        }
        if blocked.excludes_spellings {
            let what = format!(
                "the filter of {id} is case-sensitive, and excludes ids with resourcegroups or \
                 microsoft.containerinstance in lower case"
            );
            let impact = "Resource Manager writes ids in several spellings: some events are not delivered";
            fault(Severity::Warning, what, impact, filter.clone());
        }
        for condition in blocked.unknown {
            let what = format!(
                "it is unknown which events the condition {condition} in the filter of {id} excludes"
            );
            fault(Severity::Warning, what, "events may be excluded", filter.clone());
        }
        if !subscription.keeps_dead_letters {
            let what = format!("{id} has no dead-letter destination");
            let impact = "an event that cannot be delivered for a day is lost; a sweep finds the change";
            fault(Severity::Warning, what, impact, again.to_owned());
        }
        if let Some(end) = &subscription.expires {
            let what = format!("{id} expires at {end}");
            fault(Severity::Warning, what, self.impact, again.to_owned());
        }
        faults
    }

    /// The command that sets the filter of the deployment: all nine types of event.
    fn refilter(subscription: &EventSubscription) -> String {
        let types = ["Write", "Delete", "Action"]
            .into_iter()
            .flat_map(|verb| ENDS.map(|(end, _)| format!("\"Microsoft.Resources.Resource{verb}{end}\"")));
        format!(
            "infra/deploy.sh, or az rest --method patch --url {}?api-version=2022-06-15 --body \
             '{{\"filter\":{{\"includedEventTypes\":[{}],\"advancedFilters\":[{{\"operatorType\":\"StringContains\",\
             \"key\":\"subject\",\"values\":[\"{CONTAINER_GROUPS}\"]}}]}}}}'",
            subscription.id,
            types.collect::<Vec<_>>().join(",")
        )
    }

    /// The events that the function needs and the filter excludes.
    fn blocked(&self, filter: &Filter, groups: &[Scope]) -> Blocked {
        let mut blocked = Blocked::default();
        let concerns = |operation: &&SampleOperation| match operation.word {
            "delete" => self.is_writer,
            "stop" => !self.keeps_stopped,
            _ => true,
        };
        for group in groups {
            for operation in OPERATIONS.iter().filter(concerns) {
                for (end, status) in ENDS {
                    let event = Sample::new(group, operation, end, status);
                    let passes = blocked.passes(filter, &event);
                    blocked
                        .results
                        .entry(event.event_type.clone())
                        .or_default()
                        .push((operation.word, passes));
                    let is_spelling = passes && !blocked.passes(filter, &event.in_lower_case());
                    blocked.excludes_spellings |= is_spelling;
                }
            }
            for operation in TAGS.iter().filter(|_| self.is_writer) {
                let event = Sample::new(group, operation, "Success", "Succeeded");
                let is_excluded = !blocked.passes(filter, &event);
                // If all writes are excluded, a further message adds nothing.
                blocked.excludes_tags |= is_excluded && blocked.passes_word("write");
            }
        }
        blocked
    }
}

/// The prefix that a filter requires of the names of container groups.
fn begins_with(filter: &Filter) -> String {
    let start = fold(&filter.subject_begins_with);
    match start.split_once(&fold(CONTAINER_GROUPS)) {
        Some((_, name)) if !name.is_empty() => {
            format!(" of container groups whose names do not begin with {name:?}")
        }
        _ => String::new(),
    }
}

/// The effect of a filter on events.
#[derive(Default)]
struct Blocked {
    /// For each type of event: the operation, and whether the filter passes it.
    results: BTreeMap<String, Vec<(&'static str, bool)>>,
    excludes_tags: bool,
    excludes_spellings: bool,
    /// Conditions that cannot be evaluated here.
    unknown: BTreeSet<String>,
}

/// A sample event.
#[derive(Clone)]
struct Sample {
    event_type: String,
    subject: String,
    topic: String,
    operation: String,
    provider: String,
    status: &'static str,
}

impl Blocked {
    /// The types of events that the filter excludes completely, and the single operations that it excludes:
    /// `stop (TYPE)`.
    fn excluded_names(&self) -> Vec<String> {
        let mut excluded = vec![];
        for (event_type, results) in &self.results {
            if results.iter().all(|(_, passes)| !passes) {
                excluded.push(event_type.clone());
                continue;
            }
            let words: BTreeSet<_> =
                results.iter().filter(|(_, passes)| !passes).map(|(word, _)| word).collect();
            excluded.extend(words.into_iter().map(|word| format!("{word} ({event_type})")));
        }
        excluded
    }

    fn passes_word(&self, word: &str) -> bool {
        self.results.values().flatten().any(|(name, passes)| *name == word && *passes)
    }

    /// Whether a filter passes an event.
    fn passes(&mut self, filter: &Filter, event: &Sample) -> bool {
        let is_type = |name: &String| name.eq_ignore_ascii_case(&event.event_type);
        let text = |text: &str| if filter.is_case_sensitive { text.to_owned() } else { fold(text) };
        let subject = text(&event.subject);
        let mut passes = (filter.event_types.is_empty() || filter.event_types.iter().any(is_type))
            && subject.starts_with(&text(&filter.subject_begins_with))
            // No suffix matches all names.
            && filter.subject_ends_with.is_empty();
        for condition in &filter.advanced {
            match event.satisfies(condition) {
                Some(is_met) => passes &= is_met,
                None => _ = self.unknown.insert(format!("{} {}", condition.operator, condition.key)),
            }
        }
        passes
    }
}

impl Sample {
    fn new(group: &Scope, operation: &SampleOperation, end: &str, status: &'static str) -> Self {
        Self {
            event_type: format!("Microsoft.Resources.Resource{}{end}", operation.verb),
            subject: format!("{group}{CONTAINER_GROUPS}{NAME}{}", operation.below),
            topic: group.to_string(),
            operation: operation.operation.to_owned(),
            provider: operation.provider.to_owned(),
            status,
        }
    }

    /// The same event in another spelling of Resource Manager.
    fn in_lower_case(&self) -> Self {
        Self {
            subject: self.subject.to_lowercase(),
            topic: self.topic.to_lowercase(),
            operation: self.operation.to_lowercase(),
            provider: self.provider.to_lowercase(),
            ..self.clone()
        }
    }

    /// Whether the event meets a condition; `None` if that is unknown.
    fn satisfies(&self, condition: &Condition) -> Option<bool> {
        let value = match fold(&condition.key).as_str() {
            "subject" | "data.resourceuri" => &self.subject,
            "eventtype" => &self.event_type,
            "topic" => &self.topic,
            "data.operationname" => &self.operation,
            "data.resourceprovider" => &self.provider,
            "data.status" => self.status,
            _ => return None,
        };
        let value = fold(value);
        let any = |is_met: fn(&str, &str) -> bool| {
            condition.values.iter().any(|given| is_met(&value, &fold(given)))
        };
        Some(match fold(&condition.operator).as_str() {
            "stringin" => any(|value, given| value == given),
            "stringnotin" => !any(|value, given| value == given),
            "stringcontains" => any(|value, given| value.contains(given)),
            "stringnotcontains" => !any(|value, given| value.contains(given)),
            "stringbeginswith" => any(|value, given| value.starts_with(given)),
            "stringnotbeginswith" => !any(|value, given| value.starts_with(given)),
            // The end of a name differs from group to group.
            "stringendswith" | "stringnotendswith" if value == fold(&self.subject) => return None,
            "stringendswith" => any(|value, given| value.ends_with(given)),
            "stringnotendswith" => !any(|value, given| value.ends_with(given)),
            "isnotnull" => true,
            "isnullorundefined" => false,
            _ => return None,
        })
    }
}

/// An event subscription and its topic.
#[derive(Clone, Copy)]
struct EventRoute<'a> {
    topic: Option<&'a Topic>,
    subscription: &'a EventSubscription,
}

/// The known event subscriptions of a subscription.
fn subscriptions(events: &EventSubscriptions) -> impl Iterator<Item = EventRoute<'_>> {
    let of_topics = events.topics.iter().flatten().flat_map(|topic| {
        let subscriptions = topic.subscriptions.iter().flatten();
        subscriptions.map(move |subscription| EventRoute { topic: Some(topic), subscription })
    });
    let loose = events.loose.iter().flatten().map(|subscription| EventRoute { topic: None, subscription });
    of_topics.chain(loose)
}

/// The sources of the events of a subscription: the existing scopes of the map.
fn places(evidence: &Inspection, subscription: &str) -> Vec<Scope> {
    let exists = evidence.scopes.iter().filter(|(_, found)| found.rights != Ok(None));
    exists.map(|(scope, _)| scope).filter(|scope| scope.subscription() == subscription).cloned().collect()
}

/// The resource groups of a scope whose container groups the map serves.
fn resource_groups(evidence: &Inspection, settings: &Settings, place: &Scope) -> Vec<Scope> {
    if place.resource_group().is_some() {
        return vec![place.clone()];
    }
    let groups = evidence.scopes.get(place).into_iter().flat_map(|found| found.groups.iter().flatten());
    let served = groups.map(|(id, _)| id).filter(|id| settings.zones.serving(id).is_some());
    let names: BTreeSet<String> = served.map(|id| fold(id.resource_group())).collect();
    names.into_iter().map(|name| Scope::new(place.subscription(), Some(&name))).collect()
}

pub(super) fn of_room(evidence: &Inspection) -> Check {
    let (mut findings, mut examined) = (vec![], 0);
    for topic in evidence.events.values().flat_map(|events| events.topics.iter().flatten()) {
        let Ok(subscriptions) = &topic.subscriptions else { continue };
        examined += 1;
        let used = u64::try_from(subscriptions.len()).unwrap_or(u64::MAX);
        let quota = Quota { used, most: Some(MOST_SUBSCRIPTIONS) };
        if let Some(fullness) = fullness(quota) {
            findings.push(Finding::new(
                fullness,
                format!("{} has {} event subscriptions", topic.id, percentage(quota)),
                "once it is full, no further event subscription can be added",
                "delete unused event subscriptions",
            ));
        }
    }
    Check { title: ROOM, examined: count(examined, "topic"), findings }
}

#[cfg(test)]
mod tests;
