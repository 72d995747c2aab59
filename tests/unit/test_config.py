"""The daemon's configuration: every mistake at its line, and an example that agrees with the model."""

import datetime
import os
import re
from pathlib import Path

import pytest
import yaml

from reconciler.config import Config, load, read_secret, section
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
        if inner := section(field.annotation):
            yield from keys_of(inner, f"{prefix}{name}.")


def keys_in(value, prefix=""):
    for mapping in value if isinstance(value, list) else [value]:
        for name, inner in mapping.items():
            yield prefix + name
            if isinstance(inner, dict | list):
                yield from keys_in(inner, f"{prefix}{name}.")


KEYS = {name.rpartition(".")[2] for name in keys_of(Config)}


def uncommented(comment=r"( *)# ?"):
    """The example with every line that holds a key, or belongs to one, brought to life."""
    return re.sub(rf"^{comment}( *(?:- )?[a-z_]+:(?: .*)?)$", _alive, EXAMPLE.read_text(), flags=re.MULTILINE)


def _alive(found):
    line = found[1] + found[2]
    return line if line.strip(" -").partition(":")[0] in KEYS else found[0]


def whole():
    """The example with even those keys alive that are comments within a commented section."""
    return uncommented(r"(?:# )?( *)# ?")


def test_the_example_has_every_key_of_the_model_and_no_other():
    assert sorted(keys_in(yaml.safe_load(whole()))) == sorted(keys_of(Config))


def test_the_example_loads_and_its_comments_show_the_defaults(folder):
    def here(text):
        for name in re.findall(r"/etc/reconciler/(\w[\w.]*)", text):
            (folder / name).write_text("x\n")
            (folder / name).chmod(0o600)
        return text.replace("/etc/reconciler/", "")

    as_it_is = load(written(folder, here(EXAMPLE.read_text())))
    alive = load(written(folder, here(uncommented())))
    outward = {"forge": None, "web": None, "ears": []}
    same = alive.model_copy(update={"repository": as_it_is.repository, "ssh": as_it_is.ssh, **outward})
    assert same == as_it_is
    assert alive.repository.ssh_key == folder / "git_key"
    assert alive.ssh.config == folder / "ssh_config"
    least = "repository: {url: /r}\nforge: {kind: github, repository: ops/fleet, token: forge_token}\nweb: {}\n"
    defaults = load(written(folder, least))
    assert alive.forge == defaults.forge
    assert alive.web.listen == defaults.web.listen
    app = load(written(folder, here(whole()).replace("  token: forge_token\n", "").replace("  password:", "  #")))
    assert (app.forge.app.id, app.forge.app.key, app.forge.ca) == (
        12345,
        folder / "app_key.pem",
        folder / "forge_ca.pem",
    )


def test_every_key_says_what_it_is():
    def models(model):
        yield model
        for field in model.model_fields.values():
            if inner := section(field.annotation):
                yield from models(inner)

    named = {model.__name__ for model in models(Config)}
    assert named >= {"ForgeConfig", "AppConfig", "WebConfig", "EarConfig", "Timeouts"}
    for model in models(Config):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def forge(folder, text):
    return load(written(folder, f"repository: {{url: /r}}\nforge: {{{text}}}\n")).forge


