"""The token endpoint, asked by the real azure-identity."""

from __future__ import annotations

import datetime
import ipaddress
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import azure.identity
import azure.identity.aio
import httpx
import pytest
from azure.core.credentials import TokenCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local import identity, tokens
from local.azurite import Azurite, Certificate
from local.ports import HOST, free_ports
from local.process import Part, stop

HEADER = "canary-header"
SECRET = "canary-secret-of-more-than-thirty-two-bytes"
SCOPE = f"{tokens.DICOM_AUDIENCE}/.default"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an endpoint that the environment names as App Service would."""
    with served("owner") as url:
        monkeypatch.setenv("IDENTITY_ENDPOINT", url)
        monkeypatch.setenv("IDENTITY_HEADER", HEADER)
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
        yield url


@contextmanager
def served(role: tokens.Role) -> Iterator[str]:
    """Run an endpoint and yield its URL."""
    with identity.Endpoint(0, header=HEADER, secret=SECRET, role=role) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield identity.url(server.server_port)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("kind", ["ManagedIdentityCredential", "DefaultAzureCredential"])
def test_gives_a_credential_its_token(endpoint: str, kind: str) -> None:
    """The blocking credentials get a token that the DICOM service accepts."""
    credential: Any = getattr(azure.identity, kind)()
    with credential:
        assert tokens.verify(credential.get_token(SCOPE).token, SECRET)["aud"] == tokens.DICOM_AUDIENCE


@pytest.mark.parametrize("kind", ["ManagedIdentityCredential", "DefaultAzureCredential"])
async def test_gives_an_async_credential_its_token(endpoint: str, kind: str) -> None:
    """The credentials that the app uses get one, too, and believe its time of expiry."""
    make: Callable[[], AsyncTokenCredential] = getattr(azure.identity.aio, kind)
    async with make() as credential:
        access = await credential.get_token(SCOPE)
    assert abs(tokens.verify(access.token, SECRET)["exp"] - access.expires_on) <= 1


@pytest.mark.parametrize(
    ("path", "query", "header", "status"),
    [
        (identity.PATH, {"resource": "r", "api-version": "2019-08-01"}, HEADER, 200),
        (identity.PATH, {"resource": "r", "api-version": "2019-08-01"}, "other", 401),
        (identity.PATH, {"resource": "r", "api-version": "2019-08-01"}, None, 401),
        (identity.PATH, {"resource": "r", "api-version": "2017-09-01"}, HEADER, 400),
        (identity.PATH, {"resource": "r"}, HEADER, 400),
        (identity.PATH, {"api-version": "2019-08-01"}, HEADER, 400),
        ("/elsewhere", {"resource": "r", "api-version": "2019-08-01"}, HEADER, 404),
    ],
)
def test_asks_for_all_that_app_service_asks_for(
    endpoint: str, path: str, query: dict[str, str], header: str | None, status: int
) -> None:
    """Only a request with the header, the version and one resource gets a token."""
    headers = {"X-IDENTITY-HEADER": header} if header else {}
    answer = httpx.get(httpx.URL(endpoint).copy_with(path=path), params=query, headers=headers)
    assert answer.status_code == status
    assert ("access_token" in answer.json()) == (status == 200)


@pytest.mark.parametrize(
    ("asked", "given"), [({}, "reader"), ({"role": "owner"}, "owner"), ({"role": "reader"}, "reader")]
)
def test_gives_the_role_of_its_identity(asked: dict[str, str], given: str) -> None:
    """A token has the role that the endpoint is started with, unless the request names another."""
    query = {"resource": tokens.DICOM_AUDIENCE, "api-version": identity.API_VERSION, **asked}
    with served("reader") as url:
        answer = httpx.get(url, params=query, headers={"X-IDENTITY-HEADER": HEADER})
    assert tokens.verify(answer.json()["access_token"], SECRET)["roles"] == [given]


def test_knows_no_other_role(endpoint: str) -> None:
    """A role that the service does not know is refused, rather than given in vain."""
    query = {"resource": "r", "api-version": identity.API_VERSION, "role": "administrator"}
    assert httpx.get(endpoint, params=query, headers={"X-IDENTITY-HEADER": HEADER}).status_code == 400


def test_logs_no_secret(tmp_path: Path) -> None:
    """The process writes neither the header nor a token, whatever it is asked."""
    port = free_ports(1)
    part = Part(
        "identity",
        [sys.executable, "-m", "local.identity", "--port", str(port)],
        log=tmp_path / "identity.log",
        environment={**os.environ, "IDENTITY_HEADER": HEADER, "LOCAL_TOKEN_SECRET": SECRET},
    )
    try:
        query = {"resource": "canary-resource", "api-version": identity.API_VERSION}
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport) as client:
            answers = [
                client.get(identity.url(port), params=query, headers={"X-IDENTITY-HEADER": sent})
                for sent in (HEADER, "canary-wrong")
            ]
    finally:
        stop([part])
    assert [answer.status_code for answer in answers] == [200, 401]
    assert part.log.read_text() == ""


def test_storage_takes_tokens_over_https(endpoint: str, tmp_path: Path) -> None:
    """Azurite with a certificate accepts the credential of the app, for blobs and queues."""
    certificate = _self_signed(tmp_path)
    trust: dict[str, Any] = {"connection_verify": str(certificate.certificate)}
    credential: TokenCredential = azure.identity.ManagedIdentityCredential()
    with Azurite(tmp_path, certificate=certificate) as azurite:
        with BlobServiceClient(azurite.url("blob"), credential, **trust) as blobs:
            blobs.create_container("secured").upload_blob("a", b"content").close()
            assert blobs.get_blob_client("secured", "a").download_blob().readall() == b"content"
        with QueueServiceClient(azurite.url("queue"), credential, **trust) as queues:
            queues.create_queue("secured").close()
            assert [queue.name for queue in queues.list_queues()] == ["secured"]


def _self_signed(folder: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = Certificate(folder / "certificate.pem", folder / "key.pem")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
