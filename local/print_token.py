"""Print a bearer token for the DICOM service of the running stack: `python -m local.print_token [--role reader]`."""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlencode

from local.identity import API_VERSION
from local.tokens import DICOM_AUDIENCE, ROLES
from local.up import data_folder, read_access


def main() -> int:
    """Return 0 when the token is printed."""
    parser = argparse.ArgumentParser(description="Print a bearer token for the DICOM service of the running stack.")
    parser.add_argument("--role", choices=ROLES, default="owner", help="what its bearer may do")
    role = parser.parse_args().role
    folder = data_folder()
    access = read_access(folder)
    if access is None:
        print(
            f"No stack runs in {folder}: start one with `make up`, or set LOCAL_DATA_DIR to the folder of the one that "
            "runs.",
            file=sys.stderr,
        )
        return 1
    print(_ask(access, role))
    return 0


def _ask(access: Mapping[str, str], role: str) -> str:
    query = urlencode({"api-version": API_VERSION, "resource": DICOM_AUDIENCE, "role": role})
    request = urllib.request.Request(  # noqa: S310 - our own http endpoint on loopback
        f"{access['endpoint']}?{query}", headers={"X-IDENTITY-HEADER": access["header"]}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback goes through no proxy
    with opener.open(request, timeout=10) as answer:
        return str(json.load(answer)["access_token"])


if __name__ == "__main__":
    sys.exit(main())
