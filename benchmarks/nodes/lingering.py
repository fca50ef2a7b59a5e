"""A node of the `journal` design that lingers as many milliseconds as its argument says."""

import sys

from tidings.maelstrom.launch import run

run("journal", linger_s=float(sys.argv[1]) / 1000)
