// What must hold of ../queries, and of the alerts and the workbook that ask them.
//
//     NODE_PATH=<where the parser is installed>/node_modules node --test infra/check/queries.test.js

"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");
const { examine, fields, knobs, questions, read, turn } = require("./kusto.js");
const workbook = require("./workbook.js");

for (const file of questions()) {
  test(`${file} opens with its question, and names only what exists`, () => {
    assert.match(read(file), /^\/\/ [A-Z].*\?\n/);
    assert.deepEqual(examine(read(file)).problems, []);
  });
}

test("a query that is broken, or names what does not exist, is refused", () => {
  const check = (query, ...problems) => assert.deepEqual(examine(query).problems, problems.map((each) => `line 1: ${each}`));
  const unknown = (name) => `The name '${name}' does not refer to any known column, table, variable or function.`;

  check('dependencies | where type == "InProc', 'Missing: "');
  check("events", unknown("events"));
  check('dependencies | where sortOf == "InProc"', unknown("sortOf"));
  check("AciDnsDrift_CL | project Kind", unknown("Kind"));
  check('dependencies | where type == "InProx"', 'dependencies.type is never "InProx"');
  check('dependencies | where name == "GET B"', 'dependencies.name is never "GET B"');
  check('dependencies | where name startswith "POST "', 'dependencies.name is never "POST "');
  check('customEvents | where name in ("no_change", "drift")', 'customEvents.name is never "drift"');
  check('customMetrics | where name == "aci_dns.drifts"', 'customMetrics.name is never "aci_dns.drifts"');
  check('exceptions | where type == "aci_dns.error"', 'exceptions.type is never "aci_dns.error"');
  check('requests | where operation_Name == "reconcile"', 'requests.operation_Name is never "reconcile"');
  check('AciDnsDrift_CL | where Event != "drift"', 'AciDnsDrift_CL.Event is never "drift"');
  check('customEvents | extend x = tostring(customDimensions["dns.name"])', "nothing emits the dimension dns.name");
  check(
    'dependencies | extend o = tostring(customDimensions["outcome"]) | where o !in ("failed", "error")',
    'outcome is never "error"',
  );
  for (const spelled of ["customDimensions.outcome", "customDimensions['outcome']", "customDimensions[name]"]) {
    check(`dependencies | project x = tostring(${spelled})`, `${spelled} is not spelled customDimensions["name"]`);
  }
});

test("every dimension, event and metric that is emitted is listed once", () => {
  for (const [name, list] of Object.entries({ ...fields, ...fields.tables })) {
    assert.ok(!Array.isArray(list) || new Set(list).size === list.length, name);
  }
});

// The rules of alerts.bicep, as they stand there: the file that each asks, and what replaces what in it.
const alerts = fs.readFileSync(path.join(__dirname, "..", "modules", "alerts.bicep"), "utf8");

function asked() {
  return [...alerts.matchAll(/loadTextContent\('([^']+)'\)/g)].map(([, file]) => file);
}

function dimensionsOf(file) {
  const name = path.basename(file, ".kql");
  const [, dimensions] = alerts.match(new RegExp(`name: '${name}'[^]*?dimensions: \\[([^\\]]*)\\]`));
  return [...dimensions.matchAll(/'([^']+)'/g)].map(([, dimension]) => dimension);
}

test("an alert asks a question as it stands, but for a knob that the question has", () => {
  assert.deepEqual(asked().filter((file) => !questions().includes(path.relative("../queries", file))), []);
  const lines = asked().flatMap((file) => read(path.basename(file)).split("\n"));
  const replaced = [...alerts.matchAll(/replace\((?:[^,]|\([^)]*\))*?, '(let [^']+)'/g)].map(([, line]) => line);
  assert.equal(replaced.length, [...alerts.matchAll(/\breplace\(/g)].length);
  for (const line of replaced) {
    assert.ok(lines.includes(line), line);
    const name = line.match(/^let (\w+) = /)[1];
    assert.match(alerts, new RegExp(`'let ${name} = (\\$\\{${name}\\}|true);'`));
  }
});

// https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-log-query and alerts-create-log-alert-rule.
test("an alert asks only what Azure Monitor takes as an alert", () => {
  assert.equal(asked().length, 10);
  for (const file of asked()) {
    const query = read(path.basename(file));
    const { columns } = examine(query);
    assert.doesNotMatch(query.replace(/^\/\/.*$/gm, ""), /\b(union|search|limit|take|ago|bag_unpack|pivot|narrow|AggregatedValue)\b/, file);
    // A column of that name would make the rule count by windows, of which only the last would matter.
    assert.ok(!columns.some(({ name }) => ["timestamp", "TimeGenerated"].includes(name)), file);
    const dimensions = dimensionsOf(file);
    assert.ok(dimensions.length <= 6, file);
    for (const dimension of dimensions) {
      assert.equal(columns.find(({ name }) => name === dimension)?.type, "string", `${file}: ${dimension}`);
    }
  }
});

test("the workbook is what workbook.js writes", () => {
  assert.equal(fs.readFileSync(workbook.file, "utf8"), workbook.text());
});

test("the workbook asks questions as they stand, but for their knobs", () => {
  const items = JSON.parse(fs.readFileSync(workbook.file, "utf8")).items.filter((item) => item.type === 3);
  for (const { name, content } of items) {
    const question = read(`${name}.kql`);
    assert.equal(content.query, turn(question, knobs(content.query)), name);
  }
  const shown = new Set(items.map((item) => item.name));
  for (const name of [
    "drift-by-kind", "not-converged", "event-to-dns", "failures-by-cause", "throttling", "conflicts", "wrong-names", "image-updates",
    "images-not-updated",
  ]) {
    assert.ok(shown.has(name), name);
  }
  // The most that loadTextContent takes: https://learn.microsoft.com/azure/azure-resource-manager/bicep/bicep-functions-files.
  assert.ok(fs.readFileSync(workbook.file, "utf8").length < 131072);
});
