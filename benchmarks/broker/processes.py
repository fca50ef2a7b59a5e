"""What the system says of a process that runs, and of the machine."""

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KIB_PER_MB = 1000 / 1.024


def cpu_s(process_id: int) -> float:
    """Return the CPU seconds that a process has used, in the system and out of it."""
    # The name in the second field may hold spaces; what follows its bracket does not.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def resident_mb(process_id: int) -> float:
    """Return the resident memory of a process in megabytes."""
    return _memory_mb(process_id, "VmRSS:")


def most_resident_mb(process_id: int) -> float:
    """Return the most resident memory that a process ever had, in megabytes."""
    return _memory_mb(process_id, "VmHWM:")


def _memory_mb(process_id: int, field: str) -> float:
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / _KIB_PER_MB
    raise AssertionError("a process that runs has resident memory")


def idle_s() -> float:
    """Return the seconds that all cores together had nothing to do, since the machine started."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    # The fourth and fifth: nothing to do, and nothing to do but wait for a disk.
    return (int(fields[4]) + int(fields[5])) / _TICKS_PER_S


def load_average() -> float:
    """Return how many processes wanted a core, on average over the last minute."""
    return os.getloadavg()[0]
