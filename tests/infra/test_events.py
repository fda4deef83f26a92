"""What Event Grid tells the app, and what the log keeps of what the platform tells."""

from __future__ import annotations

import json
import re

from query_api.routes import ROUTES
from shared import queues
from shared.settings import DEAD_LETTERS, DEFAULT_INBOX, telemetry_settings
from shared.telemetry.measuring import NAMESPACE
from shared.telemetry.recording import Attributes

from .apps import ACCESS, MAIN, ROOT, TELEMETRY, app_settings
from .bicep import INFRA, Expression, read

# What the app understands of them, and calls of the API after which a file is not complete.
EVENT_TYPES = [f"Microsoft.Storage.{name}" for name in ("BlobCreated", "BlobRenamed", "DirectoryRenamed")]
UNFINISHED = ["CreateFile", "SftpCreate"]
EVENTS, BLANKING = read(INFRA / "modules/event-grid.bicep"), read(INFRA / "modules/blanking.bicep")
ARRIVALS = EVENTS.body("arrivals")["properties"]


def test_the_events_are_those_that_the_code_reads() -> None:
    types = MAIN.property(MAIN.object(MAIN.declarations["events"]), "params", "types")
    queued, renames = (file.constant(node) for file, node in MAIN.forms(types))
    assert (queued, renames) == (EVENT_TYPES, EVENT_TYPES[1:])
    assert ARRIVALS["filter"]["subjectBeginsWith"] == f"/blobServices/default/containers/{DEFAULT_INBOX}/"
    unfinished = {"operatorType": "StringNotIn", "key": "data.api", "values": UNFINISHED}
    assert ARRIVALS["filter"]["advancedFilters"] == [unfinished]
    target = ARRIVALS["deliveryWithResourceIdentity"]["destination"]["properties"]
    buried = ARRIVALS["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]
    assert (target["queueName"], buried["blobContainerName"]) == (queues.ARRIVALS, DEAD_LETTERS)
    for name in (queues.ARRIVALS, DEAD_LETTERS):
        assert f"/default/{name}'" in read(INFRA / "modules/event-grid-access.bicep").text
    assert "queueMessageTimeToLiveInSeconds: -1\n" in EVENTS.text


def test_events_pass_the_firewall_of_the_storage() -> None:
    """Event Grid does so under the topic's own identity alone."""
    own = {"type": "SystemAssigned"}
    assert EVENTS.body("topic")["identity"] == own
    assert ARRIVALS["deliveryWithResourceIdentity"]["identity"] == own
    assert ARRIVALS["deadLetterWithResourceIdentity"]["identity"] == own


def test_the_webhook_calls_the_function_that_is_there() -> None:
    hook = (INFRA / "hooks/subscribe-webhook.sh").read_text()
    [function] = re.findall(r"functionName=Host\.Functions\.(\w+)&", hook)
    blueprint = (ROOT / "store_on_upload/blueprint.py").read_text()
    assert re.search(rf"blob_trigger\([^@]*?async def {function}\(", blueprint, re.DOTALL)
    disabled = app_settings("ingest")[f"AzureWebJobs.{function}.Disabled"]
    assert disabled == Expression("eventsTo == 'queue' ? 'true' : 'false'")


def test_files_come_by_the_blob_trigger_unless_it_cannot_serve() -> None:
    """By default Event Grid calls it; in a private network nothing is called, and by SFTP files are renamed."""
    assert MAIN.variable("arrivals") == "webhook"
    assert MAIN.variable("eventsTo") == Expression("privateNetwork || sftp ? 'queue' : arrivals")
    assert MAIN.variable("output EVENTS_TO") == MAIN.variable("eventsTo")
    # Whatever else depends on it goes by what is in force, and not by what was asked for.
    assert len(re.findall(r"(?<!\w)arrivals\b(?!`)", MAIN.text)) == len(["parameter", "variable", "output ARRIVALS"])


def test_names_are_blanked_where_the_platform_writes_them() -> None:
    """Of each table that a host fills: what it says of addresses, and what is not listed; the app's own spans stay."""
    rules = {item["table"]: getattr(item["kql"], "text", item["kql"]) for item in BLANKING.variable("transformations")}
    assert set(rules) == {"AppRequests", "AppDependencies", "AppTraces", "AppExceptions"}
    assert all(re.search(r"\$\{keptProperties\}|Properties = pack\(", rule) for rule in rules.values())
    assert all("${withoutPath}" in rule for rule in rules.values())
    assert 'Url = "", Name = iif(Name contains " /", "", Name),' in rules["AppRequests"]
    assert 'Data = "", Name = iif(isempty(${ownSpan}), DependencyType, ${ownSpan}),' in rules["AppDependencies"]
    assert 'OuterMessage = "", InnermostMessage = "", Details = parse_json("[]"),' in rules["AppExceptions"]
    kept = set(re.findall(r'Properties\["(\w+)"\]', BLANKING.variable("keptProperties")))
    assert kept == {"Category", "LogLevel", "InvocationId"}
    assert not any(" /" in f"GET api/{route.path}" for route in ROUTES)  # by which a path is told from a route
    assert set(BLANKING.variable("ownProperties")) == {*Attributes.__annotations__, "span"}
    assert f"{NAMESPACE}.${{name}}" in BLANKING.text
    assert f'Properties["{NAMESPACE}.span"]' in BLANKING.variable("ownSpan")


def test_lines_go_one_way() -> None:
    """Whether the app or the host sends them, both go by one parameter; and none is sent by a library as well."""
    on = {"AzureFunctionsJobHost__telemetryMode": "OpenTelemetry", "PYTHON_ENABLE_OPENTELEMETRY": "true"}
    assert on == TELEMETRY
    assert "telemetryMode" not in json.loads((ROOT / "host.json").read_text())
    for app in ACCESS:
        given = app_settings(app)
        assert not [name for name in given if name.startswith(("PYTHON_APPLICATIONINSIGHTS", "FASTAPI_OTEL", "OTEL_"))]
        assert telemetry_settings({name: str(value) for name, value in given.items()}).is_on
