#!/usr/bin/python
"""Puts one file in its place, in one trip to the host: what ``ansible.builtin.copy`` does in five.

The content comes with the call (base64), so it is no template, no text, and no file on its way. Everything that changes
the host is Ansible's own: the atomic move with its care for SELinux and existing attributes, owner, group and mode.
Any Python from 3.8 on.
"""

import base64
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes

OPTIONS = {
    "content": {"type": "str", "required": True, "no_log": True},
    "dest": {"type": "path", "required": True},
    "force": {"type": "bool", "default": True},
    "validate": {"type": "str"},
}


def main():
    """Put the file in place if it is not there already, then set its permissions."""
    module = AnsibleModule(OPTIONS, add_file_common_args=True)
    dest = module.params["dest"]
    path = to_bytes(dest, errors="surrogate_or_strict")
    refuse_what_no_file_replaces(module, path)
    try:
        changed = put(module, path, base64.b64decode(module.params["content"]))
    except OSError as problem:
        module.fail_json(msg="{} cannot be written: {}".format(dest, problem.strerror or problem))
    arguments = module.load_file_common_arguments(module.params, path=dest)
    module.exit_json(changed=module.set_fs_attributes_if_different(arguments, changed))


def refuse_what_no_file_replaces(module, path):
    """End the module at a directory, and at a link where content is ignored, so that only permissions would be set."""
    dest = module.params["dest"]
    if os.path.isdir(path):
        module.fail_json(msg=dest + " is a directory or a link to one, and no file takes its place")
    if os.path.islink(path) and os.path.exists(path) and not module.params["force"]:
        module.fail_json(msg=dest + " is a link, and no permissions are set through it")


def put(module, path, content):
    """Write the content unless it is there, or ignored; returns whether anything was written."""
    if os.path.exists(path) and (not module.params["force"] or holds(path, content)):
        return False
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        module.fail_json(msg="Destination directory {} does not exist".format(os.path.dirname(module.params["dest"])))
    handle, aside = tempfile.mkstemp(dir=module.tmpdir)
    module.add_cleanup_file(aside)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    validate(module, aside)
    if os.path.islink(path):
        os.unlink(path)
    module.atomic_move(aside, module.params["dest"], unsafe_writes=module.params["unsafe_writes"])
    return True


def holds(path, content):
    """Whether a file, and no link to one, has this content."""
    if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) != len(content):
        return False
    with open(path, "rb") as stream:
        return stream.read() == content


def validate(module, aside):
    """End the module unless the declared command accepts the new content; it sees the permissions to come."""
    command = module.params["validate"]
    if not command:
        return
    module.set_mode_if_different(aside, module.params["mode"], False)
    module.set_owner_if_different(aside, module.params["owner"], False)
    module.set_group_if_different(aside, module.params["group"], False)
    if "%s" not in command:
        module.fail_json(msg="validate must contain %s: " + command)
    code, out, err = module.run_command(command % aside)
    if code != 0:
        module.fail_json(msg="failed to validate", exit_status=code, stdout=out, stderr=err)


if __name__ == "__main__":
    main()
