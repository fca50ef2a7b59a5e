"""`python -m tidings.maelstrom DESIGN`: a node on stdin and stdout."""

import sys

from tidings.maelstrom.launch import run

run(sys.argv[1])
