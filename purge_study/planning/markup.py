"""HTML and SVG as a tree: what comes from outside is text in it, and cannot be anything else (pure)."""

from __future__ import annotations

from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

Content: TypeAlias = "Element | str"


def tag(name: str, /, *contents: Content, **attributes: str) -> Element:
    """Return an element.

    Args:
        name: of the element.
        contents: texts and elements, in their order.
        attributes: by name; `class_` is class, and other underscores are hyphens.
    """
    element = Element(name, {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()})
    for content in contents:
        _append(element, content)
    return element


def document(root: Element) -> bytes:
    """Return a page of HTML in UTF-8."""
    return b"<!doctype html>\n" + tostring(root, encoding="unicode", method="html").encode("utf-8", "replace") + b"\n"


def _append(element: Element, content: Content) -> None:
    if isinstance(content, Element):
        element.append(content)
    elif len(element):
        element[-1].tail = (element[-1].tail or "") + content
    else:
        element.text = (element.text or "") + content
