"""The collectors path and lineinfile, run on a real file system."""

from __future__ import annotations

import base64
import grp
import hashlib
import os
import pwd
import runpy
import socket
from pathlib import Path

import pytest

FACTS = Path(__file__).parents[2] / "playbooks" / "facts"
path_module = runpy.run_path(str(FACTS / "path.py"))
collect_paths = path_module["collect"]
collect_lines = runpy.run_path(str(FACTS / "lineinfile.py"))["collect"]


def look(path, **params):
    return collect_paths({str(path): params})[str(path)]


def sha(data):
    return hashlib.sha256(data).hexdigest()


def test_a_file_has_permissions_and_hash(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"hello\n")
    path.chmod(0o4750)
    fact = look(path, hash=True)
    assert (fact["state"], fact["mode"], fact["size"], fact["sha256"]) == ("file", "4750", 6, sha(b"hello\n"))
    assert (fact["uid"], fact["gid"]) == (os.getuid(), os.getgid())
    assert "content" not in fact


def test_a_hash_is_taken_only_when_asked(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    assert "sha256" not in look(tmp_path / "a", hash=False)


def test_content_travels_only_when_it_differs_and_is_small(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\x00binary\xff")
    assert base64.b64decode(look(path, hash=True, unless="0" * 64)["content"]) == b"\x00binary\xff"
    assert "content" not in look(path, hash=True, unless=sha(b"\x00binary\xff"))
    assert "content" not in look(path, hash=True, unless="0" * 64, cap=7)
    assert "content" in look(path, hash=True, unless="0" * 64, cap=8)


def test_content_of_many_files_stays_within_a_budget(tmp_path):
    paths = [tmp_path / str(number) for number in range(30)]
    for path in paths:
        path.write_bytes(b"x" * 60_000)
    facts = collect_paths({str(path): {"hash": True, "unless": "0" * 64} for path in paths})
    assert [fact["sha256"] for fact in facts.values()] == [sha(b"x" * 60_000)] * 30
    assert ["content" in fact for fact in facts.values()] == [True] * 13 + [False] * 17


def test_a_file_of_many_chunks_is_hashed_whole(tmp_path):
    data = os.urandom(3 * 1024 * 1024 + 7)
    (tmp_path / "a").write_bytes(data)
    fact = look(tmp_path / "a", hash=True, unless="0" * 64)
    assert fact["sha256"] == sha(data)
    assert "content" not in fact


def test_a_huge_file_is_not_read(tmp_path):
    with (tmp_path / "a").open("wb") as stream:
        stream.truncate(1 << 40)
    fact = look(tmp_path / "a", hash=True, unless="0" * 64)
    assert (fact["sha256"], fact["size"]) == (None, 1 << 40)


def test_links_are_named_and_never_followed(tmp_path):
    (tmp_path / "secret").write_text("s")
    (tmp_path / "a").symlink_to("secret")
    (tmp_path / "b").symlink_to("nowhere/at all")
    assert look(tmp_path / "a", hash=True, unless="0" * 64) | {"mode": ""} == look(tmp_path / "a") | {"mode": ""}
    assert (look(tmp_path / "a", hash=True)["state"], look(tmp_path / "a")["target"]) == ("link", "secret")
    assert look(tmp_path / "b")["target"] == "nowhere/at all"


@pytest.mark.timeout(20)
def test_pipes_sockets_and_devices_are_other_and_block_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    asked = {
        str(tmp_path / "pipe"): {"hash": True},
        str(tmp_path / "socket"): {"hash": True},
        "/dev/null": {"hash": True},
    }
    assert {fact["state"] for fact in collect_paths(asked).values()} == {"other"}


def test_a_directory_and_what_is_not_there(tmp_path):
    (tmp_path / "file").write_text("")
    assert look(tmp_path)["state"] == "directory"
    assert look(tmp_path / "no") == {"state": "absent"}
    assert look(tmp_path / "file" / "below") == {"state": "absent"}


def test_an_account_without_a_name_is_its_number(tmp_path):
    (tmp_path / "a").write_text("")
    fact = look(tmp_path / "a")
    assert (fact["owner"], fact["group"]) == (pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name)
    assert path_module["name_account"](pwd.getpwuid, 54321, {}) == "54321"
    assert path_module["name_account"](grp.getgrgid, 54321, {}) == "54321"


def test_one_bad_path_does_not_end_the_others(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    asked = {"/a\0b": {}, str(tmp_path / "loop" / "x"): {}, str(tmp_path): {}, str(tmp_path / ("n" * 300)): {}}
    facts = collect_paths(asked)
    assert [list(fact) == ["error"] for fact in facts.values()] == [True, True, False, True]


def test_a_name_that_is_not_text_is_found_and_shown(tmp_path):
    (tmp_path / "ä").symlink_to(os.fsdecode(b"caf\xe9"))
    assert look(f"{tmp_path}/ä")["target"] == "caf\ufffd"


LINES = {
    # name: (content, asked, line, present)
    "no such line": (b"a\nb\n", {"line": "c"}, None, False),
    "the line": (b"a\nb\n", {"line": "b"}, "b", True),
    "the line is part of another": (b"ab\n", {"line": "a"}, None, False),
    "last match": (b"Port 1\nPort 2\n", {"line": "Port 3", "regexp": "^Port"}, "Port 2", False),
    "found anywhere in a line": (b"# Port\n", {"line": "Port 3", "regexp": "Port"}, "# Port", False),
    "earlier one is right, last is not": (b"Port 3\nPort 2\n", {"line": "Port 3", "regexp": "^Port"}, "Port 2", False),
    "expression fails, line is there": (b"Port 3\n", {"line": "Port 3", "regexp": "^#Port"}, "Port 3", True),
    "line end belongs to what is searched": (b"a\nab", {"line": "x", "regexp": r"a\n"}, "a", False),
    "carriage return": (b"a\r\n", {"line": "a"}, "a", True),
    "carriage return, by expression": (b"a 1\r\n", {"line": "a 1", "regexp": "^a"}, "a 1", True),
    "old line ends do not count": (b"a\rb\n", {"line": "b"}, None, False),
    "no line end at the end": (b"a\nb", {"line": "b"}, "b", True),
    "form feed and others do not end a line": (b"a\x0cb\x1cc\n", {"line": "b"}, None, False),
    "bytes that are no text": (b"caf\xe9\n", {"line": "x", "regexp": "^caf"}, "caf\ufffd", False),
    "text beyond ASCII": ("café\n".encode(), {"line": "café"}, "café", True),
    "empty file": (b"", {"line": "a"}, None, False),
    "absent, by line": (b"a\nb\n", {"line": "a", "state": "absent"}, "a", True),
    "absent, by line with \\r": (b"a\r\n", {"line": "a", "state": "absent"}, "a", True),
    "absent, by expression": (b"a1\na2\n", {"regexp": "^a", "state": "absent"}, "a2", True),
    "absent, expression wins over line": (b"a\n", {"line": "a", "regexp": "^b", "state": "absent"}, None, False),
    "absent and gone": (b"a\n", {"regexp": "^b", "state": "absent"}, None, False),
}


@pytest.mark.parametrize(("content", "asked", "line", "present"), LINES.values(), ids=LINES.keys())
def test_lines(tmp_path, content, asked, line, present):
    (tmp_path / "f").write_bytes(content)
    facts = collect_lines({"it": {"path": str(tmp_path / "f"), "state": "present"} | asked})
    assert facts == {"it": {"file": "file", "line": line, "present": present}}


@pytest.mark.timeout(20)
def test_what_is_no_file_has_no_lines(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("real")
    asked = {name: {"path": str(tmp_path / name), "line": "a"} for name in ("pipe", "no", "link", "")}
    facts = collect_lines(asked)
    assert {name: fact["file"] for name, fact in facts.items()} == {
        "pipe": "other",
        "no": "absent",
        "link": "absent",
        "": "other",
    }
    (tmp_path / "real").write_text("a\n")
    assert collect_lines({"it": asked["link"]})["it"] == {"file": "file", "line": "a", "present": True}


def test_a_file_too_large_is_an_error_of_its_own(tmp_path):
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(4 * 1024 * 1024 + 1)
    (tmp_path / "f").write_text("a\n")
    asked = {name: {"path": str(tmp_path / name), "line": "a"} for name in ("large", "f")}
    asked["bad"] = {"path": str(tmp_path / "f"), "line": "a", "regexp": "("}
    facts = collect_lines(asked)
    assert "larger than" in facts["large"]["error"]
    assert "error" in facts["bad"]
    assert facts["f"]["present"]


def test_a_very_long_line_is_cut_and_equals_nothing(tmp_path):
    (tmp_path / "f").write_bytes(b"a" * 100_000 + b"\n")
    fact = collect_lines({"it": {"path": str(tmp_path / "f"), "line": "b", "regexp": "^a"}})["it"]
    assert fact["line"] == "a" * 16384 + "…"
