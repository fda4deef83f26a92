"""The bearer token: fetched once, renewed once, and shown to nobody else."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import ManagedIdentityCredential

from shared import entra_auth
from shared.dicomweb import AccessDenied, Body, RequestNotSent, StatusError
from shared.dicomweb.transport import AiohttpTransport
from shared.entra_auth import EntraAuth
from tests.component.dicomweb.client_under_test import JSON, SECRET, assert_tells_nothing, client_of
from tests.kit.scripted_server import Received, Script, answer, serve

SCOPE = "https://dicom.example/.default"


class Credential:
    """Gives token-1, token-2, …; one that is `fixed` gives the same for ever."""

    def __init__(self, *, lifetime_seconds: int = 3600, fixed: bool = False, fails: bool = False) -> None:
        self._lifetime_seconds = lifetime_seconds
        self._fixed = fixed
        self.fails = fails
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        await asyncio.sleep(0.02)
        if self.fails:
            raise ClientAuthenticationError(SECRET)
        number = 1 if self._fixed else len(self.scopes)
        return AccessToken(f"token-{number}", int(time.time()) + self._lifetime_seconds)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Credential:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def auth_of(credential: Credential) -> EntraAuth:
    """Return an auth whose credential is the same one when it is made anew."""
    return EntraAuth(lambda: credential, SCOPE)


def takes(*tokens: str) -> Any:
    """A service that lets in who shows one of these tokens."""

    def choose(request: Received) -> Script:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if shown in tokens:
            return answer(200, json.dumps([]).encode(), JSON)
        return answer(401, SECRET.encode(), {"WWW-Authenticate": "Bearer"})

    return choose


async def test_one_token_for_all() -> None:
    """Many requests at once, and those after them, cause one token to be fetched for the scope."""
    credential = Credential()
    auth = auth_of(credential)
    async with serve(takes("token-1")) as server, client_of(server.url, auth=auth) as client:
        await asyncio.gather(*(client.search_for_studies() for _ in range(20)))
        await client.search_for_studies()
    assert credential.scopes == [SCOPE]
    assert len(server.requests) == 21


async def test_a_refusal_gives_its_connection_back() -> None:
    """The request with the new token goes out on the only connection, which the refused one had."""
    auth, transport = auth_of(Credential()), AiohttpTransport(max_connections=1)
    async with serve(takes("token-2")) as server, client_of(server.url, auth=auth, transport=transport) as client:
        async with asyncio.timeout(10):
            await client.search_for_studies()
    assert len(server.requests) == 2
    assert server.connections == 1


async def test_refused_token_is_renewed_once_for_all() -> None:
    """Where the service no longer takes the token, all who wait share one new one and are answered."""
    credential = Credential()
    auth = auth_of(credential)
    async with serve(takes("token-2")) as server, client_of(server.url, auth=auth) as client:
        await asyncio.gather(*(client.search_for_studies() for _ in range(20)))
    assert len(credential.scopes) == 2
    assert len(server.requests) <= 40


async def test_refused_upload_is_sent_again_whole() -> None:
    """A store that was refused for its token is sent again from the first byte."""
    content = bytes(1_000_000)
    auth = auth_of(Credential())

    def once(request: Received) -> Script:
        if request.headers["authorization"] == "Bearer token-1":
            return answer(401)
        return answer(200, b"{}", JSON)

    async with serve(once) as server, client_of(server.url, auth=auth) as client:
        await client.store_instance(Body.from_bytes(content))
    assert [request.body for request in server.requests] == [content, content]


async def test_a_deletion_is_not_sent_after_its_time() -> None:
    """Getting a token may take long: what was looked at before would no longer hold."""
    async with serve(answer(204)) as server, client_of(server.url, auth=auth_of(Credential())) as client:
        with pytest.raises(RequestNotSent):
            await client.delete_study(study_instance_uid="1.2", send_by=time.monotonic() + 0.01)  # a token takes 0.02
        assert server.requests == []
        await client.delete_study(study_instance_uid="1.2", send_by=time.monotonic() + 60)
    assert len(server.requests) == 1


async def test_a_deletion_that_is_refused_for_its_token_is_not_sent_again() -> None:
    """Another token would send it later than its sender knows."""
    async with serve(takes("token-2")) as server, client_of(server.url, auth=auth_of(Credential())) as client:
        with pytest.raises(AccessDenied):
            await client.delete_study(study_instance_uid="1.2", send_by=time.monotonic() + 60)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("fixed", "requests"), [(True, 1), (False, 2)], ids=["same_token", "new_token"])
async def test_refused_for_ever(fixed: bool, requests: int) -> None:
    """A service that refuses the new token too is believed; the same token is not shown it twice."""
    auth = auth_of(Credential(fixed=fixed))
    async with serve(takes()) as server, client_of(server.url, auth=auth) as client:
        with pytest.raises(AccessDenied) as raised:
            await client.search_for_studies()
    assert len(server.requests) == requests
    assert_tells_nothing(raised.value)


@pytest.mark.parametrize(("fixed", "requests"), [(True, 5), (False, 6)], ids=["same_token", "new_token"])
async def test_a_lasting_refusal_costs_one_new_token(fixed: bool, requests: int) -> None:
    """While the service refuses every token, later searches send the token that the app has and fetch no other."""
    credential = Credential(fixed=fixed)
    async with serve(takes()) as server, client_of(server.url, auth=auth_of(credential)) as client:
        for _ in range(5):
            with pytest.raises(AccessDenied):
                await client.search_for_studies()
    assert len(credential.scopes) == 2
    assert len(server.requests) == requests


async def test_after_a_pause_another_token_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new token that the service refused too is replaced once the pause is over."""
    auth = auth_of(Credential())
    async with serve(takes("token-3")) as server, client_of(server.url, auth=auth) as client:
        for _ in range(2):
            with pytest.raises(AccessDenied):
                await client.search_for_studies()
        monkeypatch.setattr(entra_auth, "_REST_AFTER_REPLACEMENT_SECONDS", 0)
        assert await client.search_for_studies() == []
    shown = [request.headers["authorization"] for request in server.requests]
    assert shown == [f"Bearer token-{number}" for number in (1, 2, 2, 2, 3)]


