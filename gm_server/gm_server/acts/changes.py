"""What a change did, for the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gm_server.audit.log import Detail


def wanted(change: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a change that are set."""
    fields = {name: getattr(change, name) for name in change.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Detail]:
    """Return each field that is not as before, with its value now and then (``name``, ``name_before``)."""
    found: dict[str, Detail] = {}
    for name, value in after.items():
        if value != before[name]:
            found[name], found[f"{name}_before"] = _plain(value), _plain(before[name])
    return found


def _plain(value: Any) -> Detail:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return msgspec.json.encode(value, order="sorted").decode()
