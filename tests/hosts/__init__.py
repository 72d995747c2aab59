"""Tests that need a Docker engine: real systemd hosts, reached over SSH."""
