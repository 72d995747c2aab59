"""The far end of the stream lane, over pipes: real files, real inotify, commands made for a test."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import time

import pytest

from tests.unit.farend import PLAYBOOKS, FarEnd, read_everything

SETTLING = 2.6
"""Seconds after which a file counts as settled, so that its fact may be used again."""


@pytest.fixture
def far_ends():
    """``far_ends(...)`` starts a far end; all of them are ended."""
    started = []

    def start(*command, **options):
        started.append(FarEnd(*command, **options))
        return started[-1]

    yield start
    for far in started:
        assert far.end() == (0, "")


@pytest.fixture
def far(far_ends):
    return far_ends()


def ask_paths(*paths, **params):
    return {"path": {str(path): params or {"hash": True, "unless": "-"} for path in paths}}


def mixed(folder):
    (folder / "plain").write_text("one\ntwo = 2\n")
    (folder / "link").symlink_to("plain")
    (folder / "odd").symlink_to(os.fsdecode(b"\xff\xfe"))
    crontab, line = str(folder / "crontab"), {"regexp": "^two", "state": "present"}
    return {
        **ask_paths(folder, folder / "plain", folder / "link", folder / "odd", folder / "none"),
        "lineinfile": {"one": {"path": str(folder / "link"), "line": "two = 3", **line}},
        "user": {"root": {"password": False}, "nobody-at-all": {}},
        "group": {"root": {}, "daemon": {}},
        "cron": {crontab: {"file": crontab}, "root": {"user": "root"}},
        "sysctl": {"kernel.ostype": {"file": str(folder / "sysctl.conf")}},
        "authorized_key": {"root": {"user": "root", "path": str(folder / "keys")}},
        "package": {"dpkg": {}, "nonesuch": {}},
        "service": {"nonesuch@": {}},
        "no such collector": {"key": {}},
    }


def test_it_says_hello_and_answers_what_the_other_lane_answers(far, tmp_path):
    asked = mixed(tmp_path)
    assert far.hello["hello"] == 1
    assert "inotify" in far.hello["watches"]
    far.say(asked=asked)
    assert far.look()["observed"] == read_everything(asked)


def test_what_is_unchanged_is_answered_by_its_digest_alone(far, tmp_path):
    far.say(asked=mixed(tmp_path))
    first = far.look()
    assert far.look(first["digest"]) == {"digest": first["digest"]}
    assert far.look("something else") == first
    assert far.look(first["digest"], fresh=True) == {"digest": first["digest"]}
    (tmp_path / "plain").write_text("one\ntwo = 3\n")
    second = far.look(first["digest"])
    assert second["observed"] == read_everything(mixed_again(tmp_path))
    assert second["digest"] != first["digest"]


def mixed_again(folder):
    (folder / "again").mkdir()
    text = json.dumps(mixed(folder / "again"))
    return json.loads(text.replace(f"{folder}/again", str(folder)))


def count_packages(folder, status=0):
    """A dpkg-query that counts its runs."""
    rows = "dpkg\\tamd64\\t1\\tinstalled\\nnginx\\tamd64\\t1\\tinstalled\\n"
    command = folder / "dpkg-query"
    command.write_text(f"#!/bin/sh\necho x >> {folder}/calls\nprintf '{rows}'\nexit {status}\n")
    command.chmod(0o755)
    return dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}")


def test_commands_run_once_and_again_only_for_a_fresh_look(far_ends, tmp_path):
    far = far_ends(env=count_packages(tmp_path))
    far.say(asked={"package": {"nginx": {}, "apache2": {}}})
    digest = far.look()["digest"]
    assert [far.look(digest) for _ in range(3)] == [{"digest": digest}] * 3
    assert (tmp_path / "calls").read_text() == "x\n"
    far.look(digest, fresh=True)
    assert (tmp_path / "calls").read_text() == "x\nx\n"


def test_a_new_question_reads_only_what_is_new(far_ends, tmp_path):
    far = far_ends(env=count_packages(tmp_path))
    far.say(asked={"package": {"nginx": {}}})
    assert set(far.look()["observed"]) == {"package"}
    far.say(asked={"package": {"nginx": {}}, **ask_paths(tmp_path / "file")})
    assert set(far.look()["observed"]) == {"package", "path"}
    assert (tmp_path / "calls").read_text() == "x\n"


def test_an_error_is_not_kept(far_ends, tmp_path):
    far = far_ends(env=count_packages(tmp_path, status=2))
    far.say(asked={"package": {"nginx": {}}})
    assert "dpkg-query failed" in far.look()["observed"]["package"]["nginx"]["error"]
    count_packages(tmp_path)
    assert far.look()["observed"]["package"]["nginx"] == {"version": "1", "status": "installed"}


def test_contents_that_do_not_fit_are_left_out_as_the_other_lane_does(far, tmp_path):
    files = [tmp_path / f"{number:02}" for number in range(24)]
    for file in files:
        file.write_text("x" * 60000)
    asked = ask_paths(*files)
    far.say(asked=asked)
    for shorter in (files[0], files[20], *files[1:10]):
        assert far.look()["observed"] == read_everything(asked)
        shorter.write_text("short")
    assert far.look()["observed"] == read_everything(asked)
    assert all("content" in fact for fact in far.look()["observed"]["path"].values())


def test_room_made_by_another_question_is_used(far, tmp_path):
    files = [tmp_path / f"{number:02}" for number in range(24)]
    for file in files:
        file.write_text("x" * 60000)
    time.sleep(SETTLING)
    far.say(asked=ask_paths(*files))
    far.look()
    asked = ask_paths(*files[12:])
    far.say(asked=asked)
    assert far.look()["observed"] == read_everything(asked)


def test_an_answer_that_is_too_large_is_refused_and_the_next_one_is_not(far, tmp_path):
    (tmp_path / "long").write_text("x" * 16000)
    line = {"path": str(tmp_path / "long"), "line": "y", "regexp": "x", "state": "present"}
    far.say(asked={"lineinfile": {str(number): line for number in range(300)}})
    assert far.look() == {"failed": "the answer is larger than 4194304 bytes"}
    far.say(asked={"lineinfile": {"one": line}})
    assert far.look()["observed"]["lineinfile"]["one"]["line"] == "x" * 16000


def renamed_over(path):
    (path.parent / ".new").write_text("new")
    (path.parent / ".new").rename(path)


def folder_moved(path):
    path.parent.rename(path.parent.parent / "elsewhere")


def folder_replaced(path):
    folder_moved(path)
    path.parent.mkdir()


CHANGES = {
    "written": lambda path: path.write_text("new"),
    "renamed over": renamed_over,
    "removed": lambda path: path.unlink(),
    "made a link": lambda path: (path.unlink(), path.symlink_to("/dev/null")),
    "another mode": lambda path: path.chmod(0o600),
    "its folder moved": folder_moved,
    "its folder replaced": folder_replaced,
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_says_now_where_a_declared_file_changes(far, tmp_path, change):
    path = tmp_path / "folder" / "below" / "file"
    path.parent.mkdir(parents=True)
    path.write_text("old")
    far.say(asked=ask_paths(path))
    first = far.look()
    CHANGES[change](path)
    assert far.says_now()
    second = far.look(first["digest"])
    assert second["observed"] == read_everything(ask_paths(path))
    assert second["digest"] != first["digest"]


def test_it_says_now_where_a_file_comes_with_all_its_folders_and_again_when_it_changes(far, tmp_path):
    path = tmp_path / "not" / "yet" / "there" / "file"
    far.say(asked=ask_paths(path))
    digest = far.look()["digest"]
    path.parent.mkdir(parents=True)
    path.write_text("here")
    assert far.says_now()
    digest = far.look(digest)["digest"]
    path.write_text("there")
    assert far.says_now()
    assert far.look(digest)["digest"] != digest


def test_it_says_now_where_what_a_link_leads_to_changes(far, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"{name}\n")
    (tmp_path / "way").symlink_to("one")
    (tmp_path / "link").symlink_to("way/file")
    line = {"path": str(tmp_path / "link"), "line": "two", "regexp": None, "state": "present"}
    far.say(asked={"lineinfile": {"line": line}})
    assert not far.look()["observed"]["lineinfile"]["line"]["present"]
    (tmp_path / "way").unlink()
    (tmp_path / "way").symlink_to(tmp_path / "two")
    assert far.says_now()
    assert far.look()["observed"]["lineinfile"]["line"]["present"]
    (tmp_path / "two" / "file").write_text("three\n")
    assert far.says_now()
    assert not far.look()["observed"]["lineinfile"]["line"]["present"]


def test_it_says_now_once_and_is_then_silent_until_the_next_look(far, tmp_path):
    path = tmp_path / "file"
    far.say(asked=ask_paths(path))
    far.look()
    for text in ("one", "two", "three"):
        path.write_text(text)
        assert far.says_now(0.5) == (text == "one")
    far.look()
    path.write_text("four")
    assert far.says_now()


def test_neighbours_readers_and_what_is_put_back_do_not_wake_it(far, tmp_path):
    path = tmp_path / "file"
    path.write_text("text")
    time.sleep(SETTLING)
    far.say(asked=ask_paths(path, tmp_path / "absent"))
    far.look()
    (tmp_path / ".file.swp").write_text("swap")
    path.read_text()
    (tmp_path / "absent").write_text("")
    (tmp_path / "absent").unlink()
    assert not far.says_now(0.6)


def test_changes_in_vain_are_told_less_often_and_one_that_counts_is_still_told(far, tmp_path):
    path = tmp_path / "file"
    path.write_text("text")
    far.say(asked=ask_paths(path))
    digest = far.look()["digest"]
    for _ in range(3):
        path.touch()
        assert far.says_now()
        assert far.look(digest) == {"digest": digest}
    path.touch()
    assert not far.says_now(0.4)
    path.write_text("other")
    assert far.says_now()
    assert far.look(digest)["digest"] != digest


COUNTED = """
def grounds(asked):
    return {key: [key] for key in asked}