def test_the_defaults_of_what_is_said(folder):
    config = load(written(folder, "repository: {url: /r}\n"))
    assert (config.forge, config.web, config.ears) == (None, None, [])
    found = forge(folder, "kind: github, repository: ops/fleet, token: key")
    assert (found.url, found.tickets, found.comments, found.adopt) == ("https://github.com", 10, True, True)
    assert (found.blind_after, found.waive_for) == (datetime.timedelta(hours=1), datetime.timedelta(days=14))
    assert (found.token, found.app, found.ca, found.proxy) == (folder / "key", None, None, None)
    assert forge(folder, "kind: gitlab, repository: a/b/c, token: key").url == "https://gitlab.com"
    web = load(written(folder, "repository: {url: /r}\nweb: {}\n")).web
    assert (web.listen, web.webhook_secret) == ("127.0.0.1:8471", None)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("kind: svn, url: 'https://h', repository: a/b, token: key", "2:15", "forge.kind should be 'github', 'gitlab'"),
        ("kind: forgejo, repository: a/b, token: key", "2:8", "the key 'url' is missing"),
        ("kind: [], url: 'https://h', repository: a/b, token: key", "2:15", "forge.kind should be"),
        ("kind: github, token: key", "2:8", "the key 'repository' is missing"),
        ("kind: github, repository: fleet, token: key", "2:35", "a repository on github is owner/name"),
        ("kind: github, repository: a/b/c, token: key", "2:35", "a repository on github is owner/name"),
        ("kind: gitlab, repository: fleet, token: key", "2:35", "a repository on gitlab is owner/name"),
        ("kind: github, repository: a/b.git, token: key", "2:35", "without .git"),
        ("kind: github, repository: 'a/..', token: key", "2:35", "is owner/name"),
        ("kind: github, repository: '/a/b', token: key", "2:35", "is owner/name"),
        ("kind: github, repository: 'a/b?x', token: key", "2:35", "is owner/name"),
        ("kind: github, repository: 'a/b c', token: key", "2:35", "is owner/name"),
        ("kind: github, repository: a/b", "2:8", "token, or app has to be set"),
        ("kind: gitlab, repository: a/b", "2:8", "token has to be set"),
        ("kind: github, repository: a/b, token: key, app: {id: 1, installation: 2, key: key}", "2:8", "not both"),
        ("kind: gitlab, repository: a/b, app: {id: 1, installation: 2, key: key}", "2:45", "only GitHub has apps"),
        ("kind: github, repository: a/b, app: {id: 0, installation: 2, key: key}", "2:50", "forge.app.id should be"),
        ("kind: github, repository: a/b, app: {id: 1, key: key}", "2:45", "the key 'installation' is missing"),
        (
            "kind: github, repository: a/b, app: {idd: 1, id: 1, installation: 2, key: key}",
            "2:46",
            "did you mean 'id'?",
        ),
        ("kind: github, repository: a/b, token: key, password: key", "2:62", "a password is for Pagure only"),
        ("kind: github, repository: a/b, token: open_key", "2:47", "can be read by others"),
        ("kind: github, repository: a/b, token: nowhere", "2:47", "cannot be read"),
        ("kind: github, repository: a/b, token: key, ca: nowhere", "2:56", "cannot be read"),
        ("kind: github, repository: a/b, token: key, tokn: x", "2:52", "unknown key 'tokn'; did you mean 'token'?"),
        ("kind: github, repository: a/b, token: key, tickets: -1", "2:61", "forge.tickets should be"),
        (
            "kind: github, repository: a/b, token: key, comments: yes",
            "2:62",
            "forge.comments should be a valid boolean",
        ),
        ("kind: github, repository: a/b, token: key, waive_for: 1w", "2:63", "a number and a unit"),
    ],
)
def test_forges_that_are_none(folder, text, place, words):
    (found,) = refusal(folder, f"repository: {{url: /r}}\nforge: {{{text}}}\n")
    assert found.startswith(f"{place}: ")
    assert words in found


def test_pagure_has_a_password_too(folder):
    found = forge(folder, "kind: pagure, url: 'https://pagure.io', repository: fleet, token: key, password: key")
    assert found.password == folder / "key"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("gitlab", "a/b"), ("gitlab", "a/b/c/d"), ("pagure", "fleet"), ("pagure", "ops/fleet"), ("gitea", "a-b/c.d_e")],
)
def test_names_of_repositories(folder, kind, name):
    found = forge(folder, f"kind: {kind}, url: 'https://git.example.org', repository: {name}, token: key")
    assert found.repository == name


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://git.example.org/", "https://git.example.org"),
        ("https://git.example.org:3000", "https://git.example.org:3000"),
        ("https://example.org/forge/", "https://example.org/forge"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:3000/", "http://[::1]:3000"),
    ],
)
def test_roots_of_forges(folder, url, kept):
    assert forge(folder, f"kind: gitea, url: '{url}', repository: a/b, token: key").url == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://git.example.org",
        "git.example.org",
        "ssh://git.example.org",
        "https://",
        "https://h:99999",
        "https://[bad",
        "https://bot:hunter2@git.example.org",
        "https://git.example.org/?token=hunter2",
        "https://git.example.org/#hunter2",
        "https://git.example.org/../x",
        "https://git.example.org/a b",
        "https://git.example.org\\@far",
        "https://gıt.example.org",
    ],
)
def test_roots_of_forges_that_are_none(folder, url):
    text = f"repository: {{url: /r}}\nforge: {{kind: gitea, url: '{url}', repository: a/b, token: key}}\n"
    (found,) = refusal(folder, text)
    assert found.startswith("2:27: forge.url: ")
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "listen",
    ["127.0.0.1:8471", "[::1]:8471", "0.0.0.0:80", "unix:/run/reconciler/web.sock"],
)
def test_where_may_be_listened(folder, listen):
    assert load(written(folder, f"repository: {{url: /r}}\nweb: {{listen: '{listen}'}}\n")).web.listen == listen


