"""Tests of what is handed out: the wheel, and the versions it is tried with."""
