"""Tests of the core, file by file; `test_fold` sets the whole against a naive model."""
