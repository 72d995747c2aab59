"""The far end of an open session: what runs on a host while the daemon is connected to it.

``reconciler.bundle`` puts the sources of the modules beside this file, of the fact module and of the collectors into
SOURCES; the text it makes is sent over at start. Nothing of it is ever a file on the host, and it ends when its
standard input ends. Any Python from 3.8 on; nothing but the standard library.
"""

import sys
from importlib.machinery import ModuleSpec

SOURCES = {}


class Bundle:
    """Finds the modules that came with this text, and compiles each when it is first wanted."""

    def find_spec(self, name, *_):
        """What ``import`` asks for: the spec of a module of ours, or None."""
        return ModuleSpec(name, self) if name in SOURCES else None

    def create_module(self, spec):
        """An ordinary module."""

    def exec_module(self, module):
        """Run the source of a module; it is not needed again."""
        name = module.__spec__.name
        exec(compile(SOURCES.pop(name), name + ".py", "exec"), module.__dict__)


def main():
    """Serve until standard input ends; the exit status is 0 then, and else 1 with the reason on standard error."""
    sys.meta_path.insert(0, Bundle())
    import loop

    loop.serve({name[6:]: SOURCES.pop(name) for name in list(SOURCES) if name.startswith("facts/")})


if __name__ == "__main__":
    main()
