"""Callers that App Service authentication vouches for, each with partitions of their own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from local.stack import Stack
from tests.kit.drop_box import make_instance
from tests.kit.principals import principal
from tests.kit.stack_service import Service

RULES = "Radiology=site-a Research=trial,Microsoft.Default Admin=*"
SITE = make_instance(PatientID="SITE")
TRIAL = make_instance(PatientID="TRIAL")
DEFAULT = make_instance(PatientID="DEFAULT")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service with partitions; the test sends what the platform would, since there is no platform before it."""
    settings = {"LOOKUP_AUTH": "principal", "WEBSITE_AUTH_ENABLED": "True", "CALLER_PARTITIONS": RULES}
    folder = tmp_path_factory.mktemp("principals")
    with Stack(folder, auth=True, dicom_options=["--partitions"], settings=settings) as running:
        for partition, instance in (("site-a", SITE), ("trial", TRIAL), ("Microsoft.Default", DEFAULT)):
            Service(running, partition).store(instance.content)
        yield running


def signed_in(*roles: str) -> dict[str, str]:
    """Return the header for a principal with these roles."""
    object_id = ("oid", "11111111-2222-3333-4444-555555555555")
    return {"x-ms-client-principal": principal(object_id, *(("roles", role) for role in roles))}


def ask(stack: Stack, path: str, headers: dict[str, str]) -> httpx.Response:
    """Ask without a function key."""
    return httpx.get(stack.app_url + path, headers=headers, trust_env=False, timeout=30)


def test_whoever_is_not_signed_in_is_refused(stack: Stack) -> None:
    """Not even the function key opens anything then."""
    for headers in ({}, {"x-functions-key": stack.function_key}, {"x-ms-client-principal": "no principal"}):
        response = ask(stack, "/partitions/site-a/studies", headers)
        assert (response.status_code, response.json()["code"]) == (401, "not-signed-in")


@pytest.mark.parametrize(
    ("roles", "partition", "found"),
    [
        ("Radiology", "site-a", "SITE"),
        ("Radiology", "trial", None),
        ("Research Radiology", "site-a", "SITE"),
        ("Admin", "trial", "TRIAL"),
        ("Other", "site-a", None),
        ("", "site-a", None),
    ],
)
def test_a_role_opens_its_partitions(stack: Stack, roles: str, partition: str, found: str | None) -> None:
    """And no other."""
    response = ask(stack, f"/partitions/{partition}/studies", signed_in(*roles.split()))
    if found is None:
        assert (response.status_code, response.json()["code"]) == (403, "not-your-partition")
    else:
        assert [study["00100020"]["Value"] for study in response.json()] == [[found]]


@pytest.mark.parametrize(
    "path",
    [
        f"/partitions/trial{TRIAL.path}",
        f"/partitions/trial{TRIAL.path}/frames/1",
        f"/partitions/trial/studies/{TRIAL.study}/thumbnail",
        f"/partitions/Trial{TRIAL.path}",
        f"/partitions/%74rial{TRIAL.path}",
        "/partitions/trial/changes",
        f"/partitions/site-a%2F..%2Ftrial{TRIAL.path}",
        "/studies",
    ],
)
def test_no_way_leads_into_another_partition(stack: Stack, path: str) -> None:
    """However it is spelt; a path without a partition is about the default one."""
    response = ask(stack, path, signed_in("Radiology"))
    assert response.status_code in (403, 400)
    assert not any(secret in response.text for secret in ("TRIAL", TRIAL.sop))


@pytest.mark.parametrize(
    ("role", "sops"),
    [
        ("Radiology", {SITE.sop}),
        ("Research", {TRIAL.sop, DEFAULT.sop}),
        ("Admin", {SITE.sop, TRIAL.sop, DEFAULT.sop}),
        ("Other", set()),
    ],
)
def test_changes_are_told_of_the_callers_partitions_alone(stack: Stack, role: str, sops: set[str]) -> None:
    """The feed itself spans all."""
    response = ask(stack, "/changes", signed_in(role))
    assert {change["sop_instance_uid"] for change in response.json()["changes"]} == sops
