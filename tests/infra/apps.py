"""The apps of infra/, as its files describe them, and the code that each runs."""

from __future__ import annotations

import json
from typing import Any

from .bicep import INFRA, read

ROOT = INFRA.parent
MAIN, APP = read(INFRA / "main.bicep"), read(INFRA / "modules/app.bicep")
ACCESS: dict[str, dict[str, Any]] = read(INFRA / "access.bicep").variable("access")
# Commands of a person, under that person's identity.
OPERATORS = ("store_on_upload/reconcile/", "purge_study/preview/")


def granted(app: str) -> dict[str, str]:
    """Return the containers that an app may use, each with its role."""
    lists = ACCESS[app]["dataContainers"] + ACCESS[app]["recordsContainers"]
    return {item["name"]: item["role"] for item in lists}


def queue_roles(app: str) -> dict[str, list[str]]:
    """Return the queues that an app may use, each with its roles."""
    roles: dict[str, list[str]] = {}
    for item in ACCESS[app]["queues"]:
        roles.setdefault(item["name"], []).append(item["role"])
    return roles


def folder_of(app: str) -> str:
    """Return the folder whose functions an app has."""
    [folder] = ACCESS[app]["functions"]
    return str(folder)


def modules(folder: str) -> dict[str, str]:
    """Return the modules that an app runs of a folder, by their paths, each with its text."""
    paths = {str(path.relative_to(ROOT)): path for path in (ROOT / folder).rglob("*.py")}
    return {name: path.read_text() for name, path in paths.items() if not name.startswith(OPERATORS)}


def app_settings(app: str) -> dict[str, Any]:
    """Return the settings that an app gets, as far as they are constant."""
    return {
        **APP.variable("platform"),
        **telemetry(),
        **(connection() if ACCESS[app]["dataContainers"] else {}),
        **MAIN.variable("serviceSettings"),
        **MAIN.variable(f"{app}Settings"),
        "ENABLED_FUNCTIONS": " ".join(ACCESS[app]["functions"]),
    }


def connection() -> dict[str, Any]:
    """Return the settings by which an app finds the account of the files."""
    value = APP.declarations["connection"].value
    assert value is not None
    _, given = (file.constant(node) for file, node in APP.forms(value))
    return dict(given)


def telemetry() -> dict[str, Any]:
    """Return the settings by which host and app trace, where they do."""
    value = APP.declarations["telemetry"].value
    assert value is not None
    given, _ = (file.constant(node) for file, node in APP.forms(value))
    return dict(given)


def own_settings() -> dict[str, dict[str, str]]:
    """Return what an installation sets besides, app by app."""
    return dict(json.loads((INFRA / "settings.json").read_text()))
