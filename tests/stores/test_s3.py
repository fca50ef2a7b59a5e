"""The blob store in S3, on a real server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import databases
import obstore
import pytest
from obtaining import obtained
from real_loop import run_real
from remote_stores import PATIENT_S, s3_blobs
from trouble import TIMEOUT_S, TroubledBlobStore, in_trouble

from tidings.errors import Corrupt, InvalidRequest, Unavailable
from tidings.stores.s3 import KEY_CHARACTERS_MAX, PART_BYTES, S3BlobStore, encoded, open_s3
from tidings.testing.contract import blob_store_checks

pytestmark = pytest.mark.real

CHECKS = blob_store_checks()


@pytest.fixture(scope="module", autouse=True)
def _who() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in databases.S3_ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of a server that nobody troubles."""
    with obtained(databases.s3) as server:
        yield databases.s3_url(server.address)


@pytest.mark.parametrize("name", CHECKS)
def test_s3_blob_store_keeps_the_contract(name: str, url: str) -> None:
    run_real(CHECKS[name](s3_blobs(url)))


# Trouble ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def troubled_server() -> Iterator[databases.Server]:
    """A server that is killed and paused."""
    with obtained(databases.s3) as server:
        yield server


@pytest.mark.parametrize("name", [name for name in CHECKS if name.endswith("linearizable")])
def test_s3_blob_store_whose_server_is_killed_and_paused_keeps_the_contract(
    name: str, troubled_server: databases.Server
) -> None:
    make, faults = in_trouble(
        s3_blobs(databases.s3_url(troubled_server.address), TIMEOUT_S),
        TroubledBlobStore,
        troubled_server,
    )
    run_real(CHECKS[name](make))
    assert faults


def test_s3_that_hangs_or_is_gone_is_unavailable_and_found_again(
    troubled_server: databases.Server,
) -> None:
    async def main() -> None:
        url = databases.s3_url(troubled_server.address)
        async with open_s3(url, "hangs", timeout_s=0.3) as store:
            await store.put("x", b"data")
            troubled_server.pause()
            try:
                await require_unavailable(store)
            finally:
                troubled_server.resume()
        async with open_s3(url, "hangs") as store:
            assert await store.get("x") == b"data"
            troubled_server.kill()
            await require_unavailable(store)
            troubled_server.start()
            assert await store.get("x") == b"data"

    run_real(main())


async def require_unavailable(store: S3BlobStore) -> None:
    with pytest.raises(Unavailable):
        await store.get("x")
    with pytest.raises(Unavailable):
        await store.get_range("x", 1, 2)
    with pytest.raises(Unavailable):
        await store.put("y", b"data")
    with pytest.raises(Unavailable):
        await store.delete("y")


# What is of object stores alone -------------------------------------------------------------------


def test_s3_blob_of_several_parts_comes_back_whole_and_in_ranges(url: str) -> None:
    async def main() -> None:
        data = bytes(range(256)) * (2 * PART_BYTES // 256) + b"end"
        async with open_s3(url, "parts", timeout_s=PATIENT_S) as store:
            await store.put("x", data)
            assert await store.get("x") == data
            assert await store.get_range("x", PART_BYTES - 2, 4) == b"\xfe\xff\x00\x01"
            assert await store.get_range("x", 2 * PART_BYTES, 9) == b"end"

    run_real(main())


def test_s3_blob_that_was_changed_is_noticed(url: str) -> None:
    async def main() -> None:
        async with open_s3(url, "changed") as store:
            await store.put("x", b"data")
            found = await obstore.head_async(store._reader, store._key("x"))
            assert found["size"] == 4
            crc = {"crc32": "00000000"}
            await obstore.put_async(store._writer, store._key("x"), b"dada", attributes=crc)
            with pytest.raises(Corrupt):
                await store.get("x")

    run_real(main())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (("blobs/some", "nowhere/some"), "NoSuchBucket"),
        (("region=us-east-1", "region=us-east-1&access_key_id=stranger"), "UserNotFound"),
        (("region=us-east-1", "region=us-east-1&secret_access_key=guess"), "refused"),
    ],
)
def test_s3_that_cannot_be_used_is_told_when_opened(
    wrong: tuple[str, str], reason: str, url: str
) -> None:
    async def main() -> None:
        with pytest.raises(Unavailable, match=reason):
            async with open_s3(url.replace(*wrong)):
                pass

    run_real(main())


def test_s3_with_tls_is_spoken_to_if_its_certificate_is_trusted(tmp_path: Path) -> None:
    cert, key = databases.make_certificate(tmp_path)

    async def main(url: str) -> None:
        async with open_s3(f"{url}&ca={cert}") as store:
            await store.put("x", b"data")
            assert await store.get("x") == b"data"
        with pytest.raises(Unavailable):
            async with open_s3(url):
                pass

    with obtained(lambda: databases.s3(f"--cert={cert}", f"--key={key}")) as server:
        run_real(main(databases.s3_url(server.address, "https")))


@pytest.mark.parametrize(
    "wrong", ["blobs", "ftp://blobs", "s3://blobs?colour=red", "s3://blobs?ca=/nowhere"]
)
def test_s3_url_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidRequest):
        S3BlobStore(wrong, "journal")


def test_s3_names_of_objects_are_safe_short_and_all_different() -> None:
    assert encoded("segment/12") == "segment/12"
    names = [
        "a",
        "a/b",
        "a/",
        "/a",
        "a//b",
        "a/_/b",
        ".",
        "..",
        "a.blob/b",
        "_",
        "ü",
        "a b",
        "a_20b",
    ]
    names += ["n" * 200, "雪" * 200, "雪" * 199 + "a"]
    keys = [f"{encoded(name)}.blob" for name in names]
    assert len({*keys}) == len(keys)
    for key in keys:
        assert len(key) <= KEY_CHARACTERS_MAX + len(".blob")
        assert "//" not in key
        assert not any(other.startswith(f"{key}/") for other in keys)


def test_s3_that_never_answers_is_given_up() -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await ended.wait()
            writer.close()

        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Unavailable):
                async with open_s3(databases.s3_url(f"127.0.0.1:{port}"), timeout_s=0.2):
                    pass
            ended.set()

    run_real(main())
