// What wakes a person: rules over the telemetry of aci-dns, and over what Event Grid gave up.
//
// A rule asks one of ../queries, word for word but for its knobs (the lines `let name = literal;`), and fires when there
// is an answer, once for each combination of its dimensions. It resolves itself when there is none any more.

@description('The names of the rules start with it.')
param namePrefix string

@description('Where the rules over logs are kept. Metric alerts are global.')
param location string

param tags object

@description('The Application Insights component that the function app writes to.')
param applicationInsightsId string

@description('The Event Grid system topics whose events the functions subscribe to.')
param systemTopicIds array

@description('The action groups to call when a rule fires, and when it resolves.')
param actionGroupIds array

@description('Address that an action group is made for; empty: none.')
param alertEmail string

@description('How long a name may be wrong, or a container group not converged, before somebody is told. A rule looks back two days, no further.')
@minValue(5)
@maxValue(2820)
param driftMinutes int

@description('How long no event may come before somebody is told.')
@minValue(60)
@maxValue(2820)
param silentMinutes int

// One row per answer; the answers of `recent` questions tell what happened, those of `state` questions what is.
var recent = 'PT15M'
var state = 'P2D'
// Twice the time from sweep to sweep, so that what each of them finds is one alert.
var betweenSweeps = 'PT30M'

var longEnough = 'let driftMinutes = ${driftMinutes};'
var silentEnough = 'let silentMinutes = ${silentMinutes};'
var wrongNames = replace(loadTextContent('../queries/wrong-names.kql'), 'let driftMinutes = 0;', longEnough)

var rules = [
  {
    name: 'failed-invocations'
    display: 'aci-dns: invocations fail, and a person has to act'
    description: 'Permissions, a missing zone, no reverse zone for the address, a bad tag, an event that cannot be read, or a handler that did not answer. The error says which.'
    severity: 1
    query: loadTextContent('../queries/failed-invocations.kql')
    range: recent
    dimensions: ['function', 'outcome', 'containerGroup']
  }
  {
    name: 'wrong-names'
    display: 'aci-dns: a name has been wrong for too long'
    description: 'DNS and the live container group differ, and nothing has put that right in the time allowed.'
    severity: 1
    query: replace(wrongNames, 'let onlyStillWrong = false;', 'let onlyStillWrong = true;')
    range: state
    dimensions: ['fqdn', 'containerGroup']
  }
  {
    name: 'not-converged'
    display: 'aci-dns: a container group has not converged for too long'
    description: 'Every attempt since has failed, redeliveries included.'
    severity: 2
    query: replace(loadTextContent('../queries/not-converged.kql'), 'let driftMinutes = 0;', longEnough)
    range: state
    dimensions: ['containerGroup', 'outcome']
  }
  {
    name: 'conflicts'
    display: 'aci-dns: a name has another owner'
    description: 'The record set belongs to another live container group, to an auto-registered record, or to nobody we know. Nothing of it was touched.'
    severity: 2
    query: loadTextContent('../queries/conflicts.kql')
    range: recent
    dimensions: ['fqdn', 'owner', 'containerGroup']
  }
  {
    name: 'unfinished'
    display: 'aci-dns: work is unfinished for more than ten minutes'
    description: 'Its message is in the retry queue and is tried again and again: Azure throttles or fails, or a container group gets no address.'
    severity: 2
    query: loadTextContent('../queries/unfinished.kql')
    range: state
    dimensions: ['containerGroup', 'outcome']
  }
  {
    name: 'poison'
    display: 'aci-dns: unfinished work was given up'
    description: 'A message was tried for a day and is now in the queue aci-dns-retry-poison. See it with aci-dns retry list, repair what it names, then run aci-dns retry redrive.'
    severity: 1
    query: loadTextContent('../queries/poison.kql')
    range: recent
    dimensions: ['cloud_RoleName']
  }
  {
    name: 'sweep-findings'
    display: 'aci-dns: a sweep found wrong names'
    description: 'No event had put them right: the platform moved a container group, a record set was edited, or events do not arrive.'
    severity: 2
    query: loadTextContent('../queries/sweep-findings.kql')
    range: betweenSweeps
    dimensions: ['fqdn', 'containerGroup']
  }
  {
    name: 'images-not-updated'
    display: 'aci-dns: an image could not be updated'
    description: 'A container group keeps its old image: Azure hides something that an update would lose, a tag cannot be read, a right is missing, or the group does not settle. The error says which.'
    severity: 2
    query: loadTextContent('../queries/images-not-updated.kql')
    range: state
    dimensions: ['containerGroup', 'repository', 'outcome']
  }
  {
    name: 'silence'
    display: 'aci-dns: no event has come for a while'
    description: 'Either no container group has changed, or events do not arrive: look at the event subscriptions and at the function app.'
    severity: 3
    query: replace(loadTextContent('../queries/silence.kql'), 'let silentMinutes = 1440;', silentEnough)
    range: state
    dimensions: []
  }
  {
    name: 'lost-telemetry'
    display: 'aci-dns: telemetry was lost'
    description: 'The answers to all other questions have holes. The handler itself goes on.'
    severity: 3
    query: loadTextContent('../queries/lost-telemetry.kql')
    range: recent
    dimensions: ['cloud_RoleInstance']
  }
]

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: '${namePrefix}-alerts'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'aci-dns'
    emailReceivers: [{ name: 'operator', emailAddress: alertEmail, useCommonAlertSchema: true }]
  }
}

