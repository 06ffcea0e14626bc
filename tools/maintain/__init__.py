"""Tests, linters, exact versions, recorded runs."""
