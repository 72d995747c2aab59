"""The JSON Schema and the reference of manifests, made from the same models that read them. Pure."""

from __future__ import annotations

from typing import Any

from reconciler.kinds import KINDS, Fields

TEMPLATE = {"type": "string", "pattern": r"\{[{%]"}
"""Where a number or a switch is expected, a template that gives one will do."""


def manifest_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a manifest file: a list of manifests."""
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {
        "name": {"type": "string", "description": "What the manifest is about."},
        "hosts": {
            "description": "An Ansible host pattern: web:&prod:!db1.",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        },
        "mode": {"enum": ["observe", "enforce", "suspended"], "description": "What may be done about a difference."},
    }
    for name, kind in KINDS.items():
        model = kind.model_json_schema(ref_template="#/$defs/{model}")
        definitions |= model.pop("$defs", {})
        model["properties"] = {field: allow_template(value) for field, value in model["properties"].items()}
        definitions[name] = model
        text = (kind.__doc__ or name).strip().splitlines()[0]
        properties[name] = {"type": "array", "items": {"$ref": f"#/$defs/{name}"}, "description": text}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "reconciler manifests",
        "type": ["array", "null"],
        "items": {"type": "object", "properties": properties, "required": ["hosts"], "additionalProperties": False},
        "$defs": definitions,
    }


def allow_template(field: dict[str, Any]) -> dict[str, Any]:
    """A field's schema that also takes a template."""
    about: dict[str, Any] = {key: field[key] for key in ("description", "title", "default") if key in field}
    own = {key: value for key, value in field.items() if key not in about}
    return {**about, "anyOf": [own, TEMPLATE]}


COMMON = ("notify", "ignore", "reconcile", "no_log")


def manifest_reference() -> str:
    """Every kind with its fields, as Markdown: the second half of ``docs/manifests.md``."""
    parts = []
    for name, kind in KINDS.items():
        text = " ".join((kind.__doc__ or "").split())
        rows = [row for row in field_rows(kind) if row[0] not in COMMON]
        parts.append("\n".join([f"### {name}", "", text, "", *table(rows)]))
    common = [row for row in field_rows(next(iter(KINDS.values()))) if row[0] in COMMON]
    parts.append("\n".join(["### In every kind", "", *table(common)]))
    return "\n\n".join(parts) + "\n"


def field_rows(kind: type[Fields]) -> list[tuple[str, str, str]]:
    """Name, default and help text of each field of a kind."""
    rows = []
    for name, field in kind.model_fields.items():
        default = "required" if field.is_required() else "" if field.default in (None, []) else f"`{field.default}`"
        rows.append(
            (
                field.alias or name,
                default.replace("`False`", "`false`").replace("`True`", "`true`"),
                " ".join((field.description or "").split()),
            )
        )
    return rows


def table(rows: list[tuple[str, str, str]]) -> list[str]:
    """A Markdown table of fields."""
    cells = [
        f"| `{name}` | {default} | {text.replace('``', '`').replace('|', chr(92) + '|')} |"
        for name, default, text in rows
    ]
    return ["| field | default | meaning |", "|---|---|---|", *cells]
