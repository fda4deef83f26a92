"""The bodies of requests that change something, read and checked (pure)."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from .answering import refused

Who = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Body = TypeVar("Body", bound=BaseModel)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class ApprovalRequest(_Body):
    """Who approves a plan: of this hash, with so many studies that are to be deleted."""

    approver: Who
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    count: int = Field(ge=0)


class WithdrawalRequest(_Body):
    """Who withdraws a plan."""

    withdrawn_by: Who


class RestoreRequest(_Body):
    """Who asks for a study to be put back."""

    requested_by: Who


def read(kind: type[Body], body: bytes) -> Body:
    """Read a body.

    Raises:
        Refused: it is not what it should be.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        raise refused("invalid-body") from None
