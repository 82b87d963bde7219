"""What a change of the catalogue changed, field by field: in the log, and in what a table would do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ipamd.web.forms import POOL, Difference, differences


def changed_fields(item: Mapping[str, Any]) -> list[Difference]:
    """The fields that a change changed, with their lines before and after."""
    before, after = item["before"] or {}, item["after"] or {}
    if item["kind"] == POOL.noun:
        return differences(POOL, before, after)
    return [
        (key.replace("_", " ").capitalize(), _lines(before.get(key)), _lines(after.get(key)))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _lines(value: Any) -> list[str]:
    if value in (None, "", [], {}):
        return []
    if isinstance(value, Mapping):
        return [f"{key}={each if isinstance(each, str) else json.dumps(each)}" for key, each in value.items()]
    return [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
