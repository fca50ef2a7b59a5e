"""Tools to test what is built on Tidings, and Tidings itself; free of any test framework."""