var notifiedGroupIds = empty(alertEmail) ? actionGroupIds : concat(actionGroupIds, [actionGroup.id])

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${namePrefix}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.display
      description: rule.description
      enabled: true
      severity: rule.severity
      scopes: [applicationInsightsId]
      evaluationFrequency: 'PT5M'
      windowSize: rule.range
      // Until the app has sent telemetry, its tables do not exist.
      skipQueryValidation: true
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            dimensions: map(rule.dimensions, dimension => {
              name: dimension
              operator: 'Include'
              values: ['*']
            })
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: notifiedGroupIds
      }
    }
  }
]

// Event Grid gives up an event after a day, or when its subscription says so. It is then kept as a blob, or, where that
// cannot be, dropped. A metric rule watches one topic: Azure Monitor takes lists of some kinds of resource, not of this.
var givenUp = [
  {
    name: 'dead-lettered'
    metric: 'DeadLetteredCount'
    severity: 1
    description: 'Event Grid could not deliver events and keeps them as blobs. The groups that they name may be wrong: see why, then touch the groups or replay the blobs.'
  }
  {
    name: 'dropped'
    metric: 'DroppedEventCount'
    severity: 1
    description: 'Event Grid could neither deliver events nor keep them. Nothing tells which groups they named: look for drift.'
  }
]

var watches = flatten(map(systemTopicIds, topic => map(givenUp, what => { topic: topic, what: what })))

resource metricAlerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for watch in watches: {
    // Topics of several spokes have the same name.
    name: '${namePrefix}-${watch.what.name}-${last(split(watch.topic, '/'))}-${uniqueString(toLower(watch.topic))}'
    location: 'global'
    tags: tags
    properties: {
      description: watch.what.description
      enabled: true
      severity: watch.what.severity
      scopes: [watch.topic]
      evaluationFrequency: 'PT5M'
      // Longer than the time between two looks: a value that comes late still falls into a window.
      windowSize: 'PT15M'
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: watch.what.name
            metricNamespace: 'Microsoft.EventGrid/systemTopics'
            metricName: watch.what.metric
            timeAggregation: 'Total'
            operator: 'GreaterThan'
            threshold: 0
          }
        ]
      }
      actions: map(notifiedGroupIds, id => { actionGroupId: id })
    }
  }
]
