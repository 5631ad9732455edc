// Reads a query as Azure does: with Microsoft's own parser (the one of the portal's editor), against the tables that a
// query of ours may name. What comes back is what is wrong with the query, in words, and the columns of its answer.
//
// The parser knows tables and columns. That customDimensions is a bag of names, and `name` a list of them, it cannot
// know; fields.json does, and so both are looked up there. One spelling is allowed, customDimensions["outcome"],
// because only what is spelled one way is found for certain.

"use strict";

const fs = require("node:fs");
const path = require("node:path");

require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");
const { GlobalState, KustoCode, Symbols, Syntax } = globalThis.Kusto.Language;

const folder = path.join(__dirname, "..", "queries");
const fields = JSON.parse(fs.readFileSync(path.join(folder, "fields.json"), "utf8"));

const common = "timestamp:datetime, customDimensions:dynamic, customMeasurements:dynamic, operation_Name:string, "
  + "operation_Id:string, operation_ParentId:string, cloud_RoleName:string, cloud_RoleInstance:string, "
  + "appName:string, itemCount:int, itemType:string";

const columnTypes = { TimeGenerated: "datetime", Kinds: "dynamic", DnsAddresses: "dynamic", Ptr: "dynamic" };

// The columns that queries use, of the tables of an Application Insights resource:
// https://learn.microsoft.com/azure/azure-monitor/reference/tables/appdependencies and its neighbours.
const schemas = {
  requests: `${common}, id:string, name:string, url:string, success:string, resultCode:string, duration:real`,
  dependencies: `${common}, id:string, target:string, type:string, name:string, data:string, success:string, `
    + "resultCode:string, duration:real",
  customEvents: `${common}, name:string`,
  exceptions: `${common}, problemId:string, type:string, outerType:string, outerMessage:string, severityLevel:int`,
  customMetrics: `${common}, name:string, value:real, valueCount:int, valueSum:real, valueMin:real, valueMax:real`,
  traces: `${common}, message:string, severityLevel:int`,
};
for (const [table, columns] of Object.entries(fields.tables)) {
  schemas[table] = columns.map((column) => `${column}:${columnTypes[column] ?? "string"}`).join(", ");
}

const tables = Object.entries(schemas).map(([name, columns]) => Symbols.TableSymbol.From(`(${columns})`).WithName(name));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("azure", tables));

// What a column can say, where that is known.
const words = {
  "requests.operation_Name": fields.functions,
  "dependencies.type": fields.dependency_types,
  "dependencies.name": [...fields.functions, ...fields.dependency_names],
  "customEvents.name": fields.events,
  "customMetrics.name": fields.metrics,
  "exceptions.type": fields.outcomes.map((outcome) => `aci_dns.${outcome}`),
  "AciDnsDrift_CL.Event": fields.events,
  outcome: fields.outcomes,
  "drift.event": fields.events,
  kind: fields.drift_kinds,
};

const questions = () => fs.readdirSync(folder).filter((file) => file.endsWith(".kql")).sort();

const read = (file) => fs.readFileSync(path.join(folder, file), "utf8");

function list(bridged) {
  return Array.from({ length: bridged?.Count ?? 0 }, (_, index) => bridged.getItem(index));
}

function kind(node) {
  return globalThis.Bridge.getTypeName(node).split(".").pop();
}

function source(node) {
  return node.toString().trim();
}

/** The table and column that a name means, as "dependencies.name"; nothing where a query made the column itself. */
function columnOf(node) {
  const symbol = node.ReferencedSymbol;
  const originals = [symbol, ...list(symbol?.OriginalColumns)];
  const table = originals.map((column) => column && globals.GetTable(column)).find(Boolean);
  return table ? `${table.Name}.${symbol.Name}` : undefined;
}

function literals(node) {
  const found = [];
  Syntax.SyntaxElement.WalkElements(node, (element) => {
    if (kind(element) === "LiteralExpression" && element.ResultType?.Name === "string") {
      found.push(element.LiteralValue);
    }
  });
  return found;
}

function dimensionOf(node) {
  const expression = source(node).match(/^tostring\(customDimensions\["([^"]+)"\]\)$/);
  return expression?.[1];
}

/**
 * What is wrong with a query, and the columns of its answer.
 * @param {string} text
 * @returns {{problems: string[], columns: {name: string, type: string}[]}}
 */
function examine(text) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const line = (node) => text.slice(0, node.Start ?? node.TextStart).split("\n").length;
  const problems = list(code.GetDiagnostics()).map((each) => `line ${line(each)}: ${each.Message}`);
  const aliases = {};

  Syntax.SyntaxElement.WalkElements(code.Syntax, (node) => {
    if (kind(node) === "SimpleNamedExpression" && dimensionOf(node.Expression)) {
      aliases[source(node.Name)] = dimensionOf(node.Expression);
    }
  });

  Syntax.SyntaxElement.WalkElements(code.Syntax, (node) => {
    if (kind(node) === "NameReference" && node.ReferencedSymbol?.Name === "customDimensions") {
      const element = source(node.Parent);
      const [, name] = element.match(/^customDimensions\["([^"]+)"\]$/) ?? [];
      if (name === undefined) {
        problems.push(`line ${line(node)}: ${element} is not spelled customDimensions["name"]`);
      } else if (!fields.dimensions.includes(name)) {
        problems.push(`line ${line(node)}: nothing emits the dimension ${name}`);
      }
    }
    if (!["BinaryExpression", "InExpression"].includes(kind(node)) || kind(node.Left) !== "NameReference") {
      return;
    }
    const about = columnOf(node.Left) ?? aliases[source(node.Left)];
    const isPrefix = source(node).includes(" startswith ");
    for (const literal of words[about] ? literals(node.Right) : []) {
      if (!words[about].some((word) => (isPrefix ? word.startsWith(literal) : word === literal))) {
        problems.push(`line ${line(node)}: ${about} is never "${literal}"`);
      }
    }
  });

  const columns = list(code.ResultType?.Columns).map((column) => ({ name: column.Name, type: column.Type.Name }));
  return { problems, columns };
}

/**
 * The knobs of a query: its lines `let name = literal;`. Whoever uses it may put another literal there, nothing else.
 * @param {string} text
 */
function knobs(text) {
  return Object.fromEntries([...text.matchAll(/^let (\w+) = ([^\n;]+);$/gm)].map(([, name, literal]) => [name, literal]));
}

/** The query with other literals at its knobs; a knob that the query does not have is an error. */
function turn(text, settings) {
  return Object.entries(settings).reduce((turned, [name, literal]) => {
    const knob = `let ${name} = ${knobs(text)[name]};`;
    if (text.split(knob).length !== 2) {
      throw new Error(`the query has no line "let ${name} = …;", or several`);
    }
    return turned.replace(knob, () => `let ${name} = ${literal};`);
  }, text);
}

module.exports = { examine, fields, knobs, questions, read, turn };
