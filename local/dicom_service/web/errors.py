"""What ends a request with a status other than success: a sentence in plain text, as the service answers.

The sentences hold no value of anyone's: clients write them to their logs.
"""

from __future__ import annotations

from starlette.responses import PlainTextResponse, Response


class ServiceError(Exception):
    """A request ends with `status_code`; no sentence means an empty body."""

    def __init__(self, status_code: int, sentence: str = "") -> None:
        super().__init__(sentence)
        self.status_code = status_code
        self.sentence = sentence

    def response(self) -> Response:
        """Return the answer to send."""
        if not self.sentence:
            return Response(status_code=self.status_code)
        return PlainTextResponse(self.sentence, self.status_code)


def bad_request(sentence: str) -> ServiceError:
    """Return the error for a request that cannot be understood."""
    return ServiceError(400, sentence)


def not_found(what: str) -> ServiceError:
    """Return the error for a study, series, instance or frame that is not there."""
    return ServiceError(404, f"The {what} was not found.")


def not_acceptable(sentence: str = "") -> ServiceError:
    """Return the error for an Accept header that cannot be served."""
    return ServiceError(406, sentence)
