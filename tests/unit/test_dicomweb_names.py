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
        "Change",
        "ChangeAction",
        "ChangeFeed",
        "ChangeState",
        "Conflict",
        "DICOMwebClient",
        "DICOMwebError",
        "ExtendedQueryTag",
        "ExtendedQueryTags",
        "InstanceOutcome",
        "InvalidParameter",
        "InvalidResponse",
        "JSONPage",
        "Metadata",
        "NotAcceptable",
        "NotFound",
        "Operation",
        "Operations",
        "Page",
        "Part",
        "Partition",
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
    assert public_names(shared.dicomweb.DICOMwebClient("http://service/v2")) == {
        "aclose",
        "change_feed",
        "delete_instance",
        "delete_series",
        "delete_study",
        "extended_query_tags",
        "iter_instances",
        "iter_series",
        "iter_studies",
        "list_partitions",
        "operations",
        "partition",
        "read_study_metadata",
        "retrieve_frame_rendered",
        "retrieve_frames",
        "retrieve_instance",
        "retrieve_instance_metadata",
        "retrieve_instance_rendered",
        "retrieve_series",
        "retrieve_series_metadata",
        "retrieve_study",
        "retrieve_study_metadata",
        "search_for_instances",
        "search_for_series",
        "search_for_studies",
        "search_json",
        "send",
        "store_instance",
        "store_instances",
    }


def test_what_belongs_to_the_whole_service() -> None:
    """What the Azure service has beyond any partition is grouped by its resource."""
    client = shared.dicomweb.DICOMwebClient("http://service/v2")
    assert public_names(client.change_feed) == {"iter", "latest", "latest_and_time", "page", "window"}
    assert public_names(client.extended_query_tags) == {"add", "delete", "get", "list"}
    assert public_names(client.operations) == {"get", "wait"}


def public_names(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}
