// Lays out the workbook: which questions it shows, and how. The questions themselves stand in ../queries.
//
//     node workbook.js      writes ../workbook.json
//
// The format is the one of the portal's own export ("Notebook/1.0"):
// https://learn.microsoft.com/azure/azure-monitor/visualize/workbooks-overview. The placeholder {applicationInsightsId}
// is filled in when it is deployed.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { read, turn } = require("./kusto.js");

const file = path.join(__dirname, "..", "workbook.json");

const component = { queryType: 0, resourceType: "microsoft.insights/components" };

const minute = 60 * 1000;
const hour = 60 * minute;
const day = 24 * hour;

function heading(name, text) {
  return { type: 1, content: { json: text }, name };
}

function parameters(name, each) {
  const content = { version: "KqlParameterItem/1.0", parameters: each, style: "pills", ...component };
  return { type: 9, content, name };
}

/** A question and its picture; `settings` turns the query's knobs. */
function question(name, title, looks = {}, settings = {}) {
  const { width, ...rest } = looks;
  return {
    type: 3,
    content: {
      version: "KqlItem/1.0",
      query: turn(read(`${name}.kql`), settings),
      size: 0,
      title,
      noDataMessage: "Nothing in this range of time.",
      timeContextFromParameter: "TimeRange",
      ...component,
      visualization: "table",
      ...rest,
    },
    ...(width && { customWidth: String(width) }),
    name,
  };
}

function chart(y, by) {
  const series = Array.isArray(y) ? y : [y];
  const group = by && { group: by, createOtherGroup: 0 };
  return { chartSettings: { xAxis: "timestamp", yAxis: series, ...group } };
}

function workbook() {
  return {
    version: "Notebook/1.0",
    items: [
      heading("what", [
        "Names of container groups in Private DNS: which are wrong, why, and how fast they are put right.",
        "Every table and chart is one file of `infra/queries`; the comment on top of its query says how it counts.",
      ].join("\n")),
      parameters("range", [
        {
          id: "9d0e6f0e-6a63-4f0a-8f0d-2b1c1c0a7d11",
          version: "KqlParameterItem/1.0",
          name: "TimeRange",
          label: "Range of time",
          type: 4,
          isRequired: true,
          value: { durationMs: day },
          typeSettings: {
            selectableValues: [hour, 4 * hour, 12 * hour, day, 2 * day, 7 * day, 30 * day]
              .map((durationMs) => ({ durationMs })),
            allowCustom: true,
          },
        },
      ]),
      heading("now", "## Now"),
      question("not-converged", "Container groups that are not converged"),
      question("wrong-names", "Names that are wrong", {}, { onlyStillWrong: "true" }),
      question("conflicts", "Conflicts, and who owns the name"),
      heading("time", "## Over time"),
      question("drift-by-kind", "Drift, by kind", {
        visualization: "barchart", width: 50, ...chart("reports", "driftKind"),
      }),
      question("outcomes", "Reconciliations, by outcome", {
        visualization: "barchart", width: 50, ...chart("reconciliations", "outcome"),
      }),
      question("event-to-dns", "From event to right records, seconds", {
        visualization: "linechart", width: 50, ...chart(["p50", "p95", "p99"]),
      }),
      question("load", "Requests to Resource Manager, throttles, lost races, shared passes", {
        visualization: "linechart", width: 50, ...chart("total", "metric"),
      }),
      heading("why", "## Why"),
      question("failures-by-cause", "Failures, by cause"),
      question("failed-invocations", "Invocations that redelivery will not repair"),
      question("throttling", "Throttling and retries, by zone"),
      question("arm-latency", "Resource Manager, milliseconds per operation"),
      question("lost-telemetry", "Telemetry that was lost"),
      heading("images", "## Images\nWhere images are updated: what pushes did to container groups, and what could not be done."),
      question("images-not-updated", "Images that could not be updated"),
      question("image-updates", "Pushes, and what came of them"),
      heading("history", "## History"),
      question("wrong-names", "Names that were wrong, since when, and for how long"),
      parameters("group", [
        {
          id: "3c8b2b4e-52b5-4b0e-9c54-0f3f8f4e2a6d",
          version: "KqlParameterItem/1.0",
          name: "ContainerGroup",
          label: "Container group (its name, or a part of its resource id)",
          type: 1,
          isRequired: true,
          value: "",
        },
      ]),
      question("group-timeline", "What happened to it", {}, { containerGroup: '"{ContainerGroup}"' }),
    ],
    fallbackResourceIds: ["{applicationInsightsId}"],
    $schema: "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
  };
}

function text() {
  return `${JSON.stringify(workbook(), null, 2)}\n`;
}

if (require.main === module) {
  fs.writeFileSync(file, text());
}

module.exports = { file, text };
