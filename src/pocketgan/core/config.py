"""Configurations, which are frozen dataclasses, to and from JSON, and ``a.b=value`` overrides."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

import pydantic

from pocketgan.utils.files import parse_json
from pocketgan.utils.registry import listed, unknown

T = TypeVar("T")


def to_json(config: Any) -> dict[str, Any]:
    """Plain JSON data of a configuration (nested dicts, lists, numbers, strings)."""
    assert dataclasses.is_dataclass(config), config
    dumped: dict[str, Any] = pydantic.TypeAdapter(type(config)).dump_python(config, mode="json")
    return dumped


def from_json(cls: type[T], data: Mapping[str, Any]) -> T:
    """Make the configuration of JSON data; missing fields take their defaults.

    Raises ``ValueError`` naming the field, its value and what is allowed for an unknown field, a wrong value and a number that
    is not finite.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"a configuration is an object of fields, not {listed([repr(data)])}")
    _check_fields(cls, data)
    _check_finite(data)
    try:
        return pydantic.TypeAdapter(cls).validate_python(dict(data))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # of several fields together
            raise ValueError(reason) from None
        raise ValueError(f"{listed(['.'.join(map(str, first['loc']))])}={listed([repr(first['input'])])}: {reason}") from None


def override(config: T, assignments: Sequence[str]) -> T:
    """Apply ``field.inner=value`` assignments in order; values are JSON, or text where they are not.

    Raises ``ValueError`` for anything that is not of that form, for an unknown field and for a value of a wrong type.
    """
    data = to_json(config)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"'{assignment}' is not an override: write field=value, for example optimizer.lr=1e-4")
        *parents, leaf = path.split(".")
        inner = data
        for parent in parents:
            if inner.get(parent) is None:
                inner[parent] = {}
            inner = inner[parent]
            if not isinstance(inner, dict):
                raise ValueError(f"'{path}': {parent} is {inner!r}, there is no field inside it")
        inner[leaf] = _value(path, text)
    return from_json(type(config), data)


def _value(path: str, text: str) -> Any:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return text
    except (ValueError, RecursionError):  # thousands of digits or of brackets: an error below
        pass
    return parse_json(text, f"{path}={listed([text])}")


def _check_finite(data: Any, path: str = "") -> None:
    inner = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list | tuple) else ()
    for key, value in inner:
        _check_finite(value, f"{path}.{key}".lstrip("."))
    if isinstance(data, float) and not math.isfinite(data):
        raise ValueError(f"{path}={data}: it must be a finite number")


def _nested(cls: Any) -> dict[str, Any]:
    """``{field: nested dataclass type or None}`` of a dataclass type."""
    hints = get_type_hints(cls)
    return {
        field.name: next((t for t in (hints[field.name], *get_args(hints[field.name])) if dataclasses.is_dataclass(t)), None)
        for field in dataclasses.fields(cls)
    }


def _check_fields(cls: Any, data: Mapping[str, Any], prefix: str = "") -> None:
    """Raise ``ValueError`` for a key that names no field, also of nested dataclasses; any key is right in a plain dict."""
    fields = _nested(cls)
    for key, value in data.items():
        if key not in fields:
            raise unknown("field", prefix + key, [prefix + name for name in fields])
        if fields[key] is not None and isinstance(value, Mapping):
            _check_fields(fields[key], value, f"{prefix}{key}.")
