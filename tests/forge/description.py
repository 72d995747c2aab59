"""What a forge says of its own API, as a judge: does this request, does this response fit?

Reads OpenAPI 3.0 (GitHub) and Swagger 2.0 (Forgejo) alike. The fakes ask it about everything that passes; a misfit is
an AssertionError. Requests are held to more than the schema demands: no parameter and no field may be unknown.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FOLDER = Path(__file__).parent / "openapi"
ROOT = "urn:forge"
ANYWHERE = {401, 403, 404, 429}
"""Answers that any call may get, though the descriptions list them for a few only; 5xx is another such."""
FORMATS = FormatChecker(())


@FORMATS.checks("date-time", raises=ValueError)
def _moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@FORMATS.checks("uri")
def _address(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme)


class Misfit(AssertionError):
    """Something that the forge would not have understood, or would never have said."""


@dataclass(frozen=True)
class Operation:
    """One call of the API: its template (``GET /repos/{owner}/...``), and what the path held."""

    name: str
    params: dict[str, str]
    about: dict[str, Any] = field(repr=False)


class Description:
    """One description file."""

    def __init__(self, name: str) -> None:
        document = _null_too(json.loads((FOLDER / f"{name}.json").read_text()))
        _amend(name, document)
        self.document: dict[str, Any] = document
        resource = Resource(contents=document, specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(ROOT, resource)
        self._validators: dict[str, Draft202012Validator] = {}
        self._samples: dict[str, Any] = {}

    def operation(self, method: str, path: str) -> Operation:
        """The call that *path* (still percent-encoded, below the root) belongs to."""
        for pattern, template in self._paths:
            found = pattern.fullmatch(path)
            about = self.document["paths"][template].get(method.lower())
            if found and about:
                return Operation(f"{method} {template}", found.groupdict(), about)
        raise Misfit(f"{method} {path} is no call of this API")

    def check_request(self, call: Operation, query: dict[str, str], body: Any) -> None:
        """Hold parameters and body of a request to what is described."""
        params = [self._resolved(param) for param in call.about.get("parameters", ())]
        known = {(param["in"], param["name"]): param for param in params}
        for place, given in (("path", call.params), ("query", query)):
            for name, value in given.items():
                if (place, name) not in known:
                    raise Misfit(f"{call.name} knows no parameter {name} in its {place}")
                param = known[place, name]
                _check_param(call.name, name, value, param.get("schema", param))
        schema = next((param["schema"] for param in params if param["in"] == "body"), None)
        if wanted := call.about.get("requestBody"):
            schema = wanted["content"]["application/json"]["schema"]
        self._check_body(call, schema, body)

    def check_response(self, call: Operation, status: int, answer: Any) -> None:
        """Hold a response to what is described for its status."""
        about = call.about["responses"].get(str(status))
        if about is None:
            if status not in ANYWHERE and status < 500:
                raise Misfit(f"{call.name} never answers {status}")
            return
        about = self._resolved(about)
        content = about.get("content", {}).get("application/json", about)
        if "schema" in content:
            self._check(f"{call.name} answered {status}", content["schema"], answer)

    def sample(self, schema: str, **values: Any) -> dict[str, Any]:
        """The least answer that fits *schema* (a name), with *values* put in at the top."""
        if schema not in self._samples:
            self._samples[schema] = self._least({"$ref": f"#/components/schemas/{schema}"}, whole=True)
        return {**deepcopy(self._samples[schema]), **values}

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], str]]:
        templates = sorted(self.document["paths"], key=lambda path: path.count("{"))
        return [(re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))), path) for path in templates]

    def _check_body(self, call: Operation, schema: dict[str, Any] | None, body: Any) -> None:
        if schema is None:
            if body is not None:
                raise Misfit(f"{call.name} takes no body")
            return
        self._check(f"{call.name} was asked", schema, body)
        unknown = set(body) - set(self._resolved(schema)["properties"])
        if unknown:
            raise Misfit(f"{call.name} knows no field {', '.join(sorted(unknown))}")

    def _check(self, what: str, schema: dict[str, Any], value: Any) -> None:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            here = json.loads(key.replace('"$ref": "#/', f'"$ref": "{ROOT}#/'))
            self._validators[key] = Draft202012Validator(here, registry=self._registry, format_checker=FORMATS)
        error = best_match(self._validators[key].iter_errors(value))
        if error is not None:
            raise Misfit(f"{what}: {error.json_path} {error.message[:300]}")

    def _resolved(self, about: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in about:
            target: Any = self.document
            for part in about["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            about = target
        return about

    def _least(self, schema: dict[str, Any], *, whole: bool = False) -> Any:
        """The least value that fits; null wherever it may be, unless the *whole* is wanted."""
        schema = self._resolved(schema)
        kind = schema.get("type")
        if isinstance(kind, list):
            if not whole:
                return None
            kind = kind[0]
        if any("type" in option and option["type"] == "null" for option in schema.get("anyOf", ())):
            return None
        for choice in ("allOf", "oneOf", "anyOf"):
            if choice in schema and kind != "object":
                return self._least(schema[choice][0])
        if "enum" in schema:
            return schema["enum"][0]
        if kind == "object":
            return {name: self._least(schema["properties"][name]) for name in schema.get("required", ())}
        return {"array": [], "integer": 1, "number": 1, "boolean": False, "string": _word(schema.get("format"))}[kind]


@cache
def description(name: str) -> Description:
    """The description of that name (``github`` or ``forgejo``), read once."""
    return Description(name)


def _amend(name: str, document: dict[str, Any]) -> None:
    """Say what the forges do and their descriptions leave out."""
    if name == "github":
        # The repository of a fork that has been deleted is null.
        for schema in ("pull-request", "pull-request-simple"):
            head = document["components"]["schemas"][schema]["properties"]["head"]["properties"]
            head["repo"] = {"anyOf": [head["repo"], {"type": "null"}]}
    else:
        # The same, a review by nobody in particular, and times that have not come.
        definitions = document["definitions"]
        for schema, properties in (
            ("PRBranchInfo", ["repo"]),
            ("PullReview", ["user", "team"]),
            ("PullRequest", ["merged_at", "closed_at", "merge_commit_sha", "merged_by"]),
            ("Issue", ["closed_at", "pull_request"]),
        ):
            for key in properties:
                about = definitions[schema]["properties"][key]
                definitions[schema]["properties"][key] = {"anyOf": [about, {"type": "null"}]}


def _null_too(node: Any) -> Any:
    """OpenAPI's ``nullable`` in the words of JSON Schema."""
    if isinstance(node, list):
        return [_null_too(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _null_too(value) for key, value in node.items()}
    if plain.get("nullable") is not True:
        return plain
    del plain["nullable"]
    if "type" not in plain:
        return {"anyOf": [plain, {"type": "null"}]}
    if "enum" in plain:
        plain["enum"] = [*plain["enum"], None]
    return {**plain, "type": [plain["type"], "null"]}


def _check_param(call: str, name: str, value: str, schema: dict[str, Any]) -> None:
    if schema.get("type") == "integer" and not re.fullmatch(r"-?\d+", value):
        raise Misfit(f"{call}: {name} is a number, not {value!r}")
    if "enum" in schema and value not in schema["enum"]:
        raise Misfit(f"{call}: {name} is one of {schema['enum']}, not {value!r}")


def _word(form: str | None) -> str:
    return {"date-time": "2026-11-22T19:41:07Z", "uri": "https://example.org/"}.get(form or "", "")
