"""Loading `function_app.py` and finding the one FunctionApp in it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import azure.functions as func
from azure.functions.decorators.function_app import Function as SdkFunction

from local.functions_host.functions import LoadError
from local.functions_host.output import where_raised


def enter(folder: Path) -> None:
    """Make the app's folder the working directory and the first place to import from."""
    os.chdir(folder)
    sys.path.insert(0, str(folder))


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
