import runpy
import subprocess
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

import crc32c as package
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings import crc
from tidings.crc import crc32c


def test_checksum_is_that_of_the_standard() -> None:
    # RFC 3720, B.4.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


@given(st.binary(max_size=100))
def test_checksum_is_that_of_the_package(data: bytes) -> None:
    assert crc32c(data) == crc32c(memoryview(data)) == package.crc32c(data)


def test_checksum_is_the_package_s_own_where_it_keeps_its_c_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find_spec = PathFinder.find_spec

    def find_all_but_one(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if name == "_crc32c" else find_spec(name, path, target)

    monkeypatch.setattr(PathFinder, "find_spec", find_all_but_one)
    assert runpy.run_path(crc.__file__)["crc32c"] is package.crc32c


def test_record_batches_are_read_without_what_the_package_imports() -> None:
    # As in `tidings serve`, which keeps out what only tests have.
    program = (
        "import sys; sys.modules['hypothesis'] = None; import tidings.kafka.record_batch; "
        "print('argparse' in sys.modules, 'crc32c' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == ["False", "False"]