def collect(asked):
    for key in asked:
        with open(key + ".reads", "a") as stream:
            stream.write("x")
    return {key: {} for key in asked}
"""


def test_what_was_read_right_after_a_change_is_read_again_until_it_has_settled(tmp_path):
    playbooks, path = tmp_path / "playbooks", tmp_path / "file"
    shutil.copytree(PLAYBOOKS, playbooks)
    (playbooks / "facts" / "counted.py").write_text(COUNTED)
    far = FarEnd(playbooks=playbooks)
    path.write_text("changed")
    far.say(asked={"counted": {str(path): {}}})
    digest = far.look()["digest"]
    far.look(digest)
    time.sleep(SETTLING)
    for _ in range(3):
        far.look(digest)
    assert (tmp_path / "file.reads").read_text() == "xxx"
    assert far.end() == (0, "")


NOISY = """
import os, subprocess
def collect(asked):
    print("noise")
    subprocess.call(["sh", "-c", "echo louder; cat"])
    if "boom" in asked:
        raise ValueError("boom")
    return {key: {"value": {1, 2} if key == "set" else os.getcwd()} for key in asked}
"""


@pytest.fixture
def noisy(tmp_path):
    """Playbooks with a collector that prints, reads and fails."""
    shutil.copytree(PLAYBOOKS, tmp_path / "playbooks")
    (tmp_path / "playbooks" / "facts" / "noisy.py").write_text(NOISY)
    far = FarEnd(playbooks=tmp_path / "playbooks")
    yield far
    assert far.end()[0] == 0


def test_a_collector_that_prints_and_reads_spoils_nothing(noisy):
    noisy.say(asked={"noisy": {"a": {}}})
    assert noisy.look()["observed"] == {"noisy": {"a": {"value": "/"}}}


def test_a_collector_that_fails_is_an_error_and_an_answer_that_cannot_be_written_a_failed_look(noisy):
    noisy.say(asked={"noisy": {"boom": {}}})
    assert noisy.look()["observed"] == {"noisy": {"boom": {"error": "ValueError: boom"}}}
    noisy.say(asked={"noisy": {"set": {}}})
    assert noisy.look()["failed"].startswith("TypeError")
    noisy.say(asked={"noisy": {"a": {}}})
    assert noisy.look()["observed"] == {"noisy": {"a": {"value": "/"}}}


@pytest.mark.parametrize("line", ["no JSON", '{"asked": 5}', '{"asked": {"path": ["a"]}}', "5", "[]"])
def test_a_line_that_means_nothing_ends_it_with_words(line):
    far = FarEnd()
    far.write(line.encode() + b"\n")
    status, words = far.end()
    assert status == 1
    assert words.startswith("resident: a line that cannot be understood arrived: ")
    assert words.count("\n") == 1


def test_a_line_without_end_ends_it_with_words():
    far = FarEnd()
    with pytest.raises(BrokenPipeError):
        far.write(b"x" * 20_000_000)
    assert far.end() == (1, "resident: a line of more than 16777216 bytes arrived\n")


@pytest.mark.parametrize(
    ("switch", "word", "whole"),
    [
        ("passwd: files systemd\n", "user:0", True),
        ("passwd: files sss\n", "user:0", True),
        ("passwd: files sss\n", "user:root", True),
        ("passwd: files sss\n", "user:", False),
        ("passwd: files sss\n", "user:4000000", False),
        ("passwd: sss files\n", "user:root", False),
        ("group: ldap # passwd: files\n", "user:", True),
        ("group: ldap\n", "group:", False),
        ("", "group:", True),
        (None, "user:", True),
    ],
)
def test_accounts_stand_on_files_only_where_nothing_else_has_a_say(tmp_path, switch, word, whole):
    ground = runpy.run_path(str(PLAYBOOKS / "resident" / "ground.py"))
    names = ground["Ground"].__init__.__globals__
    names["NSSWITCH"] = str(tmp_path / "nsswitch.conf")
    if switch is not None:
        (tmp_path / "nsswitch.conf").write_text(switch)
    stood_on = ground["Ground"]([word, "/etc/hosts"])
    assert stood_on.whole == whole
    assert stood_on.paths == [
        os.fsencode(tmp_path / "nsswitch.conf"),
        b"/etc/" + word[:2].replace("us", "passwd").replace("gr", "group").encode(),
        b"/etc/hosts",
    ]


@pytest.mark.parametrize(("version", "outdated"), [("glibc 2.32", True), ("glibc 2.33", False), (None, False)])
def test_where_the_library_never_looks_again_a_change_of_sources_needs_a_new_process(
    tmp_path, monkeypatch, version, outdated
):
    ground = runpy.run_path(str(PLAYBOOKS / "resident" / "ground.py"))
    switch = tmp_path / "nsswitch.conf"
    ground["sign"].__globals__["NSSWITCH"] = str(switch)
    monkeypatch.setattr(os, "confstr", lambda _: version)
    sources = ground["Sources"]()
    assert not sources.outdated()
    switch.write_text("passwd: files\n")
    assert sources.outdated() == outdated
