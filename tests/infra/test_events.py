"""What Event Grid tells the app, and what the log keeps of what the platform tells."""

from __future__ import annotations

import json
import re

from query_api.routes import ROUTES
from shared import queues
from shared.settings import DEAD_LETTERS, DEFAULT_INBOX, telemetry_settings
from shared.telemetry.measuring import NAMESPACE
from shared.telemetry.recording import Attributes

from .apps import ACCESS, MAIN, ROOT, app_settings, telemetry
from .bicep import INFRA, Expression, read

EVENTS = read(INFRA / "modules/event-grid.bicep")
# What the app understands of them, and calls of the API after which a file is not complete.
EVENT_TYPES = [f"Microsoft.Storage.{name}" for name in ("BlobCreated", "BlobRenamed", "DirectoryRenamed")]
UNFINISHED = ["CreateFile", "SftpCreate"]


def test_the_events_are_those_that_the_code_reads() -> None:
    """Types, filter and time to live, in Bicep and in the command for people."""
    value = MAIN.property(MAIN.object(MAIN.declarations["events"]), "params")
    assert value is not None
    types = MAIN.property(value, "types")
    assert types is not None
    queued, renames = (file.constant(node) for file, node in MAIN.forms(types))
    assert queued == EVENT_TYPES
    assert renames == [one for one in EVENT_TYPES if one.endswith("Renamed")]
    subscription = EVENTS.constant(EVENTS.property(EVENTS.object(EVENTS.declarations["arrivals"]), "properties"))
    event_filter = subscription["filter"]
    assert event_filter["subjectBeginsWith"] == f"/blobServices/default/containers/{DEFAULT_INBOX}/"
    [advanced] = event_filter["advancedFilters"]
    assert advanced == {"operatorType": "StringNotIn", "key": "data.api", "values": UNFINISHED}
    target = subscription["deliveryWithResourceIdentity"]["destination"]["properties"]
    assert target["queueName"] == queues.ARRIVALS
    buried = subscription["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]["blobContainerName"]
    assert buried == DEAD_LETTERS
    for name in (queues.ARRIVALS, DEAD_LETTERS):
        assert f"/default/{name}'" in read(INFRA / "modules/event-grid-access.bicep").text
    assert "queueMessageTimeToLiveInSeconds: -1\n" in EVENTS.text


def test_events_pass_the_firewall_of_the_storage() -> None:
    """Event Grid does so under the topic's own identity alone, which the topic and its subscription therefore use."""
    own = {"type": "SystemAssigned"}
    topic = EVENTS.constant(EVENTS.object(EVENTS.declarations["topic"]))
    subscription = EVENTS.constant(EVENTS.object(EVENTS.declarations["arrivals"]))["properties"]
    assert topic["identity"] == own
    assert subscription["deliveryWithResourceIdentity"]["identity"] == own
    assert subscription["deadLetterWithResourceIdentity"]["identity"] == own
    storage = read(INFRA / "modules/data-storage.bicep")
    rules = storage.constant(storage.object(storage.declarations["account"]))["properties"]["networkAcls"]
    assert rules["bypass"] == "AzureServices"


def test_the_webhook_asks_for_the_same_events() -> None:
    """But for renames, which the blob trigger does not know; and it calls the function that is there."""
    hook = (INFRA / "hooks/subscribe-webhook.sh").read_text()
    assert re.findall(r"Microsoft\.Storage\.\w+", hook) == ["Microsoft.Storage.BlobCreated"]
    assert f"/blobServices/default/containers/{DEFAULT_INBOX}/" in hook
    assert f'"values": {json.dumps(UNFINISHED)}' in hook
    [function] = re.findall(r"functionName=Host\.Functions\.(\w+)&", hook)
    blueprint = (ROOT / "store_on_upload/blueprint.py").read_text()
    assert re.search(rf"blob_trigger\([^@]*?async def {function}\(", blueprint, re.DOTALL)
    disabled = app_settings("ingest")[f"AzureWebJobs.{function}.Disabled"]
    assert disabled == Expression("eventsTo == 'queue' ? 'true' : 'false'")


def test_files_come_by_the_blob_trigger_unless_it_cannot_serve() -> None:
    """By default Event Grid calls it; in a private network nothing is called, and by SFTP files are renamed."""
    assert MAIN.constant(MAIN.declarations["arrivals"].value) == "webhook"
    assert MAIN.variable("eventsTo") == Expression("privateNetwork || sftp ? 'queue' : arrivals")
    assert MAIN.constant(MAIN.declarations["output EVENTS_TO"].value) == MAIN.variable("eventsTo")
    # Whatever else depends on it goes by what is in force, and not by what was asked for.
    assert len(re.findall(r"(?<!\w)arrivals\b(?!`)", MAIN.text)) == len(["parameter", "variable", "output ARRIVALS"])


def test_names_are_blanked_where_the_platform_writes_them() -> None:
    """Of each table of Application Insights that a host fills: what it says of addresses, and what is not listed."""
    blanking = read(INFRA / "modules/blanking.bicep")
    rules = {item["table"]: getattr(item["kql"], "text", item["kql"]) for item in blanking.variable("transformations")}
    assert set(rules) == {"AppRequests", "AppDependencies", "AppTraces", "AppExceptions"}
    assert all(re.search(r"\$\{keptProperties\}|Properties = pack\(", rule) for rule in rules.values())
    assert all("${withoutPath}" in rule for rule in rules.values())
    assert 'Url = "", Name = iif(Name contains " /", "", Name),' in rules["AppRequests"]
    assert 'Data = "", Name = iif(isempty(${ownSpan}), DependencyType, ${ownSpan}),' in rules["AppDependencies"]
    assert 'OuterMessage = "", InnermostMessage = "", Details = parse_json("[]"),' in rules["AppExceptions"]
    assert set(re.findall(r'Properties\["(\w+)"\]', blanking.variable("keptProperties"))) == {
        "Category",
        "LogLevel",
        "InvocationId",
    }
    assert not any(" /" in f"GET api/{route.path}" for route in ROUTES)  # by which a path is told from a route


def test_what_the_apps_own_spans_say_is_kept() -> None:
    """All of it, under the names that it is sent under, and by one of them they are told from the host's."""
    blanking = read(INFRA / "modules/blanking.bicep")
    kept = set(blanking.variable("ownProperties"))
    assert kept == {*Attributes.__annotations__, "span"}
    assert f"{NAMESPACE}.${{name}}" in blanking.text
    assert f'Properties["{NAMESPACE}.span"]' in blanking.variable("ownSpan")


def test_lines_go_one_way() -> None:
    """Whether the app or the host sends them, both go by the same parameter; and none is sent by a library as well."""
    assert telemetry() == {
        "AzureFunctionsJobHost__telemetryMode": "OpenTelemetry",
        "PYTHON_ENABLE_OPENTELEMETRY": "true",
    }
    assert "telemetryMode" not in json.loads((ROOT / "host.json").read_text())
    for app in ACCESS:
        given = app_settings(app)
        assert not [name for name in given if name.startswith(("PYTHON_APPLICATIONINSIGHTS", "FASTAPI_OTEL", "OTEL_"))]
        assert telemetry_settings({name: str(value) for name, value in given.items()}).is_on
