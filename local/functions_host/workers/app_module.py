"""Loading `function_app.py` and finding the one FunctionApp in it."""

from __future__ import annotations

import importlib
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
from azure.functions.decorators.function_app import Function as SdkFunction

from local.functions_host.functions import LoadError
from local.functions_host.output import where_raised
from local.functions_host.settings import HostSettings


def enter(settings: HostSettings) -> None:
    """Make the app's folder the working directory and the first place to import from; set its clock if asked to.

    Raises:
        LoadError: a clock is to be set, and the app has none.
    """
    os.chdir(settings.app)
    sys.path.insert(0, str(settings.app))
    if settings.clock_ahead_seconds:
        _set_clock(timedelta(seconds=settings.clock_ahead_seconds))


def _set_clock(ahead: timedelta) -> None:
    """Replace `shared.clock.now` before anything of the app is loaded; in Azure nothing does."""
    try:
        clock: Any = importlib.import_module("shared.clock")
        now = clock.now
    except (ImportError, AttributeError):
        raise LoadError("--clock-ahead-seconds: the app has no shared.clock.now") from None

    def now_ahead() -> datetime:
        time: datetime = now()
        return time + ahead

    clock.now = now_ahead


def load(folder: Path) -> list[SdkFunction]:
    """Import the app and return its functions.

    Raises:
        LoadError: the import failed, or there is not exactly one FunctionApp.
    """
    try:
        module = importlib.import_module("function_app")
    except (Exception, SystemExit) as error:
        raise LoadError(f"function_app.py: {where_raised(error, folder)}: {error}") from None
    # By name, not by object: a second name for the same app is refused by a real host as well.
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionRegister)]
    if len(apps) != 1:
        raise LoadError(f"function_app.py: must hold one FunctionApp at its top level, found {len(apps)}")
    try:
        return list(apps[0].get_functions())
    except Exception as error:
        raise LoadError(f"function_app.py: {error}") from None
