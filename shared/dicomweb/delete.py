"""Delete: not in PS3.18, an extension of the Azure service. What is deleted is gone for good."""

from __future__ import annotations

from . import media_types
from .messages import Request
from .resource import Resource
from .transactions import Transactions


class DeleteTransaction(Transactions):
    """Delete, at once for every reader; a 404 says that it is gone already."""

    async def delete_study(self, *, study_instance_uid: str, send_by: float | None = None) -> None:
        """Delete a study with all that is in it.

        Args:
            send_by: send the request a single time, before this time of `time.monotonic` or not at all, whatever comes
                of it: for those who look at much before they delete, and have to look again before they repeat it.

        Raises:
            NotFound: there is none under this UID.
            RequestNotSent: not sent, such as because a token came too late for `send_by`.
            ResponseLost: perhaps deleted; a repetition is answered with NotFound then.
        """
        await self._delete(Resource.study(study_instance_uid), send_by=send_by)

    async def delete_series(self, *, study_instance_uid: str, series_instance_uid: str) -> None:
        """Delete a series; with the last one of its study goes the study.

        Raises:
            NotFound, ResponseLost: as `delete_study`.
        """
        await self._delete(Resource.series(study_instance_uid, series_instance_uid))

    async def delete_instance(
        self, *, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> None:
        """Delete an instance; with the last one of its series goes the series.

        Raises:
            NotFound, ResponseLost: as `delete_study`.
        """
        await self._delete(Resource.instance(study_instance_uid, series_instance_uid, sop_instance_uid))

    async def _delete(self, resource: Resource, *, send_by: float | None = None) -> None:
        request = Request(
            f"delete {resource.level}",
            "DELETE",
            resource.path,
            accept=media_types.DICOM_JSON,
            statuses=frozenset({204}),
            is_sent_once=send_by is not None,
            send_by=send_by,
        )
        await self._session.fetch_nothing(request)
