"""What infra/ lets an app do with storage, for Azurite knows no roles: a gateway refuses all else.

What a request takes is as Azure's reference has it ("Authorize with Microsoft Entra ID", permissions for calling data
operations), without what all of it begins with. A request that has no line here is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from urllib.parse import parse_qs, unquote, urlsplit

from tests.infra.apps import ACCESS
from tests.infra.bicep import INFRA, read
from tests.kit.connection_strings import Service, endpoint, through
from tests.kit.gateway import Gateway, Step

REFUSAL = "AuthorizationPermissionMismatch"
TABLES = "tables"  # all of the account: nobody knows the name before

_READ, _WRITE, _DELETE = ("containers/blobs/read",), ("containers/blobs/write",), ("containers/blobs/delete",)
_ADD = ("containers/blobs/add/action", *_WRITE)
_SEND = ("queues/messages/add/action", "queues/messages/write")
_TAKE = ("queues/messages/process/action",)
# By method, what it is about, and `comp`: the rights of which one is enough, the smallest first.
TAKES: Mapping[str, Sequence[str]] = {
    "GET container": ("containers/read",),
    "GET container list": _READ,
    "GET blob": _READ,
    "HEAD blob": _READ,
    "PUT new blob": _ADD,  # it replaces none; so does a copy
    "PUT blob": _WRITE,
    "PUT blob block": _WRITE,
    "PUT blob blocklist": _WRITE,
    "PUT blob appendblock": _ADD,
    "PUT blob metadata": _WRITE,
    "PUT blob lease": _WRITE,
    "DELETE blob": _DELETE,
    "PUT queue": ("queues/write",),
    "GET queue metadata": ("queues/read",),
    "POST messages": _SEND,
    "GET messages": _TAKE,
    "PUT message": ("queues/messages/write",),
    "DELETE message": (*_TAKE, "queues/messages/delete"),
    "POST tables": ("tables/write",),
    "GET entities": ("tables/entities/read",),
    "POST transaction": ("tables/entities/write",),  # and what is in it: the role allows all of that, or nothing
}


@dataclass(frozen=True)
class Role:
    """What a role allows.

    Args:
        allows: all of it.
        is_for: what of it whoever has the role is to need.
    """

    allows: frozenset[str] = frozenset()
    is_for: frozenset[str] = frozenset()

    def __or__(self, other: Role) -> Role:
        return Role(self.allows | other.allows, self.is_for | other.is_for)


def _built_in(is_for: str, *more: str) -> Role:
    """Return a role of Azure's own, which is had as it is: one thing it has to be for, the rest comes along."""
    return Role(frozenset({is_for, *more}), frozenset({is_for}))


_BUILT_IN: Mapping[str, Role] = {
    "storageBlobDataReader": _built_in("containers/blobs/read", "containers/read"),
    "storageQueueDataReader": _built_in("queues/read", "queues/messages/read"),
    "storageQueueDataMessageSender": _built_in("queues/messages/add/action"),
    "storageQueueDataContributor": _built_in(
        *_TAKE,
        "queues/read",
        "queues/write",
        "queues/delete",
        "queues/messages/read",
        "queues/messages/write",
        "queues/messages/delete",
    ),
    "storageTableDataContributor": _built_in(
        "tables/entities/write",
        "tables/read",
        "tables/write",
        "tables/delete",
        "tables/entities/read",
        "tables/entities/delete",
    ),
}


def _container_roles() -> dict[str, Role]:
    """Return the roles on containers, by their names in access.bicep."""
    return {"read": _BUILT_IN["storageBlobDataReader"]} | {
        name: Role(_short(role["actions"] + role["dataActions"]), _short(role["dataActions"]))
        for name, role in read(INFRA / "access.bicep").variable("blobRoles").items()
    }


def _queue_roles() -> dict[str, Role]:
    """Return the roles on queues, by their names in access.bicep."""
    names = {id_: name for name, id_ in read(INFRA / "access.bicep").variable("builtInRoles").items()}
    ids = read(INFRA / "modules/app-access.bicep").variable("queueRoleIds")
    return {role: _BUILT_IN[names[id_]] for role, id_ in ids.items()}


def _short(actions: Sequence[str]) -> frozenset[str]:
    """Return actions as they are written here: `Microsoft.Storage/storageAccounts/blobServices/` goes."""
    return frozenset(action.partition("Services/")[2] for action in actions)


