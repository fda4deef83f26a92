"""What each group of transactions builds on."""

from __future__ import annotations

from .session import Session


class Transactions:
    """Some transactions of a client, all over one session.

    Args:
        session: to the service, or to one partition of it.
        single_part: whether what is one instance or one frame travels by itself, not as multipart of one part.
    """

    def __init__(self, session: Session, *, single_part: bool = True) -> None:
        self._session = session
        self._single_part = single_part
