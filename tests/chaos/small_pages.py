"""`tidings`, but for pages so small that a broker seals, checkpoints and trims all the time.

How large pages are is part of what a folder holds: a folder that this has written is for this only.
"""

from tidings.cli import main
from tidings.core.pages import PageFormat
from tidings.engine import log
from tidings.engine.settings import KIB, Settings
from tidings.kafka import serve

FORMAT = PageFormat(24, 100, 256 * KIB, has_segments=True)
SETTINGS = Settings(linger_s=0, checkpoint_pages=1, index_entries_max=50, fetch_batches_max=10)

vars(log)["IN_SEGMENTS"] = FORMAT
vars(serve)["ENGINE"] = SETTINGS

if __name__ == "__main__":
    main(prog_name="tidings")
