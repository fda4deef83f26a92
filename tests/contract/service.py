"""The DICOM service that the contract is held against, spoken to in plain HTTP; and what was made in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from urllib.parse import quote

import httpx

from tests.contract.differences import expect
from tests.contract.plain_client import PlainClient
from tests.kit.dicomweb_messages import DICOM_JSON, multipart_body
from tests.kit.files import Instance

Content = Instance | bytes
TIMEOUT_SECONDS = 60
_REMOVAL_ATTEMPTS = 2
_GONE = (200, 202, 204, 400, 404)  # 400: it has a name that nothing can have
_STUDY_URL = re.compile(r"(/studies/[0-9.]+)/series/")


class Bearer(httpx.Auth):
    """Bearer tokens (RFC 6750) from a function that is asked before each request."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Put the token into the request."""
        request.headers["Authorization"] = f"Bearer {self._token()}"
        yield request


class Made:
    """What a run has made, and removes at its end: URLs that take DELETE. What is left in it was not removed."""

    def __init__(self) -> None:
        self._opened: list[httpx.Client] = []
        self._clients: dict[str, httpx.Client] = {}
        self._problems: dict[str, str] = {}
        self.count = 0

    def open(self, url: str, auth: httpx.Auth | None) -> httpx.Client:
        """Return an HTTP client that stays open until everything is removed."""
        client = httpx.Client(base_url=url, auth=auth, timeout=TIMEOUT_SECONDS)
        self._opened.append(client)
        return client

    def close(self) -> None:
        """Close the clients."""
        for client in self._opened:
            client.close()

    def note(self, client: httpx.Client, url: str) -> None:
        """Remember a URL, before the request that makes it is sent."""
        if url not in self._clients:
            self._clients[url] = client
            self.count += 1

    def remove(self) -> None:
        """Delete everything, the newest first; forget what is gone."""
        for _ in range(_REMOVAL_ATTEMPTS):
            for url in reversed(list(self._clients)):
                self._remove(url)

    def _remove(self, url: str) -> None:
        try:
            status = self._clients[url].delete(url).status_code
        except httpx.HTTPError as error:
            self._problems[url] = type(error).__name__
            return
        if status in _GONE:
            del self._clients[url]
        else:
            self._problems[url] = str(status)

    @property
    def leftovers(self) -> list[str]:
        """What could not be removed, and why."""
        return [f"{url} ({self._problems.get(url, 'not tried')})" for url in self._clients]


class Service(PlainClient):
    """A plain HTTP client of the service; paths are those below its version, or below a partition of it."""

    def __init__(self, url: str, auth: httpx.Auth | None, made: Made, *, partition: str | None = None) -> None:
        self.version_url = url
        self.auth = auth
        self.made = made
        self.partition = partition
        self.url = url if partition is None else f"{url}/partitions/{partition}"
        super().__init__(made.open(self.url, auth))
        self._remover = self.http

    def with_auth(self, auth: httpx.Auth | None) -> Service:
        """Return a client of the same service with other credentials, or none; what it makes is removed with ours."""
        other = Service(self.version_url, auth, self.made, partition=self.partition)
        other._remover = self._remover
        return other

    def in_partition(self, partition: str | None) -> Service:
        """Return a client of another partition, or of none."""
        return Service(self.version_url, self.auth, self.made, partition=partition)

    def store(
        self, content: Content, path: str = "/studies", *, method: str = "POST", **headers: str
    ) -> httpx.Response:
        """Store one instance as a single part."""
        self._note(content)
        body = content if isinstance(content, bytes) else content.content
        return self._send_store(body, path, method, {"Content-Type": "application/dicom", **headers})

    def store_parts(
        self,
        *parts: Content | tuple[str | None, Content],
        path: str = "/studies",
        content_type: str = 'multipart/related; type="application/dicom"; boundary=frontier',
        end: bytes | None = None,
    ) -> httpx.Response:
        """Store several as multipart; a part is its content, or its Content-Type and content."""
        pairs = [part if isinstance(part, tuple) else ("application/dicom", part) for part in parts]
        for _, content in pairs:
            self._note(content)
        encoded = [(kind, part if isinstance(part, bytes) else part.content) for kind, part in pairs]
        return self._send_store(multipart_body(*encoded, end=end), path, "POST", {"Content-Type": content_type})

    def _send_store(self, body: bytes, path: str, method: str, headers: dict[str, str]) -> httpx.Response:
        response = self.http.request(method, path, content=body, headers={"Accept": DICOM_JSON, **headers})
        for study in _STUDY_URL.findall(response.text):  # what it says that it stored, asked or not
            self.made.note(self._remover, f"{self.url}{study}")
        return response

    def _note(self, content: Content) -> None:
        if isinstance(content, Instance):
            study = quote(content.study.rstrip(" \0"), safe="")
            self.made.note(self._remover, f"{self.url}/studies/{study}")

    def stored(self, *instances: Instance, statuses: tuple[int, ...] = (200,)) -> None:
        """Store instances that the service has nothing to say against."""
        for instance in instances:
            expect(self.store(instance), *statuses)

    def delete(self, path: str) -> httpx.Response:
        """Delete a resource."""
        return self.http.delete(path)
