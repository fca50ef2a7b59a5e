"""What `tidings verify` does: says what was found, and returns an exit status."""

from collections.abc import Callable
from pathlib import Path

from tidings.errors import Unavailable
from tidings.verify.folder import verify_folder

SOUND, DAMAGED, NOT_VERIFIED = 0, 1, 2


def run(folder: Path, *, say: Callable[[str], None]) -> int:
    """Verify a data folder; return 0 if it is sound, 1 if not, 2 if nobody could look."""
    try:
        report = verify_folder(folder)
    except Unavailable as error:
        say(f"Not verified: {error}")
        return NOT_VERIFIED
    for line in report.lines():
        say(line)
    return SOUND if report.is_sound else DAMAGED
