"""What the client's package offers."""

from __future__ import annotations

import shared.dicomweb


def test_public_names() -> None:
    """The public names are these; each is there, and a change of them is a decision."""
    assert shared.dicomweb.__all__ == [
        "AccessDenied",
        "Answer",
        "Body",
        "BodyLengthError",
        "Busy",
        "Conflict",
        "DICOMwebClient",
        "DICOMwebError",
        "InstanceOutcome",
        "InvalidParameter",
        "InvalidResponse",
        "NotAcceptable",
        "NotFound",
        "Part",
        "Query",
        "Request",
        "RequestNotSent",
        "Resource",
        "ResponseLost",
        "RetryPolicy",
        "StatusError",
        "StoreReason",
        "StoreResult",
        "StoreStatus",
        "check_uid",
    ]
    assert all(hasattr(shared.dicomweb, name) for name in shared.dicomweb.__all__)


def test_public_methods() -> None:
    """The client's methods carry the names of the Standard's transactions, and Delete, which is Azure's."""
    methods = {name for name in vars(shared.dicomweb.DICOMwebClient) if not name.startswith("_")}
    assert methods == {
        "aclose",
        "delete_instance",
        "delete_series",
        "delete_study",
        "iter_instances",
        "iter_series",
        "iter_studies",
        "retrieve_frames",
        "retrieve_instance",
        "retrieve_instance_metadata",
        "retrieve_series",
        "retrieve_series_metadata",
        "retrieve_study",
        "retrieve_study_metadata",
        "search_for_instances",
        "search_for_series",
        "search_for_studies",
        "send",
        "store_instance",
    }