def _by_name(items: Sequence[Mapping[str, str]], roles: Mapping[str, Role]) -> dict[str, Role]:
    """Return what is given on each thing of a list; one may stand there with several roles."""
    names = {item["name"] for item in items}
    return {
        name: reduce(Role.__or__, (roles[item["role"]] for item in items if item["name"] == name)) for name in names
    }


@dataclass
class Rights:
    """What an app may do with storage, and what it did.

    Args:
        given: the role on each thing by its name: containers, queues, tables, and containers of the records' account.
        refused: what it tried besides, such as `DELETE blob of dicom-vault`.
        used: which rights it has used, each with what it was used on.
    """

    given: Sequence[Mapping[str, Role]]
    refused: list[str] = field(default_factory=list)
    used: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, app: str) -> Rights:
        """Return those of an app."""
        access, on_containers = ACCESS[app], _container_roles()
        return cls(
            [
                _by_name(access["dataContainers"], on_containers),
                _by_name(access["queues"], _queue_roles()),
                {TABLES: _BUILT_IN["storageTableDataContributor"]} if access["tables"] else {},
                _by_name(access["recordsContainers"], on_containers),
            ]
        )

    @property
    def unused(self) -> set[tuple[str, str]]:
        """Which rights were given for nothing so far, each with what it is given on."""
        roles = [(name, role) for things in self.given for name, role in things.items()]
        return {(name, right) for name, role in roles for right in role.is_for} - self.used

    def forbids(self, step: Step) -> str | None:
        """Return the code by which a request is refused; None where it may pass."""
        what, where = _asked(step)
        takes = [(where, TAKES.get(what, ()))]
        if source := step.headers.get("x-ms-copy-source"):
            takes.append((_names(source)[0], _READ))
        found = [(name, right) for name, rights in takes if (right := self._right(step.target, name, rights))]
        if len(found) < len(takes):
            self.refused.append(f"{what} of {where}")
            return REFUSAL
        self.used.update(found)
        return None

    def _right(self, target: int, name: str, rights: Sequence[str]) -> str | None:
        """Return the first of some rights that is given on a thing."""
        role = self.given[target].get(name, Role())
        return next((right for right in rights if right in role.allows), None)


def _asked(step: Step) -> tuple[str, str]:
    """Return what a request asks for, as `TAKES` has it, and of what."""
    names, query = _names(step.path), parse_qs(urlsplit(step.path).query)
    # What else changes a request's meaning has no line there.
    about = query.get("comp", sorted(query.keys() & {"peekonly", "snapshot", "versionid"}))
    thing, where = (_of_blobs, _of_queues, _of_tables, _of_blobs)[step.target](names)
    if thing == "blob" and not about and step.headers.get("if-none-match") == "*":
        thing = "new blob"
    if "x-ms-tags" in step.headers:
        about = [*about, "tags"]
    return " ".join((step.method, thing, *about)), where


def _of_blobs(names: Sequence[str]) -> tuple[str, str]:
    return ("account", "container", "blob")[min(len(names), 2)], names[0] if names else ""


def _of_queues(names: Sequence[str]) -> tuple[str, str]:
    return ("account", "queue", "messages", "message")[len(names)], names[0] if names else ""


def _of_tables(names: Sequence[str]) -> tuple[str, str]:
    return {"Tables": "tables", "$batch": "transaction"}.get(names[0], "entities"), TABLES


def _names(address: str) -> list[str]:
    """Return the names in an address, after that of the account."""
    return [unquote(name) for name in urlsplit(address).path.split("/")[2:] if name]


@contextmanager
def granted(app: str, connection_string: str) -> Iterator[tuple[dict[str, str], Rights]]:
    """Yield the settings by which an app reaches an account's storage under its rights, and these.

    The account stands for both, that of the files and that of the records.
    """
    services: tuple[Service, ...] = ("blob", "queue", "table", "blob")
    rights = Rights.of(app)
    targets = [endpoint(connection_string, service) for service in services]
    with Gateway(*targets, forbids=rights.forbids, refusal=403) as gateway:
        blob, queue, table, records = gateway.urls
        ways = {"RECORDS_STORAGE": through(connection_string, blob=records)}
        if ACCESS[app]["dataContainers"]:
            ways["DICOM_STORAGE"] = through(connection_string, blob=blob, queue=queue, table=table)
        yield ways, rights
