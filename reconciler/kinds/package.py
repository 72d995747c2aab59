"""A package of the distribution, by name or by ``name=version``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from reconciler.kinds.base import Fields, take
from reconciler.model import Value


def refuse_latest(value: Any) -> Any:
    """Say why ``latest`` is refused, rather than only that it is."""
    if value == "latest":
        raise ValueError("latest is not a state: it changes without a commit; pin a version as name=version")
    return value


class Package(Fields):
    """``ansible.builtin.package``: installed, at one version, or not there."""

    kind: ClassVar[str] = "package"
    collector: ClassVar[str] = "package"
    order: ClassVar[int] = 30
    declared_by: ClassVar[Mapping[str, str]] = {"version": "name"}

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9+._-]*[A-Za-z0-9+])?(:[a-z0-9]+)?(=[0-9A-Za-z][A-Za-z0-9.+:~^-]*)?$"),
    ]
    """The package, or ``package=version`` to pin it: it is then upgraded or downgraded to exactly that version."""
    state: Annotated[Literal["present", "absent"], BeforeValidator(refuse_latest)] = "present"
    """Whether it is installed. Removing keeps the package's configuration files."""

    @model_validator(mode="after")
    def pin_only_what_is_present(self) -> Package:
        """Refuse a version of something that shall not be there."""
        if self.state == "absent" and "=" in self.name:
            raise ValueError("a package that is to be absent has no version; write the name alone")
        return self

    def key(self) -> str:
        return self.name.partition("=")[0]

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        version = self.name.partition("=")[2]
        return {"state": self.state} | ({"version": version} if version else {})

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        version, status = take(fact, "version", (str, type(None))), take(fact, "status", str)
        if status == "installed" and version is not None:
            return {"state": "present", "version": version}
        return {"state": "absent" if status in {"not-installed", "config-files"} else status}

    def args(self) -> dict[str, Any]:
        """The module's options; the name without its version where ``version`` is ignored."""
        return super().args() | {"name": self.key() if "version" in self.ignore else self.name}
