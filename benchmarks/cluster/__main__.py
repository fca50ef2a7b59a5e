"""Measures a cluster: `.venv/bin/python benchmarks/cluster --help`."""

import sys
from pathlib import Path

# This folder is a package: what it is in takes its place.
sys.path.pop(0)
sys.path.append(str(Path(__file__).parents[1]))
# What it shares with the benchmark of one broker, and how servers are started.
sys.path.append(str(Path(__file__).parents[1] / "broker"))
sys.path.append(str(Path(__file__).parents[2] / "tests" / "servers"))

from cluster.run import main

if __name__ == "__main__":
    main()
