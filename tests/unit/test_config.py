"""The daemon's configuration: every mistake at its line, and an example that agrees with the model."""

import datetime
import os
import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from reconciler.config import Config, load
from reconciler.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "docs/reconciler.example.yml"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    for name, mode in (("key", 0o600), ("known_hosts", 0o644), ("open_key", 0o644)):
        (tmp_path / name).write_text("x\n")
        (tmp_path / name).chmod(mode)
    return tmp_path


def written(folder, text):
    path = folder / "reconciler.yml"
    path.write_text(text)
    return path


def refusal(folder, text):
    path = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    message, hint = str(caught.value).rsplit("\n  ", 1)
    assert "docs/reconciler.example.yml" in hint
    return [line.removeprefix(f"{path}:") for line in message.splitlines()]


def test_the_defaults(folder):
    config = load(written(folder, "repository: {url: /srv/fleet.git}\n"))
    assert (config.repository.branch, config.repository.path) == ("main", "desired-state")
    assert config.state_dir == Path("/var/lib/reconciler")
    assert (config.interval.total_seconds(), config.sweep_interval.total_seconds()) == (60, 600)
    assert (config.shard, config.forks, config.allow_local_connection) == ("main", 20, False)
    assert config.timeouts.task == datetime.timedelta(minutes=15)
    assert config.signing_key is config.ssh.key is config.repository.ssh_key is None


def test_the_state_directory_of_systemd(folder, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    path = written(folder, "repository: {url: /srv/fleet.git}\n")
    assert load(path).state_dir == Path("/var/lib/one")
    path.write_text("repository: {url: /srv/fleet.git}\nstate_dir: /elsewhere\n")
    assert load(path).state_dir == Path("/elsewhere")


def test_relative_paths_and_gits_defaults(folder):
    config = load(written(folder, "repository: {url: /r}\nstate_dir: s\nssh: {key: key, known_hosts: known_hosts}\n"))
    assert config.state_dir == folder / "s"
    assert config.repository.ssh_key == config.ssh.key == folder / "key"
    assert config.repository.known_hosts == folder / "known_hosts"


def test_every_mistake_at_once(folder):
    text = (
        "repository:\n  url: 'ext::sh -c id'\n  brnch: x\n  path: ../up\nintervall: 5\nforks: many\n"
        "ssh: {key: nowhere, known_hosts: known_hosts}\nsigning_key: open_key\ntimeouts: {task: soon}\n"
        "shard: a/b\nallow_local_connection: 1\ncommitter: nobody\ncommitter: nobody\n"
    )
    found = refusal(folder, text)
    expected = [
        ("2:8", "not a git URL"),
        ("3:3", "unknown key 'brnch'; did you mean 'branch'?"),
        ("4:9", "without '..'"),
        ("5:1", "unknown key 'intervall'; did you mean 'interval'?"),
        ("6:8", "forks should be a valid integer"),
        ("7:12", "cannot be read: no such file"),
        ("8:14", "can be read by others (mode 0644); try: chmod 600"),
        ("9:18", "a number and a unit such as"),
        ("10:8", "a shard is one word"),
        ("11:25", "allow_local_connection should be a valid boolean"),
        ("13:1", "'committer'"),
        ("13:12", "committer has to be a mapping"),
    ]
    assert len(found) == len(expected)
    for line, (place, words) in zip(found, expected, strict=True):
        assert line.startswith(f"{place}: ")
        assert words in line


def test_what_is_missing_or_no_mapping_or_not_there(folder):
    assert refusal(folder, "shard: x\n") == ["1:1: the key 'repository' is missing"]
    assert refusal(folder, "repository: {}\n") == ["1:13: the key 'url' is missing"]
    assert "has to be a mapping" in refusal(folder, "- 1\n")[0]
    assert len(refusal(folder, "")) == 1
    assert "not valid YAML" in refusal(folder, "repository: [\n")[0]
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(folder / "nowhere.yml")


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.org/fleet.git",
        "https://git.example.org:8443/fleet.git",
        "http://localhost:3000/fleet.git",
        "http://127.0.0.1/fleet.git",
        "http://[::1]/fleet.git",
        "ssh://git@git.example.org:2222/fleet.git",
        "git@git.example.org:ops/fleet.git",
        "gitserver:fleet.git",
        "file:///srv/fleet.git",
        "/srv/fleet.git",
    ],
)
def test_urls_that_may_be_used(folder, url):
    assert load(written(folder, f"repository: {{url: '{url}'}}\n")).repository.url == url


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c id",
        "ext::id",
        "ext::https://h/x",
        "fd::17",
        "--upload-pack=id",
        "-oProxyCommand=id",
        "git@-oProxyCommand=id:x",
        "-x@host:path",
        "host:-x",
        "ssh://-oProxyCommand=id/x",
        "ssh://git@-oProxyCommand=id/x",
        "http://git.example.org/fleet.git",
        "git://git.example.org/fleet.git",
        "ftp://git.example.org/fleet.git",
        "https:///fleet.git",
        "https://[bad/fleet.git",
        "fleet.git",
        "../fleet.git",
        "https://a b/c",
        "",
    ],
)
def test_urls_that_may_not(folder, url):
    assert len(refusal(folder, f"repository: {{url: '{url}'}}\n")) == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("2.5", 2.5), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)]
)
def test_times(folder, text, seconds):
    config = load(written(folder, f"repository: {{url: /r}}\ninterval: {text}\n"))
    assert config.interval.total_seconds() == seconds


