"""Changes of plain values by texts such as ``"training.max_steps=100"``."""

from __future__ import annotations

from typing import Any

import yaml


def change(values: dict[str, Any], override: str) -> None:
    """Change plain values in place by a text such as ``"training.max_steps=100"``; the value is read as YAML.

    Raises:
        ValueError: If the text is no such change, or there is no place for the key.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"--set takes key=value, such as training.max_steps=100, but got {override!r}")
    *parents, last = key.strip().split(".")
    place: Any = values
    for depth, part in enumerate(parents):
        outer, place = place, _inside(place, part)
        if not isinstance(place, dict | list):
            item = isinstance(outer, list)
            why = _no_item(outer, part) if item else "it has no keys inside"
            raise ValueError(f"--set {key}: {'.'.join(parents[: depth + (not item)])}: {why}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {key}: {text!r} is not a YAML value") from error
    if isinstance(place, list):
        if not last.isdecimal() or int(last) >= len(place):
            raise ValueError(f"--set {key}: {'.'.join(parents)}: {_no_item(place, last)}")
        place[int(last)] = value
    else:
        place[last] = value


def _no_item(values: list[Any], part: str) -> str:
    """Say why a list has no item of a number."""
    return (
        f"expected an index below {len(values)}, but got {part!r}"
        if values
        else f"the list is empty, no {part!r} in it"
    )


def _inside(place: dict[str, Any] | list[Any], part: str) -> Any:
    """The value at a key or index, an empty mapping where a key is missing; ``None`` if there is no such index."""
    if isinstance(place, dict):
        index: Any = part
        place.setdefault(part, {})
    elif part.isdecimal() and int(part) < len(place):
        index = int(part)
    else:
        return None
    if isinstance(place[index], str):  # a component by its name alone, which gets options
        place[index] = {"name": place[index]}
    return place[index]
