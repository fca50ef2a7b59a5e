"""The machine's wall clock, as the `Clock` port."""

import time

from tidings.ports import Clock


class SystemClock:
    """The machine's wall clock."""

    def now_ms(self) -> int:
        """See `Clock`."""
        return time.time_ns() // 1_000_000


_clock: type[Clock] = SystemClock