@pytest.mark.parametrize("text", ["0", "-5", "0.1", "5 weeks", "true", "[]", "99999d", "1e9", ".inf", "null"])
def test_times_that_are_none(folder, text):
    (found,) = refusal(folder, f"repository: {{url: /r}}\ninterval: {text}\n")
    assert found.startswith("2:11: interval: ")


@pytest.mark.parametrize("name", ["-x", "a..b", "a.lock", "a b", "a~1", "@", "a/", "/a", "a/.b", ""])
def test_branches_that_are_none(folder, name):
    assert len(refusal(folder, f"repository: {{url: /r, branch: '{name}'}}\n")) == 1


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://bot:hunter2@h/x.git", "https://***@h/x.git"),
        ("https://hunter2@h/x.git", "https://***@h/x.git"),
        ("ssh://git:hunter2@h/x.git", "ssh://git***@h/x.git"),
        ("ssh://git@h/x.git", "ssh://git@h/x.git"),
        ("git@h:x.git", "git@h:x.git"),
    ],
)
def test_a_secret_is_never_shown(folder, url, shown):
    config = load(written(folder, f"repository: {{url: '{url}'}}\n"))
    assert config.repository.shown_url == shown
    assert "hunter2" not in repr(config) + str(config) + repr(config.repository)
    bad = refusal(
        folder, "repository: {url: 'http://bot:hunter2@far/x', path: [hunter2]}\ncommitter: {name: 'hunter2<'}\n"
    )
    assert len(bad) == 3
    assert "hunter2" not in "\n".join(bad)


def test_a_key_is_private_as_ssh_wants_it(folder):
    path = written(folder, "repository: {url: /r}\nsigning_key: key\n")
    for owner, mode, fine in ((0, 0o600, True), (0, 0o640, False), (12345, 0o640, True), (12345, 0o604, False)):
        os.chown(folder / "key", owner, -1)
        (folder / "key").chmod(mode)
        if fine:
            assert load(path).signing_key == folder / "key"
        else:
            with pytest.raises(ConfigError, match="can be read by others"):
                load(path)


def keys_of(model, prefix=""):
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{prefix}{name}.")


def keys_in(value, prefix=""):
    for name, inner in value.items():
        yield prefix + name
        if isinstance(inner, dict):
            yield from keys_in(inner, f"{prefix}{name}.")


def uncommented():
    """The example with every line that holds a key, or belongs to one, brought to life."""
    return re.sub(r"^( *)# ?( *[a-z_]+:(?: .*)?)$", _alive, EXAMPLE.read_text(), flags=re.MULTILINE)


def _alive(found):
    line = found[1] + found[2]
    key = line.strip().partition(":")[0]
    return line if key in {name.rpartition(".")[2] for name in keys_of(Config)} else found[0]


def test_the_example_has_every_key_of_the_model_and_no_other():
    assert sorted(keys_in(yaml.safe_load(uncommented()))) == sorted(keys_of(Config))


def test_the_example_loads_and_its_comments_show_the_defaults(folder):
    def here(text):
        for name in ("git_key", "key", "signing_key", "git_known_hosts", "known_hosts", "ssh_config"):
            (folder / name).write_text("x\n")
            (folder / name).chmod(0o600)
        return text.replace("/etc/reconciler/", "")

    as_it_is = load(written(folder, here(EXAMPLE.read_text())))
    alive = load(written(folder, here(uncommented())))
    same = alive.model_copy(update={"repository": as_it_is.repository, "ssh": as_it_is.ssh})
    assert same == as_it_is
    assert alive.repository.ssh_key == folder / "git_key"
    assert alive.ssh.config == folder / "ssh_config"


def test_every_key_says_what_it_is():
    def models(model):
        yield model
        for field in model.model_fields.values():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from models(field.annotation)

    for model in models(Config):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
