"""The JSON schema of the file, for editors.

`python -m purge_study.policy.schema > docs/retention-policy.schema.json` writes it anew.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from .model import Policy


def schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12)."""
    tables = _without_null(Policy.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **tables, "title": "Retention policy"}


def _without_null(part: Any) -> Any:
    """Return a part of a schema without null, which TOML does not have."""
    if isinstance(part, list):
        return [_without_null(item) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {key: _without_null(item) for key, item in part.items() if (key, item) != ("default", None)}
    match kept.get("anyOf"):
        case [one, {"type": "null"}]:
            del kept["anyOf"]
            return {**one, **kept}
    return kept


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n")
