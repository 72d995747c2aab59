#!/usr/bin/python
"""Looks at one host: runs the collectors that are asked for and prints one answer.

This is Ansible's "JSON arguments" kind of module: one source, piped into the host's Python. Unlike an
AnsibleModule it writes nothing on the host (so it works on a full disk), needs nothing of Ansible
there, and is much cheaper to build and start. It only ever reads, so check mode is no different.

``reconciler.facts.bundle`` puts the sources of the collectors into SOURCES; the text it makes is also
what a resident process runs, which then calls ``answer`` itself. Any Python from 3.8 on.

The first line says plain ``python`` because Ansible puts the interpreter it found only in place of that.

A collector is a source that defines ``collect(asked)``: key → parameters in, key → fact out.
"""

import base64
import io
import json
import sys
import types

SOURCES = {}
ARGUMENTS = r"""<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"""

# A host with very many large files must not cost the controller its memory.
LARGEST_ANSWER = 4 * 1024 * 1024


def load(name):
    """The collector *name* as a module; raises KeyError where there is none."""
    module = types.ModuleType("collector_" + name)
    exec(compile(SOURCES[name], "facts/" + name + ".py", "exec"), module.__dict__)
    return module


def complaint(problem):
    """One line about an exception."""
    return {"error": "{}: {}".format(type(problem).__name__, problem)[:500]}


def look(name, asked):
    """Key → fact for one collector; where it fails, each of its keys holds an error."""
    try:
        found = load(name).collect(asked)
        return {key: found.get(key, {"error": "the collector gave no fact"}) for key in asked}
    except KeyError as missing:
        if name not in SOURCES:
            return {key: {"error": "there is no collector " + name} for key in asked}
        return {key: complaint(missing) for key in asked}
    except Exception as problem:
        return {key: complaint(problem) for key in asked}


def answer(request):
    """{"nonce", "asked": {collector: {key: parameters}}} → {"nonce", "observed": {collector: {key: fact}}}."""
    observed = {name: look(name, asked) for name, asked in request["asked"].items()}
    return {"nonce": request["nonce"], "observed": observed}


def capped(found):
    """*found* as one line of JSON in UTF-8, or a failure that says it is too large."""
    line = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")  # names of files may be no UTF-8
    if len(line) <= LARGEST_ANSWER:
        return line
    return json.dumps({"failed": True, "msg": "the answer is larger than {} bytes".format(LARGEST_ANSWER)}).encode()


def main():
    """Answer the request that Ansible put into ARGUMENTS."""
    out, sys.stdout = sys.stdout, io.StringIO()  # what a collector prints must not spoil the answer
    request = json.loads(base64.b64decode(json.loads(ARGUMENTS)["request"]).decode())
    out.buffer.write(capped(dict(answer(request), changed=False)) + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
