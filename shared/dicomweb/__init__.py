"""An asynchronous DICOMweb client for the Azure DICOM service and those like it.

It knows nothing of Azure Functions, azure-identity or our settings: credentials arrive as an `httpx.Auth`.
"""

from .body import Body, BodyLengthError
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
from .parts import Part
from .resource import Resource, check_uid
from .retry import RetryPolicy
from .search import Query
from .session import Answer, Request
from .store import InstanceOutcome, StoreReason, StoreResult, StoreStatus

__all__ = [
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
