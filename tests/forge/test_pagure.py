"""What no real Pagure does to us in tests: answers that make no sense, and pages that are not the form they should be.

What it does do is tested on a real one, in ``tests/hosts/test_pagure_forge.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from reconciler.errors import ForgeAway, ForgeError, ForgeRefused
from reconciler.forge.pagure import Pagure
from reconciler.forge.pagure_login import Login
from reconciler.wire import Site, Wire

HEAD = "a" * 40
WEB = "https://pagure.example.org"
FORM = '<form><input name="csrf_token" type="hidden" value="t&quot;1"></form>'

Answering = Callable[[httpx2.Request], httpx2.Response]


def opened(answering: Answering) -> Pagure:
    wire = Wire(
        f"{WEB}/api/0",
        headers=lambda: {"Authorization": "token T"},
        monotonic=time.monotonic,
        now=time.time,
        transport=httpx2.MockTransport(answering),
    )
    return Pagure(wire, "fleet", WEB)


@pytest.mark.parametrize(
    "answer",
    [
        None, [], {}, "no", 7, {"username": 7}, {"requests": 7}, {"requests": [7]}, {"issues": {}}, {"flags": [None]},
        {"id": "1"}, {"id": True}, {"id": 1, "title": None}, {"requests": [], "pagination": {"page": "1", "pages": 2}},
    ],
    ids=repr,
)  # fmt: skip
def test_an_answer_that_makes_no_sense_is_an_error_in_words(answer: Any) -> None:
    forge = opened(lambda _: httpx2.Response(200, json=answer))
    asks = (
        forge.whoami, lambda: forge.pull_requests("main"), lambda: forge.pull_request(1),
        lambda: forge.open_pull_request("b", "main", "t", ""), lambda: forge.comments(1),
        lambda: forge.add_comment(1, "x"), lambda: forge.status(HEAD, "reconciler/plan"), forge.own_tickets,
        lambda: forge.ticket(1), lambda: forge.open_ticket("t", "b"), lambda: forge.evidence(HEAD),
        lambda: forge.ticket_comments(1), lambda: forge.comment_ticket(1, "x"),
    )  # fmt: skip
    for ask in asks:
        with suppress(ForgeError):
            assert not ask()


def test_addresses_of_the_next_page_are_made_and_not_followed() -> None:
    asked = []

    def answering(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        page = int(request.url.params.get("page", "1"))
        about = {"page": page, "pages": 3, "next": "http://elsewhere.example.org/?page=2"}
        return httpx2.Response(200, json={"requests": [], "pagination": about})

    assert opened(answering).pull_requests("main") == []
    assert [url.startswith(f"{WEB}/api/0/fleet/pull-requests?") for url in asked] == [True] * 3
    assert [httpx2.URL(url).params.get("page") for url in asked] == [None, "2", "3"]


class Pages:
    """The pages of a Pagure: a form for who is logged in, and what was sent to them."""

    def __init__(self, *, login_works: bool = True, answer: str = "ok", form: str = FORM) -> None:
        self.login_works, self.answer, self.form = login_works, answer, form
        self.sent: list[tuple[str, dict[str, str]]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        assert str(request.url).startswith(f"{WEB}/")
        assert "authorization" not in request.headers
        known = "pagure_local_cookie=K" in request.headers.get("cookie", "")
        if request.method == "GET":
            if request.url.path == "/login/":
                return httpx2.Response(200, text=FORM, headers=[("set-cookie", "pagure=S; HttpOnly; Path=/")])
            away = {"location": "https://elsewhere.example.org/login/"}
            return httpx2.Response(200, text=self.form) if known else httpx2.Response(302, headers=away)
        self.sent.append((request.url.path, dict(httpx2.QueryParams(request.content.decode()))))
        if request.url.path == "/dologin":
            assert "pagure=S" in request.headers["cookie"]
            value = "K" if self.login_works else ""
            late = f"pagure_local_cookie={value}; Expires=Mon, 23 Nov 2026 10:00:00 GMT; HttpOnly; Path=/"
            return httpx2.Response(302, headers=[("location", "/"), ("set-cookie", late), ("set-cookie", "other=1")])
        return httpx2.Response(200, text=self.answer)


def submit(pages: Pages, *, times: int = 1) -> None:
    with Site(WEB, transport=httpx2.MockTransport(pages)) as site:
        login = Login(site, lambda: "secret-word")
        for _ in range(times):
            login.submit("bot", "/fleet/pull-request/1/comment/2/edit", {"update_comment": "new"})


def test_one_login_is_enough_and_the_token_against_forgery_is_sent_along() -> None:
    pages = Pages()
    submit(pages, times=2)
    edit = ("/fleet/pull-request/1/comment/2/edit", {"update_comment": "new", "csrf_token": 't"1'})
    login = ("/dologin", {"username": "bot", "password": "secret-word", "csrf_token": 't"1'})
    assert pages.sent == [login, edit, edit]


def test_a_password_that_is_refused_is_not_told() -> None:
    with pytest.raises(ForgeRefused, match="does not let bot log in") as refused:
        submit(Pages(login_works=False))
    assert refused.value.status == 401
    assert "secret-word" not in str(refused.value)


def test_a_page_that_is_no_form_is_refused() -> None:
    with pytest.raises(ForgeRefused, match="not the form"):
        submit(Pages(form="<html>"))


def test_a_form_that_was_not_taken_is_tried_later() -> None:
    with pytest.raises(ForgeAway) as away:
        submit(Pages(answer="failed"))
    assert away.value.unsure
