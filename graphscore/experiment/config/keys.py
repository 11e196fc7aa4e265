"""Keys of configurations with their types, defaults and meanings, and the JSON schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphscore.experiment.config.catalogue import KINDS, Kind, Option
from graphscore.experiment.config.docstrings import below_attributes, plain
from graphscore.experiment.config.schema import Config
from graphscore.experiment.config.sections import Section
from graphscore.registry import close_to, find

_COMPONENT = "#/$defs/Component"
_IMPORT_PATH = {"type": "string", "pattern": "^[A-Za-z_][\\w.]*:[A-Za-z_]\\w*$"}


class Key(NamedTuple):
    """A key of a configuration, a component or an option of one.

    Attributes:
        name: Key, such as ``"fields.0.width"``; or ``"sampling.sampler.ddim"``, a component by the key that holds it.
        type: Type of its values with their range; empty for a component.
        default: Default in YAML; ``None`` if the key is required, empty for a component.
        meaning: Sentences on its meaning.
    """

    name: str
    type: str
    default: str | None
    meaning: str


def list_keys(section: str = "") -> list[Key]:
    """List the keys of a configuration.

    Args:
        section: A section or key, such as ``"training"``; the key of a component, such as ``"network.backbone"``, for
            the components that it can name; or one of these, such as ``"network.backbone.egnn"``, for its options. The
            whole configuration by default.

    Raises:
        ValueError: If there is no such section.
    """
    schema = _described_schema()
    keys = [_described(name, value, required, schema) for name, value, required in _walk(schema, schema)]
    if not section:
        return keys
    place = _without_numbers(section)
    if place in KINDS:
        chosen = [key for key in keys if _without_numbers(key.name) == place]
        return chosen + [Key(f"{section}.{name}", "", "", text) for name, text in KINDS[place].summaries().items()]
    parent, _, last = place.rpartition(".")
    if parent in KINDS:
        kind, holder = KINDS[parent], section.rpartition(".")[0]
        find(last, kind.registry(), kind.name)
        head = Key(section, "", "", kind.summaries()[last])
        return [head, *(_option(f"{holder}.{option.name}", option) for option in kind.options(last))]
    chosen = [key for key in keys if f"{_without_numbers(key.name)}.".startswith(f"{place}.")]
    if not chosen:
        known = [*dict.fromkeys(key.name.partition(".")[0] for key in keys), *(key.name for key in keys)]
        raise ValueError(f"A configuration has no key {section!r}{close_to(section, known)}")
    return chosen


def json_schema() -> dict[str, Any]:
    """Make the JSON schema of configuration files, by which editors complete and check them."""
    schema = _described_schema()
    for name, value, _ in _walk(schema, schema):
        if kind := KINDS.get(_without_numbers(name)):
            _refer(value, kind)
    definitions = schema["$defs"]
    del definitions["Component"]
    for kind in KINDS.values():
        definitions[_definition(kind)] = _component_schema(kind)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Configuration of graphscore",
    }


def _described_schema() -> dict[str, Any]:
    """JSON schema of a configuration with the descriptions of its keys.

    Pydantic reads them, too (``use_attribute_docstrings``), but whenever the classes are made, and by a search through
    all modules that loads those that are to be loaded late.
    """
    schema = Config.model_json_schema()
    classes = {kind.__name__: kind for kind in _subclasses(Section)}
    for name, section in {Config.__name__: schema, **schema["$defs"]}.items():
        for kind in reversed(classes[name].__mro__) if name in classes else ():
            for key, text in below_attributes(kind).items() if issubclass(kind, Section) else ():
                section["properties"][key]["description"] = text
    return schema


def _subclasses(kind: type) -> Iterator[type]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _walk(
    section: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Keys of a section and of those inside it, with their schemas, and whether they are required."""
    for name, value in section["properties"].items():
        key = f"{prefix}{name}"
        inner = value.get("items", value)
        parts = [] if _without_numbers(key) in KINDS else _sections(inner, schema)
        optional = [] if parts or _without_numbers(key) in KINDS else _optional_section(value, schema)
        if not parts:
            yield key, value, name in section.get("required", ())
        for part in (*parts, *optional):
            yield from _walk(part, schema, f"{key}.0." if inner is not value else f"{key}.")


