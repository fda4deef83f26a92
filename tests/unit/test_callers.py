"""Who asks, and which partitions they may see."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.requests import Request as HttpRequest

from shared.callers import Caller, caller_of, fingerprint_of, partitions_of
from shared.settings import ConfigurationError, Settings, load
from tests.kit.principals import principal

AUDIT_KEY = "0123456789abcdef"
KEY = "a function key"
OBJECT_ID = "11111111-2222-3333-4444-555555555555"
APPLICATION = "99999999-2222-3333-4444-555555555555"


def settings(**given: str) -> Settings:
    return load({"DICOM_SERVICE_URL": "https://x.example/v2", "DICOM_STORAGE": "UseDevelopmentStorage=true", **given})


def asked(query: str = "", **headers: str) -> HttpRequest:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HttpRequest({"type": "http", "path": "/api", "query_string": query.encode(), "headers": named})


SIGNED_IN = principal(("oid", OBJECT_ID), ("roles", "Radiology"), ("roles", "Reader"), ("azp", APPLICATION))


def test_a_principal_is_believed_only_where_the_platform_vouches_for_it() -> None:
    """Without App Service authentication anybody can send that header."""
    request = asked(x_ms_client_principal=SIGNED_IN, x_functions_key=KEY)
    on = caller_of(request, settings(WEBSITE_AUTH_ENABLED="True"))
    assert on == Caller("principal", OBJECT_ID, None, frozenset({"Radiology", "Reader", APPLICATION}))
    for off in (settings(), settings(WEBSITE_AUTH_ENABLED="False")):
        assert caller_of(request, off).kind == "key"


def test_the_names_that_app_service_gives_to_claims() -> None:
    """It maps some of Entra ID's to longer ones."""
    header = principal(
        ("http://schemas.microsoft.com/identity/claims/objectidentifier", OBJECT_ID),
        ("http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "Radiology"),
        ("appid", APPLICATION),
    )
    caller = caller_of(asked(x_ms_client_principal=header), settings(WEBSITE_AUTH_ENABLED="True"))
    assert caller == Caller("principal", OBJECT_ID, None, frozenset({"Radiology", APPLICATION}))


@pytest.mark.parametrize(
    "header",
    [
        "no base64",
        base64.b64encode(b"no JSON").decode(),
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b'{"claims": 3}').decode(),
        base64.b64encode(b'{"claims": [3, {"typ": "oid"}]}').decode(),
        base64.b64encode(b"[" * 100_000).decode(),
        principal(),
        principal(("roles", "Radiology")),
        principal(("oid", OBJECT_ID), ("oid", APPLICATION), ("roles", "Radiology")),
    ],
)
def test_a_principal_that_cannot_be_read_has_no_rights(header: str) -> None:
    """It is nobody in particular, whatever roles it claims, and not the bearer of a key instead."""
    request = asked(x_ms_client_principal=header, x_functions_key=KEY)
    assert caller_of(request, settings(WEBSITE_AUTH_ENABLED="True")) == Caller("unknown")


@pytest.mark.parametrize(
    "request_",
    [asked(x_functions_key=KEY), asked(f"code={KEY}"), asked(f"a=1&CODE={KEY}"), asked("code=x", x_functions_key=KEY)],
)
def test_a_key_is_known_by_its_fingerprint(request_: HttpRequest) -> None:
    """Wherever it stands, the header first as at the host; it has a name if somebody gave it one."""
    fingerprint = fingerprint_of(KEY, AUDIT_KEY)
    audited = settings(AUDIT_KEY=AUDIT_KEY)
    assert caller_of(request_, audited) == Caller("key", fingerprint)
    assert caller_of(request_, settings(AUDIT_KEY=AUDIT_KEY, CALLERS=f"ris={fingerprint}")).name == "ris"
    assert caller_of(request_, settings()) == Caller("key")
    assert KEY not in fingerprint
    assert fingerprint != fingerprint_of(KEY, AUDIT_KEY[::-1])


def test_nobody_in_particular() -> None:
    """As on a host that asks for no key."""
    assert caller_of(asked(), settings()) == Caller("unknown")


RULES = "Radiology=site-a,site-b Research=trial Admin=*"


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        (set(), set()),
        ({"Other"}, set()),
        ({"Radiology"}, {"site-a", "site-b"}),
        ({"Radiology", "Research"}, {"site-a", "site-b", "trial"}),
        ({"Radiology", "Admin"}, None),
        ({"radiology"}, set()),
    ],
)
def test_partitions_go_by_role_and_fail_closed(roles: set[str], allowed: set[str] | None) -> None:
    """Whoever has no role that is named sees nothing; several roles add up."""
    caller = Caller("principal", OBJECT_ID, None, frozenset(roles))
    assert partitions_of(caller, settings(CALLER_PARTITIONS=RULES)) == allowed
    assert partitions_of(caller, settings()) is None


def test_a_key_has_no_role() -> None:
    """Its bearer sees nothing where partitions go by role."""
    assert partitions_of(Caller("key", "0" * 32, "ris"), settings(CALLER_PARTITIONS=RULES)) == frozenset()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("CALLER_PARTITIONS", value) for value in ("CANARY", "CANARY=", "=a", "A=a A=b", "A=a b", "A=a,,b")),
        *(("CALLERS", value) for value in ("canary", "ris=xyz", f"RIS={'0' * 32}", f"a={'0' * 32} b={'0' * 32}")),
        ("AUDIT", "sometimes"),
        ("AUDIT_KEY", "short"),
        ("LOOKUP_AUTH", "none"),
    ],
)  # fmt: skip
def test_settings_that_are_wrong(name: str, value: str) -> None:
    """Each is named, without its value."""
    with pytest.raises(ConfigurationError) as raised:
        settings(**{name: value})
    [problem] = raised.value.problems
    assert problem.startswith(f"{name}: ")
    assert value not in problem.removeprefix(name)


@pytest.mark.parametrize("demand", ["best_effort", "required"])
def test_an_access_record_needs_its_key(demand: str) -> None:
    """Fingerprints without a secret could be tried out."""
    with pytest.raises(ConfigurationError) as raised:
        settings(AUDIT=demand)
    assert raised.value.problems == ["AUDIT_KEY: must be set where AUDIT is on"]


def test_no_rule_or_key_is_shown() -> None:
    """Not even by whoever prints the settings."""
    given: dict[str, Any] = {"AUDIT_KEY": AUDIT_KEY, "CALLER_PARTITIONS": RULES, "CALLERS": f"ris={'0' * 32}"}
    shown = repr(settings(**given))
    assert not any(value in shown for value in (AUDIT_KEY, "Radiology", "0" * 32))
