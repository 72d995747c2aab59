"""Tests of the Ansible edge on real Ansible, with local hosts and a real sshd on the loopback."""
