"""`python -m tidings` is the same as `tidings`."""

from tidings.cli import main

main()
