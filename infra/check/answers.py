"""Asks the questions of infra/queries of telemetry that is made here, and holds the answers to what happened in it.

    python answers.py           a made-up afternoon, and the answers that it has to have
    python answers.py FILE      the answers to every question, from envelopes in a file, one or a list of them per line

The rows come in as envelopes, as Application Insights receives them, and become tables as it stores them. The queries
run as they stand on DuckDB, which speaks enough of the language. Windows of time, sampling and the size of a real
workspace are not in this.
"""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb_kql
from duckdb_kql.translate import functions

# The two that it does not speak: the row before and the row after. Queries use them behind `sort` alone. As in Kusto,
# there is no empty row: before the first row of a text column stands the empty text.
for function, column in {"prev": "lag({0}) OVER ()", "next": "lead({0}) OVER ()"}.items():
    functions.SCALAR_FUNCTIONS[function] = functions.FunctionSpec(function, "template", column, (1,))

QUERIES = Path(__file__).parent.parent / "queries"
FIELDS = json.loads((QUERIES / "fields.json").read_text())

COMMON = {
    "timestamp": "TIMESTAMP", "operation_Name": "VARCHAR", "operation_Id": "VARCHAR", "operation_ParentId": "VARCHAR",
    "cloud_RoleName": "VARCHAR", "cloud_RoleInstance": "VARCHAR", "itemCount": "INTEGER", "customDimensions": "JSON",
}  # fmt: skip
CALL = {"id": "VARCHAR", "name": "VARCHAR", "success": "BOOLEAN", "resultCode": "VARCHAR", "duration": "DOUBLE"}
TABLES = {
    "requests": COMMON | CALL,
    "dependencies": COMMON | CALL | {"type": "VARCHAR", "target": "VARCHAR"},
    "customEvents": COMMON | {"name": "VARCHAR"},
    "traces": COMMON | {"message": "VARCHAR", "severityLevel": "INTEGER"},
    "exceptions": COMMON | {"type": "VARCHAR", "outerMessage": "VARCHAR"},
    "customMetrics": COMMON
    | {"name": "VARCHAR", "valueSum": "DOUBLE", "valueCount": "INTEGER", "valueMin": "DOUBLE", "valueMax": "DOUBLE"},
    "AciDnsDrift_CL": {column: "VARCHAR" for column in FIELDS["tables"]["AciDnsDrift_CL"]}
    | {"TimeGenerated": "TIMESTAMP", "Kinds": "JSON", "DnsAddresses": "JSON", "Ptr": "JSON"},
}


