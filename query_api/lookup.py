"""What a lookup is: the route it came by, and all that is known of it while it is under way."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from shared.callers import Caller, partitions_of
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, Resource
from shared.settings import Settings

from .public_address import public_address
from .refusals import refused

_HANDLING = re.compile(r"(?:^|[,;])\s*handling\s*=\s*\"?(strict|lenient)\b", re.IGNORECASE)

METHODS: Final = ("GET", "HEAD")

Endpoint: TypeAlias = "Callable[[Lookup], Coroutine[Any, Any, Response]]"
Transaction = Literal["search", "retrieve", "changes", "openapi"]


@dataclass(frozen=True)
class Adaptation:
    """Something that was asked for and done in another way, which the answer says in a `Warning` (RFC 7234 §5.5).

    Args:
        code: a stable word for the log.
        text: for the caller, in ASCII without quotes; it holds names of attributes, never a value.
    """

    code: str
    text: str


@dataclass(frozen=True)
class Route:
    """One kind of lookup.

    Args:
        name: the function's; the host tries functions in the order of their names.
        path: below the app's prefix, with parameters in braces.
        transaction: of PS3.18, or of ours.
        resource: what is searched for or retrieved, for the log: `studies`, `series metadata`.
        answer: turns a lookup into its answer; what it raises becomes a problem.
        is_partitioned: whether it is about one partition: the one in the path, or the default one.
    """

    name: str
    path: str
    transaction: Transaction
    resource: str
    answer: Endpoint
    is_partitioned: bool = True


@dataclass
class Lookup:
    """One lookup under way.

    Args:
        http: what the caller sent.
        route: by which it came.
        clients: what the app works with.
        caller: who asks.
        request_id: names it in the log and to the caller.
    """

    http: HttpRequest
    route: Route
    clients: Clients
    caller: Caller
    request_id: str
    adaptations: list[Adaptation] = field(default_factory=list)
    # How many datasets or parts the answer has, as far as the lookup counts them.
    datasets: int | None = None
    # Machines that know no DICOM shall not get what they did not ask for.
    is_strict_by_default: bool = False

    @property
    def settings(self) -> Settings:
        """The app's settings."""
        return self.clients.settings

    @property
    def partition(self) -> str | None:
        """The partition that the path names, or None."""
        partition: str | None = self.http.path_params.get("partition")
        return partition

    def may_see(self, partition: str) -> bool:
        """Return whether the caller may see what is in a partition."""
        allowed = partitions_of(self.caller, self.settings)
        return allowed is None or partition in allowed

    @property
    def is_limited(self) -> bool:
        """Whether there are partitions that the caller may not see."""
        return partitions_of(self.caller, self.settings) is not None

    @cached_property
    def resource(self) -> Resource:
        """The study, series or instance that the path names, or all studies.

        Raises:
            InvalidParameter: it has what is no UID.
        """
        parameters = self.http.path_params
        return Resource(parameters.get("study"), parameters.get("series"), parameters.get("instance"))

    @property
    def service(self) -> DICOMwebClient:
        """The service's client, bound to no partition."""
        return self.clients.lookups

    @cached_property
    def dicom(self) -> DICOMwebClient:
        """The service's client, bound to the partition.

        Raises:
            InvalidParameter: that is no partition's name.
        """
        return self.service if self.partition is None else self.service.partition(self.partition)

    @cached_property
    def app_address(self) -> str:
        """The app's address, as the caller sees it: it stands for the service's own."""
        return public_address(self.http, self.route.path, self.settings.public_url)

    @property
    def address(self) -> str:
        """The address above all that is looked up: the app's, with the partition if there is one."""
        return self.app_address if self.partition is None else f"{self.app_address}/partitions/{self.partition}"

    @property
    def is_strict(self) -> bool:
        """Whether what cannot be answered as it stands is refused (`Prefer: handling=strict`, RFC 7240 §4.4)."""
        preferred = _HANDLING.search(", ".join(self.http.headers.getlist("prefer")))
        return preferred[1].lower() == "strict" if preferred else self.is_strict_by_default

    def adapt(self, adaptation: Adaptation) -> None:
        """Note that something is done in another way than it was asked for.

        Raises:
            Refused: the caller does not want that.
        """
        if self.is_strict:
            raise refused("not-adapted", members={"adaptation": adaptation.code, "detail": adaptation.text})
        if adaptation not in self.adaptations:
            self.adaptations.append(adaptation)

    def warning_headers(self) -> dict[str, str]:
        """Return what tells the caller of the adaptations so far."""
        warnings = ", ".join(f'299 - "{adaptation.text}"' for adaptation in self.adaptations)
        return {"Warning": warnings} if warnings else {}
