"""The sections about everybody but the hosts: the forge, what is listened for, and who else hears of things.

``config`` puts them into the Config. Secrets are in files of their own and never in here.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from reconciler.config.addresses import Listen, Project, ProxyUrl, WebhookUrl, WebRoot
from reconciler.config.settings import Settings
from reconciler.config.values import Duration, KeyFile, ReadableFile

Kind = Literal["github", "gitlab", "forgejo", "gitea", "pagure"]

_USUAL = {"github": "https://github.com", "gitlab": "https://gitlab.com"}
_PARTS = {"github": (2, 2), "forgejo": (2, 2), "gitea": (2, 2), "gitlab": (2, 21), "pagure": (1, 2)}
"""How many words a repository's name has: GitLab nests groups up to 20 deep, Pagure needs no owner."""


class AppConfig(Settings):
    """A GitHub App, instead of a token."""

    id: int = Field(ge=1)
    """The App's own number. Has to be set."""
    installation: int = Field(ge=1)
    """The number of its installation on the owner of the repository. Has to be set."""
    key: KeyFile
    """The App's private key (PEM). Has to be set."""


class ForgeConfig(Settings):
    """The forge that the repository is on, and what is said there."""

    kind: Kind
    """github, gitlab, forgejo, gitea or pagure. Has to be set."""
    url: WebRoot
    """Where its pages begin; no other host is spoken to. Default: https://github.com or https://gitlab.com for
    those two; has to be set for the others."""
    repository: Project
    """The repository's name there: owner/name, GitLab's with all its groups, Pagure's with or without a namespace.
    Has to be set."""
    token: KeyFile | None = None
    """The file that holds the token. Has to be set, or app."""
    app: AppConfig | None = None
    """A GitHub App instead of a token. Default: none."""
    password: KeyFile | None = None
    """The file that holds the password of the token's own account, on Pagure, which lets nobody edit a comment with a
    token. Default: none, and a comment there stays as it was first written."""
    ca: ReadableFile | None = None
    """The certificates (PEM) to trust instead of the system's, for a forge with a private CA. Default: none."""
    proxy: ProxyUrl | None = Field(default=None, repr=False)
    """The proxy that the forge is reached through. Default: none."""
    tickets: int = Field(default=10, ge=0, le=500)
    """How many issues of ours may be open; the rest is told in one that lists them. Default: 10; 0 to open none."""
    blind_after: Duration = timedelta(hours=1)
    """How long a host is not seen until that needs a person. Default: 1h; a long one to switch it off."""
    waive_for: Duration = timedelta(days=14)
    """How long a waiver holds that is offered as a way out. Default: 14d."""
    comments: bool = True
    """Say on each pull request what it would do. Default: true."""
    strangers: bool = True
    """Do so for pull requests from forks too, whose authors need no right to push. Default: true."""
    adopt: bool = True
    """Offer a pull request that takes what is live into the repository. Default: true."""

    @model_validator(mode="before")
    @classmethod
    def _usual_url(cls, data: Any) -> Any:
        """Fill in where github.com and gitlab.com are."""
        if not isinstance(data, dict) or "url" in data:
            return data
        kind = data.get("kind")
        usual = _USUAL.get(kind) if isinstance(kind, str) else None
        return {**data, "url": usual} if usual else data

    @field_validator("repository")
    @classmethod
    def _depth(cls, value: str, info: ValidationInfo) -> str:
        least, most = _PARTS.get(info.data.get("kind", ""), (1, 99))
        if not least <= value.count("/") + 1 <= most:
            raise ValueError(f"a repository on {info.data['kind']} is {'name or ' if least == 1 else ''}owner/name")
        return value

    @field_validator("app")
    @classmethod
    def _apps_are_githubs(cls, value: AppConfig | None, info: ValidationInfo) -> AppConfig | None:
        if value and info.data.get("kind", "github") != "github":
            raise ValueError("only GitHub has apps; use a token")
        return value

    @field_validator("password")
    @classmethod
    def _passwords_are_pagures(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value and info.data.get("kind", "pagure") != "pagure":
            raise ValueError("a password is for Pagure only; elsewhere the token is enough")
        return value

    @model_validator(mode="after")
    def _one_right_to_speak(self) -> Self:
        if (self.token is None) == (self.app is None):
            either = "token, or app" if self.kind == "github" else "token"
            raise ValueError(f"{either} has to be set" if self.token is None else "either token or app, not both")
        return self


class WebConfig(Settings):
    """What is listened for. Without a secret nothing is."""

    listen: Listen = "127.0.0.1:8471"
    """An address and port of this machine, or unix: and the path of a socket. Default: 127.0.0.1:8471."""
    webhook_secret: KeyFile | None = None
    """The file that holds the secret the forge signs its webhooks with. Default: none, and webhooks are not taken."""


class EarConfig(Settings):
    """Somebody who hears what needs a person: a webhook with its secret, or what Apprise can reach."""

    webhook: WebhookUrl | None = Field(default=None, repr=False)
    """An https:// URL that signed JSON is sent to. Has to be set, or apprise."""
    secret: KeyFile | None = None
    """The file that holds the secret the JSON is signed with. Has to be set with webhook."""
    apprise: KeyFile | None = None
    """The file that holds Apprise URLs, one on a line. Has to be set, or webhook."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.webhook is None) == (self.apprise is None) or (self.webhook is None) != (self.secret is None):
            raise ValueError("an ear is either webhook and secret, or apprise")
        return self
