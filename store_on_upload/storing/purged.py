"""Which studies retention has deleted: for each a pointer to its tombstone, by which it does not come back."""

from __future__ import annotations

from azure.core.exceptions import ResourceNotFoundError

from shared.clients import Clients
from shared.kept import Kept
from shared.purged import pointer_folder, pointer_name
from shared.settings import RETENTION_STATE

# The instances of a study come together: one look serves them all.
_KEPT_SECONDS = 60.0
_KEPT_STUDIES = 1000


class PurgedStudies:
    """Knows the pointers, each look kept for a minute, and shared by the instances that come meanwhile."""

    def __init__(self, clients: Clients) -> None:
        self._container = clients.container(RETENTION_STATE)
        self._known: dict[str, Kept[bool]] = {}

    async def has(self, partition: str | None, study_instance_uid: str, *, look_again: bool = False) -> bool:
        """Say whether retention has deleted a study, and nobody has put it back.

        What the pointer holds is no matter: it is there, or it is not.

        Args:
            partition: of the study.
            study_instance_uid: its UID.
            look_again: whatever is known already, ask the storage.

        Raises:
            AzureError: it cannot be told.
        """
        name = pointer_name(partition, study_instance_uid)
        if look_again or name not in self._known:
            self._known.pop(name, None)
            self._known[name] = Kept(_KEPT_SECONDS)
            if len(self._known) > _KEPT_STUDIES:
                del self._known[next(iter(self._known))]
        return await self._known[name].get(lambda: self._container.get_blob_client(name).exists())

    async def has_any(self, partition: str | None) -> bool:
        """Say whether retention has deleted any study of a partition, and nobody has put it back.

        Raises:
            AzureError: it cannot be told.
        """
        names = self._container.list_blob_names(name_starts_with=pointer_folder(partition), results_per_page=1)
        try:
            return await anext(aiter(names), None) is not None
        except ResourceNotFoundError:  # an installation without retention
            return False
