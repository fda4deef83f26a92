"""The apps of infra/, as its files describe them, and the code that each runs."""

from __future__ import annotations

import json
from typing import Any

from .bicep import INFRA, read

ROOT = INFRA.parent
MAIN, APP = read(INFRA / "main.bicep"), read(INFRA / "modules/app.bicep")
ACCESS: dict[str, dict[str, Any]] = read(INFRA / "access.bicep").variable("access")
# What an installation sets besides, app by app.
OWN_SETTINGS: dict[str, dict[str, str]] = json.loads((INFRA / "settings.json").read_text())
# By which host and app trace, where they do; and by which an app finds the account of the files.
TELEMETRY: dict[str, Any] = APP.choices("telemetry")[0]
_CONNECTION: dict[str, Any] = APP.choices("connection")[1]


def granted(app: str) -> dict[str, str]:
    """Return the containers that an app may use, each with its role."""
    return {item["name"]: item["role"] for item in ACCESS[app]["dataContainers"] + ACCESS[app]["recordsContainers"]}


def queue_roles(app: str) -> dict[str, list[str]]:
    """Return the queues that an app may use, each with its roles."""
    names = dict.fromkeys(item["name"] for item in ACCESS[app]["queues"])
    return {name: [item["role"] for item in ACCESS[app]["queues"] if item["name"] == name] for name in names}


def folder_of(app: str) -> str:
    """Return the folder whose functions an app has."""
    [folder] = ACCESS[app]["functions"]
    return str(folder)


def app_settings(app: str) -> dict[str, Any]:
    """Return the settings that an app gets, as far as they are constant."""
    return {
        **APP.variable("platform"),
        **TELEMETRY,
        **(_CONNECTION if ACCESS[app]["dataContainers"] else {}),
        **MAIN.variable("serviceSettings"),
        **MAIN.variable(f"{app}Settings"),
        "ENABLED_FUNCTIONS": " ".join(ACCESS[app]["functions"]),
    }


def given_to(module: str) -> dict[str, Any]:
    """Return what main.bicep gives a module."""
    return dict(MAIN.body(module)["params"])