def _sections(value: Mapping[str, Any], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = schema["$defs"].get(value.get("$ref", "").removeprefix("#/$defs/"))
    return [found] if found is not None and "properties" in found else []


def _optional_section(value: Mapping[str, Any], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The section that a key may hold instead of ``null``."""
    choices = value.get("anyOf", ())
    if {"type": "null"} not in choices:
        return []
    return [section for choice in choices for section in _sections(choice, schema)]


def _described(name: str, value: Mapping[str, Any], required: bool, schema: Mapping[str, Any]) -> Key:
    meaning, kind = plain(value.get("description", "")), KINDS.get(_without_numbers(name))
    if kind is not None:
        meaning += f" One of {', '.join(kind.registry())}."
    type_ = _type(value, schema).replace("component", "name" if kind is None else kind.name)
    return Key(name, type_, None if required else _yaml(value.get("default")), meaning)


def _option(name: str, option: Option) -> Key:
    schema, default = option.schema, None if option.required else _yaml(option.schema.get("default"))
    return Key(name, _type(schema, schema), default, schema.get("description", ""))


def _without_numbers(key: str) -> str:
    return ".".join(part for part in key.split(".") if not part.isdecimal())


def _yaml(value: Any) -> str:
    """A plain value in YAML, in one line; a component with no options by its name."""
    if isinstance(value, dict) and value.keys() == {"name"}:
        value = value["name"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _type(value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A type in words, such as ``integer > 0`` or ``list of text``."""
    if "$ref" in value:
        name = value["$ref"].removeprefix("#/$defs/")
        found = schema["$defs"][name]
        return "component" if name == "Component" else _type(found, schema)
    for key in ("anyOf", "oneOf"):
        if key in value:
            return " or ".join(dict.fromkeys(_type(part, schema) for part in value[key]))
    if "enum" in value:
        return " or ".join(map(str, value["enum"]))
    if "const" in value:
        return str(value["const"])
    kind = value.get("type")
    if kind == "array":
        parts = [_type(part, schema) for part in value.get("prefixItems", [value.get("items", {})])]
        return f"list of {', '.join(dict.fromkeys(parts))}"
    if kind == "object":
        if "properties" in value:
            return "{" + ", ".join(f"{name}: {_type(part, schema)}" for name, part in value["properties"].items()) + "}"
        values = value.get("additionalProperties")
        return f"mapping from names to {_type(values if isinstance(values, dict) else {}, schema)}"
    if kind == "string":
        return "path" if value.get("format") == "path" else "text"
    limits = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    ranges = [f"{sign} {value[limit]:.10g}" for limit, sign in limits.items() if limit in value]
    return " ".join([kind or "any", " and ".join(ranges)]).strip()


def _definition(kind: Kind) -> str:
    return kind.name.replace(" ", "-")


def _refer(value: dict[str, Any], kind: Kind) -> None:
    """Refer to the schema of a kind of components in place of that of any component."""
    for part in (value, value.get("items", {}), *value.get("anyOf", ())):
        if part.get("$ref") == _COMPONENT:
            part["$ref"] = f"#/$defs/{_definition(kind)}"


def _component_schema(kind: Kind) -> dict[str, Any]:
    """Schema of a component: its name alone, or its name and its own options; or an import path and any options."""
    summaries = kind.summaries()
    names = {"enum": list(summaries), "enumDescriptions": list(summaries.values())}
    choices = []
    for name in summaries:
        options = kind.options(name)
        choices.append(
            {
                "if": {"properties": {"name": {"const": name}}},
                "then": {
                    "properties": {"name": True, **{option.name: _editable(option) for option in options}},
                    "required": ["name", *(option.name for option in options if option.required)],
                    "additionalProperties": False,
                },
            }
        )
    return {
        "description": f"A {kind.name}, by its name with its options, or by an import path package.module:Name.",
        "anyOf": [
            names,
            _IMPORT_PATH,
            {
                "type": "object",
                "properties": {"name": {"anyOf": [names, _IMPORT_PATH]}},
                "required": ["name"],
                "allOf": choices,
            },
        ],
    }


def _editable(option: Option) -> dict[str, Any]:
    """Schema of an option; a noise process in another, its schedule, is a component again."""
    if option.name == "schedule":
        return {"anyOf": [{"$ref": f"#/$defs/{_definition(KINDS['fields.sde'])}"}, {"type": "null"}]}
    return option.schema
