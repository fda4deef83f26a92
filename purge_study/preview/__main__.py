"""`python -m purge_study.preview FOLDER`: what would retention do? With the app's own settings; nothing is deleted.

The storage that the settings name has to be the preview's own: its ledger is written there. The plan's documents go
into FOLDER. Exit code 0, 1 if the policy or a list cannot be used, 2 if it cannot be told.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from azure.core.exceptions import AzureError
from azure.identity.aio import DefaultAzureCredential

from purge_study.planning.plan import PLANS
from purge_study.rulebook.rulebook import RulebookFault
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, DICOMwebError
from shared.dicomweb.transport import default_transport
from shared.entra_auth import EntraAuth
from shared.events import describe, silence_libraries
from shared.progress import Say, on_terminal
from shared.settings import RETENTION_RECORDS, ConfigurationError, load

from .previewing import preview
from .reading_only import ReadingOnly
from .summary import lines_of

_KEPT = "What was read is kept: try again to go on."


def main() -> int:
    """Print the summary and return the exit code."""
    silence_libraries()
    try:
        found = asyncio.run(_preview(Path(sys.argv[1]), on_terminal()))
    except RulebookFault as fault:
        return _complain(1, "The policy cannot be used:", *fault.problems)
    except (AzureError, ConfigurationError, DICOMwebError) as error:
        return _complain(2, f"It cannot be told: {describe(error)}", _KEPT)
    except KeyboardInterrupt:
        return _complain(130, "", _KEPT)
    _print(*found)
    return 0


async def _preview(folder: Path, say: Say) -> list[str]:
    """Return what is to be printed."""
    settings = load()
    auth = EntraAuth(DefaultAzureCredential, settings.dicom_token_scope)
    dicom = DICOMwebClient(settings.dicom_service_url, auth=auth, transport=ReadingOnly(default_transport()))
    clients = Clients.over(settings, dicom, auth=auth)
    try:
        found = await preview(clients, say)
        await _copy(clients, found.plan_id, folder)
    finally:
        await clients.aclose()
    zone = found.rulebook.policy.policy.time_zone
    return [
        *lines_of(found.decision, zone, found.unmatched_rules),
        f"The plan as a page: {(folder / f'{PLANS}{found.plan_id}.html').as_uri()}",
    ]


async def _copy(clients: Clients, plan_id: str, folder: Path) -> None:
    """Copy the plan's documents to where a person finds them, in place of the last preview's.

    They keep their names, by which they link to one another.
    """
    records = clients.container(RETENTION_RECORDS)
    (folder / PLANS).mkdir(exist_ok=True)
    for earlier in (folder / PLANS).iterdir():
        earlier.unlink()
    async for name in records.list_blob_names(name_starts_with=f"{PLANS}{plan_id}"):
        content = await (await records.download_blob(name)).readall()
        (folder / name).write_bytes(content)


def _complain(code: int, *lines: str) -> int:
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return code


def _print(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
