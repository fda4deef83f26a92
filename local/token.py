"""Print a bearer token for the DICOM service of the running stack: `python -m local.token`."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

from local.identity import API_VERSION
from local.lockfile import holder
from local.tokens import DICOM_AUDIENCE
from local.up import ACCESS_FILE, PID_FILE, data_folder


def main() -> int:
    """Return 0 when the token is printed."""
    folder = data_folder()
    access = folder / ACCESS_FILE
    if holder(folder / PID_FILE) is None or not access.exists():
        print(f"Nothing runs in {folder}: start it with `make up`.", file=sys.stderr)
        return 1
    print(_ask(access))
    return 0


def _ask(access: Path) -> str:
    known = json.loads(access.read_text())
    query = urlencode({"api-version": API_VERSION, "resource": DICOM_AUDIENCE})
    request = urllib.request.Request(  # noqa: S310 - our own http endpoint on loopback
        f"{known['endpoint']}?{query}", headers={"X-IDENTITY-HEADER": known["header"]}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback goes through no proxy
    with opener.open(request, timeout=10) as answer:
        return str(json.load(answer)["access_token"])


if __name__ == "__main__":
    sys.exit(main())
