"""What a command says if its Python lacks the packages of this project. Imports the standard library alone."""

from __future__ import annotations

import importlib.util
import sys

_OF_APP = ("aiohttp", "azure", "httpx", "pydicom")


def need_packages(*others: str) -> None:
    """End the process with one sentence if a package is missing; do nothing where the app itself is imported.

    A folder that holds commands calls it before it imports anything: while Python looks for the module that `-m`
    names, the first argument is "-m".

    Args:
        others: packages that the commands need besides those of the app.
    """
    if sys.argv[:1] == ["-m"] and not all(map(importlib.util.find_spec, (*_OF_APP, *others))):
        sys.stderr.write(
            f"{sys.executable} lacks the packages of this project: run `make up` or another target that `make help` "
            "lists, which installs them first.\n"
        )
        sys.exit(2)