def milliseconds(duration):
    """Of "[days.]hours:minutes:seconds", the form of a duration in an envelope."""
    days, hours, minutes, seconds = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d+):([\d.]+)", duration).groups()
    return 1000 * (((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds))


def rows(envelope):
    """The table and the rows that Application Insights makes of an envelope."""
    tags, base = envelope.get("tags", {}), envelope["data"]["baseData"]
    common = {
        "timestamp": datetime.fromisoformat(envelope["time"]).astimezone(UTC).replace(tzinfo=None),
        "operation_Name": tags.get("ai.operation.name"),
        "operation_Id": tags.get("ai.operation.id"),
        "operation_ParentId": tags.get("ai.operation.parentId"),
        "cloud_RoleName": tags.get("ai.cloud.role"),
        "cloud_RoleInstance": tags.get("ai.cloud.roleInstance"),
        "itemCount": 1,
        "customDimensions": json.dumps(base.get("properties", {})),
    }
    match envelope["data"]["baseType"]:
        case "RequestData" | "RemoteDependencyData" as kind:
            call = {column: base.get(column) for column in CALL} | {"duration": milliseconds(base["duration"])}
            if kind == "RequestData":
                return "requests", [common | call | {"resultCode": base["responseCode"]}]
            return "dependencies", [common | call | {"type": base["type"], "target": base.get("target")}]
        case "EventData":
            return "customEvents", [common | {"name": base["name"]}]
        case "MessageData":
            level = {"severityLevel": base.get("severityLevel", 1), "message": base["message"]}
            return "traces", [common | level]
        case "ExceptionData":
            outer = base["exceptions"][0]
            return "exceptions", [common | {"type": outer["typeName"], "outerMessage": outer["message"]}]
        case "MetricData":
            return "customMetrics", [
                common
                | {
                    "name": metric["name"],
                    "valueSum": metric["value"],
                    "valueCount": metric.get("count", 1),
                    "valueMin": metric.get("min", metric["value"]),
                    "valueMax": metric.get("max", metric["value"]),
                }
                for metric in base["metrics"]
            ]
        case other:
            return other, []


def workspace(envelopes, drift_table=()):
    """A database with the tables of an Application Insights resource, and the custom table of Log Analytics."""
    database = duckdb_kql.connect()
    database.sql("SET TimeZone = 'UTC'")
    database.sql("SET threads = 1")  # So that rows stay in the order of `sort`, on which prev and next rely.
    for table, columns in TABLES.items():
        database.sql(f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
    for table, found in [rows(envelope) for envelope in envelopes] + [("AciDnsDrift_CL", list(drift_table))]:
        for row in found:
            names = ", ".join(row)
            values = ", ".join("?" for _ in row)
            database.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", list(row.values()))
    return database


def turn(query, **knobs):
    """The query with other literals in its lines `let name = literal;`."""
    for name, literal in knobs.items():
        query, found = re.subn(rf"^let {name} = [^\n;]+;$", f"let {name} = {literal};", query, flags=re.MULTILINE)
        assert found == 1, f"no knob {name}"
    return query


def ask(database, question, **knobs):
    answer = duckdb_kql.query(database, turn((QUERIES / f"{question}.kql").read_text(), **knobs))
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


# A made-up afternoon. It starts on the hour, so that what is counted hour by hour does not depend on when this runs.

START = (datetime.now(UTC) - timedelta(hours=4)).replace(minute=0, second=0, microsecond=0)
SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001"


def group(name):
    return f"{SUBSCRIPTION}/resourceGroups/rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups/{name}"


def envelope(kind, at, base, operation):
    return {
        "name": "Microsoft.ApplicationInsights",
        "time": (START + timedelta(seconds=at)).isoformat(),
        "tags": {"ai.operation.id": operation, "ai.cloud.role": "func-dns", "ai.cloud.roleInstance": "instance-1"},
        "data": {"baseType": kind, "baseData": {"ver": 2} | base},
    }


def clock(seconds):
    return f"0.00:00:{seconds:06.3f}"


def handled(at, function, name, outcome, seconds=1.0, requests=(), **said):
    """An event that was handled: the host's request, our row, its requests, and what else comes of it."""
    invocation = f"{function}-{at}"
    said = {key.replace("__", "."): value for key, value in said.items()}
    about = {"function.name": function, "invocation.id": invocation, "event.id": f"event-{at}", "outcome": outcome}
    about |= {"event.time": (START + timedelta(seconds=at - 2)).isoformat(), "message": f"{name} is {outcome}"}
    if name:
        about |= {"container_group.id": group(name), "dns.fqdn": f"{name}.spoke1.contoso.internal"}
        if function == "function_drift_sweep":
            about["container_group.id"] = group(name).upper()  # Azure does not always spell an id alike.
    bad = outcome in ("malformed", "conflict", "failed", "unavailable")
    call = {"name": function, "success": not bad, "duration": clock(seconds)}
    yield envelope("RequestData", at, call | {"id": "h", "responseCode": "500" if bad else "200"}, invocation) | {
        "tags": {"ai.operation.id": invocation, "ai.operation.name": function}
    }
    status = {"malformed": "400", "conflict": "409", "failed": "500", "unavailable": "503"}.get(outcome, "200")
    ours = call | {"id": "i", "type": "InProc", "resultCode": status, "properties": about | said}
    yield envelope("RemoteDependencyData", at, ours, invocation)
    for offset, what, code, attempt in requests:
        yield envelope(
            "RemoteDependencyData",
            at + offset,
            {
                "id": "r", "name": what, "type": "HTTP", "target": "management.azure.com", "resultCode": code,
                "success": code[:1] == "2", "duration": clock(0.2),
                "properties": {"invocation.id": invocation, "function.name": function, "attempt": str(attempt)},
            },
            invocation,
        )  # fmt: skip
    if "drift.event" in said:
        yield envelope("EventData", at + seconds, {"name": said["drift.event"], "properties": about | said}, invocation)
    if bad:
        exception = {"typeName": f"aci_dns.{outcome}", "message": said["error"]}
        yield envelope("ExceptionData", at + seconds, {"exceptions": [exception], "properties": about}, invocation)


def reconciled(at, name, outcome, **more):
    return handled(at, "function_aci_reconcile", name, outcome, **more)


def drift(at, name, event, kinds=(), function="function_drift_tracker", **more):
    said = {"drift__event": event, "drift__kinds": json.dumps(kinds), "dns__addresses": '["10.1.5.4"]'}
    return handled(at, function, name, "reported", address="10.1.5.6", **said, **more)


def image(repository, tag):
    return {"image__repository": repository, "image__tag": tag}


def counted(at, name, value, **dimensions):
    metric = {"metrics": [{"name": name, "value": value, "count": 1}], "properties": dimensions}
    yield envelope("MetricData", at, metric, None)


def logged(at, message):
    """A line of the host's own log, a warning."""
    yield envelope("MessageData", at, {"message": message, "severityLevel": 2}, None)


def not_told(at, function, success):
    """An invocation of which the host knows alone: the handler had died, or its telemetry was lost."""
    code = "200" if success else "0"
    call = {"id": "h", "name": function, "success": success, "responseCode": code, "duration": clock(1)}
    yield envelope("RequestData", at, call, f"{function}-{at}") | {
        "tags": {"ai.operation.id": f"{function}-{at}", "ai.operation.name": function}
    }


MINUTE = 60
AFTERNOON = [
    # web is created: for four seconds there is no name. Both functions see the same event.
    drift(0, "web", "first_seen"),
    reconciled(
        0, "web", "changed", seconds=4.0,
        requests=[(0.5, "GET A", "404", 1), (1.0, "PUT A", "201", 1), (2.0, "PUT PTR", "201", 1)],
    ),
    # It moves. The tracker is quick to see it and slow to say it, after the reconciliation has ended.
    drift(30 * MINUTE, "web", "drift_detected", ["address", "ptr_stale"], seconds=5.0),
    reconciled(30 * MINUTE, "web", "changed", seconds=3.0, requests=[(1.8, "PUT A", "200", 1), (2.5, "DELETE PTR", "412", 1)]),
    # The next event finds it converged, and the tracker too.
    drift(35 * MINUTE, "web", "no_change"),
    reconciled(35 * MINUTE, "web", "converged"),
    # Somebody edits its TTL; half an hour later it is right again.
    drift(60 * MINUTE, "web", "drift_detected", ["ttl"], function="function_drift_sweep"),
    drift(75 * MINUTE, "web", "drift_detected", ["ttl"], function="function_drift_sweep"),
    drift(90 * MINUTE, "web", "no_change"),
    # api wants a name that has an owner, is told so twice, and stays wrong.
    drift(10 * MINUTE, "api", "drift_detected", ["foreign"]),
    reconciled(10 * MINUTE, "api", "conflict", conflict__owner="s/rg-spoke1/old", error="it belongs to s/rg-spoke1/old"),
    reconciled(40 * MINUTE, "api", "conflict", conflict__owner="s/rg-spoke1/old", error="it belongs to s/rg-spoke1/old"),
    # away is tagged to be ignored while it is wrong.
    drift(6 * MINUTE, "away", "drift_detected", ["ttl"]),
    reconciled(8 * MINUTE, "away", "unmanaged"),
    # db is put right by somebody else, worked, and then lacks a permission: the cause is one, the sentences are two.
    drift(4 * MINUTE, "db", "drift_detected", ["ttl"]),
    reconciled(5 * MINUTE, "db", "converged"),
    reconciled(20 * MINUTE, "db", "failed", error="cannot write db.spoke1.contoso.internal: 403 for 10.1.5.4"),
    reconciled(50 * MINUTE, "db", "failed", error="cannot write db.spoke1.contoso.internal: 403 for 10.1.5.9"),
    # cache is throttled once, and redelivered.
    reconciled(
        15 * MINUTE, "cache", "unavailable", error="throttled",
        requests=[(0.1, "PUT A", "429", 1), (0.3, "PUT A", "429", 2), (0.5, "PUT A", "", 3)],
    ),
    reconciled(16 * MINUTE, "cache", "changed", seconds=1.0),
    # upsert-only: the stale record is not removed, so the name stays wrong, though nothing fails.
    drift(18 * MINUTE, "kept", "drift_detected", ["ptr_stale"]),
    reconciled(18 * MINUTE, "kept", "converged", plan__withheld='["- PTR 4.5.1.10.in-addr.arpa"]'),
    reconciled(21 * MINUTE, None, "malformed", error="the event has no id"),
    not_told(22 * MINUTE, "function_drift_tracker", success=False),
    not_told(23 * MINUTE, "function_drift_tracker", success=True),
    # app is only ever unavailable.
    reconciled(25 * MINUTE, "app", "unavailable", error="throttled"),
    # An invocation that did not get as far as a name.
    reconciled(
        26 * MINUTE, None, "unmanaged",
        requests=[(0.1, "GET container group", "429", 1), (0.3, "GET container group", "200", 2)],
    ),
    # The tracker fails where the reconciliation does not.
    handled(95 * MINUTE, "function_drift_tracker", "web", "unavailable", error="Log Analytics: 503"),
    # queued was deferred, and the retry finished it; later was deferred and is not finished.
    reconciled(24 * MINUTE, "queued", "deferred"),
    handled(24.5 * MINUTE, "function_aci_retry", "queued", "changed"),
    reconciled(29 * MINUTE, "later", "deferred"),
    # A retry that a person has to help fails each time, until the host gives it up.
    handled(27 * MINUTE, "function_aci_retry", "locked", "failed", error="the zone is locked"),
    logged(28 * MINUTE, "Message has reached MaxDequeueCount of 288. Moving message to queue 'aci-dns-retry-poison'."),
    logged(28 * MINUTE, "Message has reached MaxDequeueCount of 5. Moving message to queue 'others-poison'."),
    # Pushes: one restarts api, whose name stays wrong; two cannot be done; one is finished by its retry.
    handled(12 * MINUTE, "function_image_pushed", "api", "changed", plan='["! restart rg-spoke1/api demo.azurecr.io/app:v1"]', **image("demo.azurecr.io/app", "v1")),
    handled(13 * MINUTE, "function_image_webhook", "shop", "failed", error="GET hides the variable PASSWORD", **image("docker.io/contoso/shop", "1.3.0")),
    handled(14 * MINUTE, "function_image_pushed", "batch", "deferred", reason="unavailable", **image("demo.azurecr.io/batch", "v2")),
    handled(16 * MINUTE, "function_image_pushed", "jobs", "deferred", reason="unavailable", **image("demo.azurecr.io/jobs", "v3")),
    handled(17 * MINUTE, "function_image_retry", "jobs", "changed", plan='["! restart rg-spoke1/jobs demo.azurecr.io/jobs:v3"]', **image("demo.azurecr.io/jobs", "v3")),
    handled(19 * MINUTE, "function_image_pushed", None, "ignored", **image("demo.azurecr.io/other", "v1")),
    counted(MINUTE, "aci_dns.reconciliations", 3, outcome="changed"),
    counted(2 * MINUTE, "aci_dns.reconciliations", 2, outcome="changed"),
    counted(2 * MINUTE, "aci_dns.reconciliations", 1, outcome="failed"),
    counted(MINUTE, "aci_dns.arm.requests", 40),
    counted(MINUTE, "aci_dns.races_lost", 1),
    counted(MINUTE, "aci_dns.telemetry.lost", 0),
    counted(61 * MINUTE, "aci_dns.telemetry.lost", 7),
]  # fmt: skip


def told(at, name, event, kinds=()):
    """What Log Analytics holds of a report of drift."""
    return {
        "TimeGenerated": (START + timedelta(minutes=at)).replace(tzinfo=None), "Event": event,
        "Kinds": json.dumps(kinds), "ContainerGroupId": group(name), "ContainerGroup": name,
        "Fqdn": f"{name}.spoke1.contoso.internal", "Address": "10.1.5.6", "DnsAddresses": '["10.1.5.4"]', "Ptr": "[]",
        "InvocationId": f"{name}-{at}",
    }  # fmt: skip


DRIFT_TABLE = [
    told(0, "web", "first_seen"),
    told(30, "web", "drift_detected", ["address", "ptr_stale"]),
    told(45, "web", "drift_detected", ["address"]),
    told(50, "web", "first_seen"),
    told(60, "web", "no_change"),
    told(10, "api", "drift_detected", ["foreign"]),
]



def plain(value):
    """Times as minutes after the start; of names and ids what tells them apart; lists as lists."""
    match value:
        case datetime():
            return round((value.replace(tzinfo=UTC) - START).total_seconds() / MINUTE, 1)
        case str() if value.startswith("["):
            return json.loads(value)
        case str() if value.lower().startswith(SUBSCRIPTION):
            return value.rpartition("/")[2].lower()
        case str():
            return value.removesuffix(".spoke1.contoso.internal")
        case None | bool():
            return value
        case _:
            return round(float(value), 1)


def minutes_since(at):
    return round((datetime.now(UTC) - START).total_seconds() / MINUTE - at, 1)


OWNED = "it belongs to s/rg-spoke1/old"
BROKEN = "cannot write db.spoke1.contoso.internal: 403 for 10.1.5."
WRONG = ("fqdn", "wrongSince", "rightAgain", "minutes", "kinds", "dnsSaid", "address", "containerGroup")
STILL_WRONG = [
    ("kept", 18, None, "since 18", ["ptr_stale"], ["10.1.5.4"], "10.1.5.6", "kept"),
    ("api", 10, None, "since 10", ["foreign"], ["10.1.5.4"], "10.1.5.6", "api"),
]
FAILED = ("function", "outcome", "containerGroup", "fqdn", "invocations", "lastSeen", "error")

# Question, knobs, columns, rows.
ANSWERS = [
    ("wrong-names", {}, WRONG, [
        ("web", 60, 90, 30, ["ttl"], ["10.1.5.4"], "10.1.5.6", "web"),
        ("web", 30, 30.1, 0.1, ["address", "ptr_stale"], ["10.1.5.4"], "10.1.5.6", "web"),
        *STILL_WRONG,
        ("away", 6, 8, 2, ["ttl"], ["10.1.5.4"], "10.1.5.6", "away"),
        ("db", 4, 5, 1, ["ttl"], ["10.1.5.4"], "10.1.5.6", "db"),
        ("web", 0, 0.1, 0.1, "missing", ["10.1.5.4"], "10.1.5.6", "web"),
    ]),
    ("wrong-names", {"driftMinutes": "20"}, WRONG, [
        ("web", 60, 90, 30, ["ttl"], ["10.1.5.4"], "10.1.5.6", "web"), *STILL_WRONG,
    ]),
    ("wrong-names", {"driftMinutes": "20", "onlyStillWrong": "true"}, WRONG, STILL_WRONG),
    ("wrong-names", {"driftMinutes": "1000"}, WRONG, []),
    ("not-converged", {}, ("fqdn", "outcome", "since", "minutes", "lastTried", "owner", "error", "containerGroup"), [
        ("api", "conflict", 10, "since 10", 40, "s/rg-spoke1/old", OWNED, "api"),
        ("db", "failed", 20, "since 20", 50, "", BROKEN + "9", "db"),
        ("app", "unavailable", 25, "since 25", 25, "", "throttled", "app"),
        ("locked", "failed", 27, "since 27", 27, "", "the zone is locked", "locked"),
        ("later", "deferred", 29, "since 29", 29, "", "", "later"),
    ]),
    ("not-converged", {"driftMinutes": "1000"}, (), []),
    ("unfinished", {}, ("fqdn", "outcome", "since", "minutes", "lastTried", "error", "containerGroup"), [
        ("app", "unavailable", 25, "since 25", 25, "throttled", "app"),
        ("later", "deferred", 29, "since 29", 29, "", "later"),
    ]),
    ("unfinished", {"unfinishedMinutes": "1000"}, (), []),
    ("conflicts", {}, ("fqdn", "owner", "containerGroup", "invocations", "firstSeen", "lastSeen", "error"), [
        ("api", "s/rg-spoke1/old", "api", 2, 10, 40, OWNED),
    ]),
    ("failed-invocations", {}, FAILED, [
        ("function_aci_reconcile", "failed", "db", "db", 2, 50, BROKEN + "9"),
        ("function_aci_retry", "failed", "locked", "locked", 1, 27, "the zone is locked"),
        # Where nothing joins, DuckDB says null for a text, Kusto the empty text.
        ("function_drift_tracker", "no answer", None, None, 1, 22, "the host got no answer from the handler: 0"),
        ("function_aci_reconcile", "malformed", "", "", 1, 21, "the event has no id"),
    ]),
    ("failures-by-cause", {}, ("outcome", "cause", "failures", "containerGroups", "firstSeen", "lastSeen", "example"), [
        ("failed", "cannot write <name>: 403 for <address>", 2, 1, 20, 50, BROKEN + "9"),
        ("conflict", OWNED, 2, 1, 10, 40, OWNED),
        ("unavailable", "throttled", 2, 2, 15, 25, "throttled"),
        ("unavailable", "Log Analytics: 503", 1, 1, 95, 95, "Log Analytics: 503"),
        ("failed", "the zone is locked", 1, 1, 27, 27, "the zone is locked"),
        ("malformed", "the event has no id", 1, 0, 21, 21, "the event has no id"),
        ("failed", "GET hides the variable PASSWORD", 1, 1, 13, 13, "GET hides the variable PASSWORD"),
    ]),
    ("image-updates", {}, ("timestamp", "repository", "tag", "containerGroup", "outcome", "plan", "said", "function"), [
        (17, "demo.azurecr.io/jobs", "v3", "jobs", "changed", ["! restart rg-spoke1/jobs demo.azurecr.io/jobs:v3"], "", "function_image_retry"),
        (16, "demo.azurecr.io/jobs", "v3", "jobs", "deferred", "", "unavailable", "function_image_pushed"),
        (14, "demo.azurecr.io/batch", "v2", "batch", "deferred", "", "unavailable", "function_image_pushed"),
        (13, "docker.io/contoso/shop", "1.3.0", "shop", "failed", "", "GET hides the variable PASSWORD", "function_image_webhook"),
        (12, "demo.azurecr.io/app", "v1", "api", "changed", ["! restart rg-spoke1/api demo.azurecr.io/app:v1"], "", "function_image_pushed"),
    ]),
    ("images-not-updated", {}, ("containerGroup", "repository", "tag", "outcome", "since", "minutes", "lastTried", "error"), [
        ("shop", "docker.io/contoso/shop", "1.3.0", "failed", 13, "since 13", 13, "GET hides the variable PASSWORD"),
        ("batch", "demo.azurecr.io/batch", "v2", "deferred", 14, "since 14", 14, ""),
    ]),
    ("images-not-updated", {"unfinishedMinutes": "1000"}, ("containerGroup", "repository", "tag", "outcome", "since", "minutes", "lastTried", "error"), [
        ("shop", "docker.io/contoso/shop", "1.3.0", "failed", 13, "since 13", 13, "GET hides the variable PASSWORD"),
    ]),
    # To the last write of its own: 2.2 + 2 and 2.0 + 2 seconds; to the end of the invocation, twice: 1 + 2.
    ("event-to-dns", {}, ("timestamp", "events", "p50", "p95", "p99", "slowest"), [(0, 4, 3.0, 4.2, 4.2, 4.2)]),
    ("outcomes", {}, ("timestamp", "outcome", "reconciliations"), [(0, "changed", 5), (0, "failed", 1)]),
    ("drift-by-kind", {}, ("timestamp", "driftKind", "reports", "names"), [
        (0, "address", 1, 1), (0, "foreign", 1, 1), (0, "ptr_stale", 2, 2), (0, "ttl", 2, 2), (60, "ttl", 2, 1),
    ]),
    ("throttling", {}, ("timestamp", "zone", "operation", "requests", "throttled", "retries", "mostAttempts"), [
        (0, "spoke1.contoso.internal", "PUT A", 5, 2, 2, 3),
        (0, None, "GET container group", 2, 1, 1, 2),
    ]),
    ("load", {}, ("timestamp", "metric", "total"), [(0, "aci_dns.arm.requests", 40), (0, "aci_dns.races_lost", 1)]),
    ("arm-latency", {}, ("operation", "target", "requests", "failed", "unanswered", "p50", "p95", "p99"), [
        ("PUT A", "management.azure.com", 5, 3, 1, 200, 200, 200),
        ("GET container group", "management.azure.com", 2, 1, 0, 200, 200, 200),
        ("DELETE PTR", "management.azure.com", 1, 1, 0, 200, 200, 200),
        ("GET A", "management.azure.com", 1, 1, 0, 200, 200, 200),
        ("PUT PTR", "management.azure.com", 1, 0, 0, 200, 200, 200),
    ]),
    ("group-timeline", {"containerGroup": '"containerGroups/CACHE"'},
     ("timestamp", "what", "detail", "containerGroupId", "invocation"), [
        (15, "function_aci_reconcile: unavailable", "cache is unavailable", "cache", "function_aci_reconcile-900"),
        (15, "PUT A", "429, attempt 1", "", "function_aci_reconcile-900"),
        (15, "PUT A", "429, attempt 2", "", "function_aci_reconcile-900"),
        (15, "PUT A", ", attempt 3", "", "function_aci_reconcile-900"),
        (15, "aci_dns.unavailable", "throttled", "cache", "function_aci_reconcile-900"),
        (16, "function_aci_reconcile: changed", "cache is changed", "cache", "function_aci_reconcile-960"),
    ]),
    ("poison", {}, ("cloud_RoleName", "messages", "firstMoved", "lastMoved"), [("func-dns", 1, 28, 28)]),
    ("sweep-findings", {}, ("fqdn", "containerGroup", "kinds", "address", "sweeps", "firstFound", "lastFound"), [
        ("web", "web", ["ttl"], "10.1.5.6", 2, 60, 75),
    ]),
    ("silence", {}, ("lastEvent", "silentSince", "events"), []),
    ("silence", {"silentMinutes": "30"}, ("lastEvent", "silentSince", "events"), [(95, 95, 28)]),
    ("lost-telemetry", {}, ("hour", "cloud_RoleName", "cloud_RoleInstance", "lost"), [
        (60, "func-dns", "instance-1", 7),
    ]),
    ("table-wrong-names", {}, WRONG, [
        ("web", 30, 60, 30, ["address", "ptr_stale"], ["10.1.5.4"], "10.1.5.6", "web"),
        ("api", 10, None, "since 10", ["foreign"], ["10.1.5.4"], "10.1.5.6", "api"),
    ]),
    ("table-wrong-names", {"onlyStillWrong": "true"}, WRONG, [
        ("api", 10, None, "since 10", ["foreign"], ["10.1.5.4"], "10.1.5.6", "api"),
    ]),
    ("table-drift-by-kind", {}, ("TimeGenerated", "driftKind", "reports", "names"), [
        (0, "address", 2, 1), (0, "foreign", 1, 1), (0, "ptr_stale", 1, 1),
    ]),
    ("table-group-timeline", {"containerGroup": '"api"'},
     ("TimeGenerated", "Event", "Kinds", "Fqdn", "Address", "DnsAddresses", "Ptr", "InvocationId", "ContainerGroupId"), [
        (10, "drift_detected", ["foreign"], "api", "10.1.5.6", ["10.1.5.4"], [], "api-10", "api"),
    ]),
]  # fmt: skip


def check_silence():
    """A fresh installation is not silent: silence begins with its first sweep."""
    sweep = list(handled(0, "function_drift_sweep", None, "converged"))
    event = list(reconciled(10 * MINUTE, "web", "converged"))
    since = {"lastEvent": None, "silentSince": 0, "events": 0}
    wrong = 0
    for envelopes, minutes, expected in (
        ([], 60, []),
        (sweep, 100000, []),
        (sweep, 60, [since]),
        (sweep + event, 60, [{"lastEvent": 10, "silentSince": 10, "events": 1}]),
    ):
        answer = ask(workspace(envelopes), "silence", silentMinutes=str(minutes))
        found = [{column: plain(value) for column, value in row.items()} for row in answer]
        if found != expected:
            wrong += 1
            print(f"silence of {minutes} minutes answers", found, "and not", expected, file=sys.stderr)
    return wrong


def check():
    """Whether the afternoon answers as it happened; says where not."""
    failed = check_silence()
    database = workspace([envelope for happening in AFTERNOON for envelope in happening], DRIFT_TABLE)
    for question, knobs, columns, expected in ANSWERS:
        answer = [{column: plain(value) for column, value in row.items()} for row in ask(database, question, **knobs)]
        for row in answer:
            if row.get("minutes") and abs(row["minutes"] - minutes_since(row.get("since", row.get("wrongSince")))) < 2:
                row["minutes"] = f"since {row.get('since', row.get('wrongSince')):g}"
        if answer != [dict(zip(columns, row, strict=True)) for row in expected]:
            failed += 1
            print(f"{question} {knobs or ''} answers", *answer, "and not", *expected, sep="\n  ", file=sys.stderr)
    unasked = {path.stem for path in QUERIES.glob("*.kql")} - {question for question, *_ in ANSWERS}
    if unasked:
        failed += 1
        print("nobody asked", *sorted(unasked), file=sys.stderr)
    print(f"{len(ANSWERS)} answers from {len(AFTERNOON)} happenings, {failed} of them wrong")
    return failed == 0


def tell(path):
    """Prints the answers of a file of envelopes, most of which no test has foreseen."""
    lines = [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]
    envelopes = [envelope for line in lines for envelope in (line if isinstance(line, list) else [line])]
    database = workspace(envelopes)
    for query in sorted(QUERIES.glob("*.kql")):
        print(f"\n{query.stem}: {query.read_text().splitlines()[0].removeprefix('// ')}")
        for row in ask(database, query.stem):
            print("  " + json.dumps({name: plain_text(value) for name, value in row.items()}))


def plain_text(value):
    return value.isoformat() if isinstance(value, datetime) else value if isinstance(value, str | None) else float(value)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        tell(sys.argv[1])
    elif not check():
        sys.exit(1)
