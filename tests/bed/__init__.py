"""The test bed: a Docker engine, an image of a Debian host, hosts booted from it, and a git server over SSH."""
