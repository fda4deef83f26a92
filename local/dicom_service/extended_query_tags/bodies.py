"""The bodies of requests about extended query tags → what they ask for, by the service's rules. No I/O."""

from __future__ import annotations

from typing import Any

from pydicom.datadict import dictionary_VR

from local.dicom_service.extended_query_tags.rows import MOST_TAGS, NewTag
from local.dicom_service.extended_query_tags.tags import tag_named
from local.dicom_service.instances import value_rules
from local.dicom_service.search import matching
from local.dicom_service.search.attributes import SEARCHABLE, Level
from local.dicom_service.web.errors import bad_request

_LEVELS = {level.name.lower(): level for level in Level}
_QUERY_STATUSES = {name.lower(): name for name in ("Enabled", "Disabled")}


def new_tags(body: Any) -> list[NewTag]:
    """Read the tags to add.

    Raises:
        ServiceError: 400, something in it is not understood or not supported.
    """
    if not isinstance(body, list) or not body:
        raise bad_request("The body must be an array of tags.")
    if len(body) > MOST_TAGS:
        raise bad_request(f"There can be no more than {MOST_TAGS} extended query tags.")
    tags = [_new_tag(_members(item)) for item in body]
    if len({new.tag for new in tags}) < len(tags):
        raise bad_request("A tag stands more than once in the body.")
    return tags


def query_status(body: Any) -> str:
    """Read the query status to set.

    Raises:
        ServiceError: 400, it is none, or there is something else.
    """
    members = _members(body)
    status = _QUERY_STATUSES.get(_text(members, "querystatus").lower())
    if status is None or len(members) > 1:
        raise bad_request("The body must have a queryStatus, Enabled or Disabled, and nothing else.")
    return status


def _members(item: Any) -> dict[str, Any]:
    """Return the members of an object, by their names in lower case: the service does not mind their case."""
    if not isinstance(item, dict):
        raise bad_request("The body has something else where an object should be.")
    return {name.lower(): value for name, value in item.items()}


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise bad_request(f"The {name} of a tag must be a string.")
    return (value or "").strip()


def _new_tag(members: dict[str, Any]) -> NewTag:
    tag = tag_named(_text(members, "path"))
    if tag is None:
        raise bad_request("The path of a tag must be a keyword or eight hexadecimal digits.")
    if tag in SEARCHABLE:
        raise bad_request(f"The attribute {tag} can be searched for as it is.")
    level = _LEVELS.get(_text(members, "level").lower())
    if level is None:
        raise bad_request("The level of a tag must be Study, Series or Instance.")
    return NewTag(tag, _vr(tag, _text(members, "vr").upper()), _creator(tag, _text(members, "privatecreator")), level)


def _vr(tag: str, vr: str) -> str:
    try:
        known = dictionary_VR(int(tag, 16)).split(" or ")
    except KeyError:
        known = []
    if known and vr and vr not in known:
        raise bad_request(f"The attribute {tag} has another VR.")
    if not known and not vr:
        raise bad_request(f"The VR of {tag} is not known and must be given.")
    vr = vr or known[0]
    if vr not in matching.VRS:
        raise bad_request("The VR of a tag is none that can be indexed.")
    return vr


def _creator(tag: str, creator: str) -> str | None:
    """Return the creator of a private tag; the tag that names a creator has none itself (PS3.5 §7.8.1)."""
    is_private = int(tag[:4], 16) % 2 == 1
    if not is_private or tag[4:6] == "00":
        if creator:
            raise bad_request(f"The attribute {tag} has no private creator.")
        return None
    if not creator or "\\" in creator or value_rules.broken_rule("LO", [creator]):
        raise bad_request(f"The private creator of {tag} must be given, as a long string.")
    return creator
