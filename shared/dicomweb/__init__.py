"""An asynchronous DICOMweb client for the Azure DICOM service and those like it.

It knows nothing of Azure Functions, azure-identity or our settings: credentials arrive as an `httpx.Auth`.
"""

from .body import Body
from .change_feed import Change, ChangeAction, ChangeFeed, ChangeState
from .checks import check_uid
from .client import DICOMwebClient
from .errors import (
    AccessDenied,
    Busy,
    Conflict,
    DICOMwebError,
    InvalidParameter,
    InvalidResponse,
    NotAcceptable,
    NotFound,
    RequestNotSent,
    ResponseLost,
    StatusError,
)
from .extended_query_tags import ExtendedQueryTag, ExtendedQueryTags
from .messages import Answer, Request
from .metadata import Metadata
from .operations import Operation, Operations
from .partitions import Partition
from .parts import Part
from .query import Query
from .resource import Resource
from .retry import RetryPolicy
from .search import JSONPage, Page
from .store_response import InstanceOutcome, StoreReason, StoreResult, StoreStatus
from .transport import BodyLengthError

__all__ = [
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
