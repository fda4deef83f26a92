"""Stand-ins that let one machine play Azure: never deployed, imported by nothing but tests and bench."""

from __future__ import annotations

import importlib.util
import sys

_PACKAGES = ("aiohttp", "azure", "httpx", "jwt", "pydicom", "rich", "starlette")

# While Python looks for the module that `-m` names, this is "-m". Nothing but the standard library is imported so far.
if sys.argv[:1] == ["-m"] and not all(map(importlib.util.find_spec, _PACKAGES)):
    print(
        f"{sys.executable} lacks the packages of this project: run `make up` or another target that `make help` lists, "
        "which installs them first.",
        file=sys.stderr,
    )
    sys.exit(2)