@pytest.mark.parametrize(
    "listen",
    [
        *("localhost:8471", "127.0.0.1", ":8471", "127.0.0.1:0", "127.0.0.1:70000", "256.0.0.1:1", "[127.0.0.1]:1"),
        *("[::g]:1", "127.0.0.1:8471 ", "", "/run/web.sock", "unix:web.sock", "unix:/", "unix:/" + "x" * 107),
    ],
)
def test_where_may_not_be_listened(folder, listen):
    (found,) = refusal(folder, f"repository: {{url: /r}}\nweb: {{listen: '{listen}'}}\n")
    assert found.startswith("2:15: web.listen: ")


def test_a_webhook_needs_a_forge(folder):
    (found,) = refusal(folder, "repository: {url: /r}\nweb: {webhook_secret: key}\n")
    assert found.startswith("2:6: web: webhook_secret needs the section forge")
    found = refusal(folder, "repository: {url: /r}\nforge: {kind: github}\nweb: {webhook_secret: key}\n")
    assert len(found) == 1, "a forge that is wrong itself is not said to be missing as well"
    text = "forge: {kind: github, repository: a/b, token: key}\nweb: {webhook_secret: key}\n"
    assert load(written(folder, f"repository: {{url: /r}}\n{text}")).web.webhook_secret == folder / "key"


def test_ears(folder):
    text = "ears:\n- {webhook: 'https://h/x?room=1', secret: key}\n- {webhook: 'http://[::1]:1/', secret: key}\n"
    first, second, third = load(written(folder, f"repository: {{url: /r}}\n{text}- apprise: key\n")).ears
    assert (first.webhook, first.secret, first.apprise) == ("https://h/x?room=1", folder / "key", None)
    assert second.webhook == "http://[::1]:1/"
    assert (third.webhook, third.secret, third.apprise) == (None, None, folder / "key")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("{}", "2:8", "an ear is either webhook and secret, or apprise"),
        ("{webhook: 'https://h/'}", "2:8", "an ear is either"),
        ("{secret: key}", "2:8", "an ear is either"),
        ("{apprise: key, secret: key}", "2:8", "an ear is either"),
        ("{webhook: 'https://h/', secret: key, apprise: key}", "2:8", "an ear is either"),
        ("{webhook: 'http://far/', secret: key}", "2:18", "http:// is for this machine only"),
        ("{webhook: 'https://u:hunter2@h/', secret: key}", "2:18", "does not belong here"),
        ("{webhook: 'https://h/#hunter2', secret: key}", "2:18", "no #fragment"),
        ("{apprise: open_key}", "2:18", "can be read by others"),
        ("{aprise: key, apprise: key}", "2:9", "unknown key 'aprise'; did you mean 'apprise'?"),
        ("key", "2:8", "has to be a mapping"),
    ],
)
def test_ears_that_are_none(folder, text, place, words):
    (found,) = refusal(folder, f"repository: {{url: /r}}\nears: [{text}]\n")
    assert found.startswith(f"{place}: ")
    assert words in found
    assert "hunter2" not in found


def test_no_address_with_a_secret_is_shown(folder):
    (folder / "key").write_text("hunter2\n")
    text = (
        "repository: {url: /r}\nforge: {kind: github, repository: a/b, token: key, proxy: 'http://u:hunter2@p:1'}\n"
        "web: {webhook_secret: key}\nears: [{webhook: 'https://h/hunter2', secret: key}, {apprise: key}]\n"
    )
    config = load(written(folder, text))
    assert config.forge.proxy == "http://u:hunter2@p:1"
    assert config.ears[0].webhook == "https://h/hunter2"
    assert "hunter2" not in repr(config) + str(config) + repr(config.ears) + repr(config.forge)
    for bad in ("ftp://u:hunter2@p", "http://u:hunter2@p/x", "http://u:hunter2@", "socks5://hunter2"):
        (found,) = refusal(folder, text.replace("http://u:hunter2@p:1", bad))
        assert "forge.proxy: " in found
        assert "hunter2" not in found


def test_a_secret_is_one_line(folder):
    (folder / "key").write_text(" It's a Secret \n")
    assert read_secret(folder / "key") == "It's a Secret"
    for wrong in (b"", b" \n", b"a\nb", b"a\0b", b"\xff\xfe"):
        (folder / "key").write_bytes(wrong)
        with pytest.raises(ConfigError, match="one line of text"):
            read_secret(folder / "key")
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        read_secret(folder / "nowhere")
