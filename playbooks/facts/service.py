"""Whether systemd units run and whether they are enabled.

Runs on the hosts, bundled with the other collectors; imports nothing but the standard library.
It changes nothing and runs one command, however many units are asked for.
"""

import os
import subprocess

TIMEOUT = 30  # seconds
SHOW = ["systemctl", "show", "--property=Id,Names,LoadState,ActiveState,SubState,UnitFileState", "--"]
FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
PROPERTIES = {"load": "LoadState", "active": "ActiveState", "sub": "SubState", "file": "UnitFileState"}


def collect(asked):
    """Unit name → ``{"load", "active", "sub", "file"}``, in systemd's own words; a unit without suffix is a service."""
    full = {name: name if "." in name else name + ".service" for name in asked}
    # One bad name would make systemctl refuse all the others, so a template is not even asked for.
    sound = {name: unit for name, unit in full.items() if not unit.rpartition(".")[0].endswith("@")}
    facts = {name: {"error": "%s is a template of units" % name} for name in asked if name not in sound}
    try:
        known = show(sorted(set(sound.values()))) if sound else {}
    except Exception as error:
        return dict(facts, **{name: {"error": str(error)} for name in sound})
    unanswered = {"error": "systemctl did not answer for it"}
    return dict(facts, **{name: known.get(unit, unanswered) for name, unit in sound.items()})


def grounds(asked):
    """Unit name → what its fact stands on: systemd's word, and the files it reads where it has no such unit yet."""
    folders = list_folders()
    shared = [folder + "/" for folder in folders] + list_enablements(folders)
    units = {name: name if "." in name else name + ".service" for name in asked}
    return {name: ["unit:" + unit, *shared, *list_files(unit, folders)] for name, unit in units.items()}


def list_folders():
    """The folders of units, each once: /lib is /usr/lib on most hosts. One that is missing may come."""
    return list({os.path.realpath(folder): folder for folder in FOLDERS}.values())


def list_enablements(folders):
    """The folders of links that enable units."""
    return [
        entry.path + "/"
        for folder in folders
        for entry in scan(folder)
        if entry.name.endswith((".wants", ".requires", ".upholds")) and entry.is_dir()
    ]


def list_files(unit, folders):
    """The files of one unit that exist, and its folders of additions; one that comes changes the folder it is in."""
    name, dot, suffix = unit.rpartition(".")
    template = name.partition("@")[0] + "@" + dot + suffix if "@" in name else unit
    paths = [os.path.join(folder, each) for folder in folders for each in dict.fromkeys((unit, template))]
    additions = [path + ".d" for path in paths if os.path.isdir(path + ".d")]
    parts = [entry.path for folder in additions for entry in scan(folder)]
    return [path for path in paths if os.path.lexists(path)] + [folder + "/" for folder in additions] + parts


def scan(folder):
    """The entries of a folder; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def show(units):
    """Every name of every unit → its fact. An alias is answered for by the unit it stands for."""
    done = subprocess.run(
        SHOW + units,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ, LC_ALL="C"),
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        raise OSError("systemctl failed: %s" % done.stderr.decode("utf-8", "replace").strip()[:300])
    blocks = [parse(block) for block in done.stdout.decode("utf-8", "replace").split("\n\n")]
    return {
        name: {word: block.get(key, "") for word, key in PROPERTIES.items()}
        for block in blocks
        for name in [block.get("Id", ""), *block.get("Names", "").split()]
    }


def parse(block):
    """The properties of one unit."""
    pairs = (line.partition("=") for line in block.splitlines())
    return {key: value for key, _, value in pairs}