async def test_token_that_ends_soon_is_renewed() -> None:
    """A token is not used in its last minutes, in which a long upload would outlive it."""
    credential = Credential(lifetime_seconds=200)
    auth = auth_of(credential)
    async with serve(takes("token-1", "token-2")) as server, client_of(server.url, auth=auth) as client:
        await client.search_for_studies()
        await client.search_for_studies()
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer token-1", "Bearer token-2"]


async def test_no_token() -> None:
    """Without a token nothing is sent, the error tells nothing of the reason's text, and later ones may succeed."""
    credential = Credential(fails=True)
    auth = auth_of(credential)
    async with serve(takes("token-4")) as server, client_of(server.url, auth=auth) as client:
        with pytest.raises(RequestNotSent) as raised:
            await client.search_for_studies()
        assert server.connections == 0
        credential.fails = False
        await client.search_for_studies()
    assert len(credential.scopes) == 4  # three attempts, then one
    assert_tells_nothing(raised.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://dicom.example/v2", False),
        ("http://127.0.0.1.example/v2", False),
        ("http://localhost.example/v2", False),
        ("http://10.0.0.1/v2", False),
        ("https://dicom.example/v2", True),
        ("http://127.0.0.1:9/v2", True),
        ("http://LOCALHOST:9/v2", True),
        ("http://[::1]:9/v2", True),
    ],
)
async def test_who_sees_the_token(url: str, shown: bool) -> None:
    """The token goes over https, or to this machine; elsewhere it is not even fetched."""
    seen: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(204)

    credential = Credential()
    auth = auth_of(credential)
    async with client_of(url, auth=auth, transport=httpx.MockTransport(reply)) as client:
        if shown:
            await client.search_for_studies()
        else:
            with pytest.raises(RequestNotSent):
                await client.search_for_studies()
    assert seen == (["Bearer token-1"] if shown else [])
    assert len(credential.scopes) == len(seen)


async def test_token_does_not_follow_a_redirect() -> None:
    """A redirect to another host is an error, and the token stays here."""
    async with serve(takes("token-1")) as other:
        elsewhere = answer(307, headers={"Location": f"http://localhost:{other.port}/v2/studies"})
        async with serve(elsewhere) as server, client_of(server.url, auth=auth_of(Credential())) as client:
            with pytest.raises(StatusError, match="answered 307"):
                await client.search_for_studies()
        assert other.connections == 0


async def test_a_token_that_is_still_valid_outlives_a_failing_credential() -> None:
    """A renewal that fails minutes before the expiry is no outage; one that fails after it is."""
    credential = Credential(lifetime_seconds=200)
    auth = auth_of(credential)
    assert await auth.token() == "token-1"
    credential.fails = True
    assert await auth.token() == "token-1"
    with pytest.raises(RequestNotSent):
        await auth.token(refused="token-1")


async def test_callers_with_a_valid_token_do_not_queue_at_a_failing_credential() -> None:
    """One asks in vain; the others take the token that is still valid."""
    credential = Credential(lifetime_seconds=200)
    auth = auth_of(credential)
    assert await auth.token() == "token-1"
    credential.fails = True
    assert await asyncio.gather(*(auth.token() for _ in range(10))) == ["token-1"] * 10
    assert len(credential.scopes) == 2


async def test_an_expired_token_is_not_shown() -> None:
    """When the credential fails after the expiry, nothing is sent."""
    credential = Credential(lifetime_seconds=-1)
    auth = auth_of(credential)
    await auth.token()
    credential.fails = True
    with pytest.raises(RequestNotSent):
        await auth.token()


async def test_callers_share_a_failure() -> None:
    """Whoever waited while another asked in vain does not ask again: that would be a queue, each with its time-out."""
    credential = Credential(fails=True)
    auth = auth_of(credential)
    results = await asyncio.gather(*(auth.token() for _ in range(10)), return_exceptions=True)
    assert all(isinstance(result, RequestNotSent) for result in results)
    assert len(credential.scopes) == 1
    credential.fails = False
    assert await auth.token() == "token-2"


async def test_a_refused_token_is_replaced_with_the_real_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    """azure-identity keeps its tokens, and would give the refused one again."""
    expires = int(time.time()) + 86_400
    token = {"expires_on": expires, "resource": "https://dicom.example", "token_type": "Bearer"}
    answers = [
        answer(200, json.dumps(token | {"access_token": name}).encode(), {"Content-Type": "application/json"})
        for name in ("token-1", "token-2")
    ]
    async with serve(*answers) as identity, serve(takes("token-2")) as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{identity.port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "x")
        auth = EntraAuth(ManagedIdentityCredential, SCOPE)
        async with client_of(server.url, auth=auth) as client:
            assert await client.search_for_studies() == []
            assert await client.search_for_studies() == []
        await auth.aclose()
    assert len(identity.requests) == 2
    assert len(server.requests) == 3


async def test_cancelled_waiter_does_not_spoil_the_token() -> None:
    """If the one that fetches the token is cancelled, the next one fetches it."""
    credential = Credential()
    auth = auth_of(credential)
    first = asyncio.create_task(auth.token())
    second = asyncio.create_task(auth.token())
    await asyncio.sleep(0.005)
    first.cancel()
    assert await second == "token-2"
    assert first.cancelled()
