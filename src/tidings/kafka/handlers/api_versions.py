"""ApiVersions: which APIs and versions this broker serves.

The first request of most clients. One that asks in a version which the broker does not know gets
the answer of version 0, with the error UNSUPPORTED_VERSION, and asks again (KIP-511).
"""

from collections.abc import Iterable
from typing import Any

from kio.schema.errors import ErrorCode


def body(
    ranges: Iterable[tuple[int, int, int]], error: ErrorCode = ErrorCode.none
) -> dict[str, Any]:
    """Return the answer; a range is an API's key with its lowest and highest version."""
    return {
        "error_code": error,
        "api_keys": [
            {"api_key": key, "min_version": lowest, "max_version": highest}
            for key, lowest, highest in ranges
        ],
    }
