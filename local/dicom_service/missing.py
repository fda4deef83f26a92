"""What this service cannot do yet and answers with 501. README.md has the same list; a test compares the two."""

from __future__ import annotations

from dataclasses import dataclass

from local.dicom_service.web.errors import ServiceError


@dataclass(frozen=True)
class Missing:
    """A feature that is missing, and the routes that would have it: method and path below `/v2`."""

    feature: str
    routes: tuple[tuple[str, str], ...] = ()

    def error(self) -> ServiceError:
        """Return what its users are told."""
        return ServiceError(501, f"This local service cannot do this yet: {self.feature}.")


FEATURES = (
    Missing("bulk update", (("POST", "/studies/$bulkUpdate"),)),
    Missing("export", (("POST", "/export"),)),
    Missing(
        "workitems",
        (
            ("GET", "/workitems"),
            ("POST", "/workitems"),
            ("GET", "/workitems/{rest:path}"),
            ("POST", "/workitems/{rest:path}"),
            ("PUT", "/workitems/{rest:path}"),
        ),
    ),
)
