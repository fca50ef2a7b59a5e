"""Measures Tidings beside other brokers: `.venv/bin/python benchmarks/broker --help`."""

import sys
from pathlib import Path

# How other brokers are had and started lies with the tests that use them.
sys.path.append(str(Path(__file__).parents[2] / "tests" / "servers"))

from run import main

if __name__ == "__main__":
    main()
