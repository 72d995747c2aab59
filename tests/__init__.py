"""Tests: pure units, packaging, and the loop on real hosts."""
