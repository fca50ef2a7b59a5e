"""The blob store in an object store: S3 and what speaks like it, Google's, Azure's, by URL.

Needs obstore: `pip install tidings[s3]`.

    <path of the URL>/<journal>/<name>.blob    a blob; its CRC-32 as metadata `crc32`

A name is kept readable: what is no ASCII letter, digit or hyphen, nor the slash between two parts,
becomes `_` and two hexadecimal digits for each of its bytes; a part without a character becomes
`_`. So no object's name is a folder of another's, which some servers could not store. One that
would be too long becomes `_long/` and its SHA-256.

Nothing is ever listed. A put is never repeated here, for an old one must not arrive after a delete;
whoever repeats it writes the same bytes again. Reads are repeated within their deadline.
"""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from tidings.errors import Corrupt, InvalidRequest, Unavailable
from tidings.ports import BlobStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

T = TypeVar("T")

SCHEMES = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "https")

TIMEOUT_S = 15.0
"""How long a call may take; there are blobs of 16 MiB and more."""

CONNECT_TIMEOUT_S = 3.0

ENDING_S = 0.05
"""How long the thread that brought the last answer has to leave Python. If the interpreter ended
before, that thread would abort the process (seen with asyncio's loop, not with uvloop)."""

READ_RETRIES_MAX = 3
"""How often a read that the server failed is repeated, if there is time."""

PART_BYTES = 8 * 1024 * 1024
"""Larger blobs are put in parts of this size, several at a time."""

PARTS_AT_A_TIME = 4

KEY_CHARACTERS_MAX = 400
"""Object stores take 1,024 bytes at least, with the path of the URL and the journal's name."""

_UNSAFE = re.compile(rb"[^A-Za-z0-9-]")
_CRC = "crc32"
_CODE = re.compile(r"<Code>(\w+)</Code>")
_MISSING = ("NoSuchKey", "BlobNotFound")
"""What servers say of an object that is not there. A bucket, an account or a key that is not there
is "not found" to them as well."""

_MISSES = (FileNotFoundError, NotFoundError)
_FAILURES = (BaseError, OSError)
"""The library raises Python's own errors where there are some."""

TOLD_CHARACTERS_MAX = 300


@asynccontextmanager
async def open_s3(
    url: str, journal: str = "journal", *, timeout_s: float = TIMEOUT_S
) -> AsyncIterator["S3BlobStore"]:
    """Open the blob store of a journal, and see that it answers.

    Args:
        url: `s3://bucket/path`, `gs://…`, `az://…`; options of obstore's may follow, such as
            `?region=eu-central-1&endpoint=https://127.0.0.1:9000`, and `ca=FILE`, which names who
            signed the server's certificate. Who this is stands in the environment, as the library
            takes it (AWS_ACCESS_KEY_ID and so on).
        journal: Its name is in every key.
        timeout_s: How long a call may take.

    Raises:
        InvalidRequest: The URL, or one of its options, means nothing here.
        Unavailable: Nobody answers, or lets this client in.
    """
    store = S3BlobStore(url, journal, timeout_s=timeout_s)
    try:
        await store.get("never put")
        yield store
    finally:
        await asyncio.sleep(ENDING_S)


class S3BlobStore:
    """The blobs of one journal. `open_s3` makes it."""

    can_delete = True

    def __init__(self, url: str, journal: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Connects when it is first used; see `open_s3`."""
        self._timeout_s = timeout_s
        self._prefix = encoded(journal)
        self._writer = _store(url, timeout_s, retries_max=0)
        self._reader = _store(url, timeout_s, retries_max=READ_RETRIES_MAX)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{encoded(name)}.blob"

    async def put(self, name: str, data: bytes) -> None:
        """See `BlobStore`."""
        await self._answer(
            lambda: obstore.put_async(
                self._writer,
                self._key(name),
                data,
                attributes={_CRC: f"{zlib.crc32(data):08x}"},
                use_multipart=len(data) > PART_BYTES,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_A_TIME,
            )
        )

    async def get(self, name: str) -> bytes | None:
        """See `BlobStore`."""

        async def get() -> bytes:
            found = await obstore.get_async(self._reader, self._key(name))
            data = bytes(await found.bytes_async())
            crc = found.attributes.get(_CRC, "")
            if crc and crc != f"{zlib.crc32(data):08x}":
                raise Corrupt(f"blob {name} is damaged: it fails its checksum")
            return data

        return await self._answer(get)

    async def get_range(self, name: str, position: int, size_bytes: int) -> bytes | None:
        """See `BlobStore`. The server reads only that part; there is no checksum of it."""

        async def get() -> bytes:
            try:
                return bytes(
                    await obstore.get_range_async(
                        self._reader, self._key(name), start=position, length=size_bytes
                    )
                )
            except _MISSES:
                raise
            except _FAILURES:
                # Servers refuse a range that begins where the blob ends.
                if position < (await obstore.head_async(self._reader, self._key(name)))["size"]:
                    raise
                return b""

        async def look() -> bytes:
            await obstore.head_async(self._reader, self._key(name))
            return b""

        return await self._answer(get if size_bytes else look)

    async def delete(self, name: str) -> None:
        """See `BlobStore`."""
        await self._answer(lambda: obstore.delete_async(self._writer, self._key(name)))

    async def _answer(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Make a call; return None if there is no such object.

        Raises:
            Unavailable: No answer in time, or a refusal.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call()
        except _MISSES as error:
            # A request for no bytes has an answer without any, which says no more.
            code = _CODE.search(str(error))
            if code and code[1] not in _MISSING:
                raise Unavailable(f"the object store says {code[1]}: {_told(error)}") from error
            return None
        except TimeoutError as error:
            raise Unavailable(
                f"the object store did not answer in {self._timeout_s:g} s"
            ) from error
        except _FAILURES as error:
            raise Unavailable(f"the object store refused, or is away: {_told(error)}") from error


def _told(error: Exception) -> str:
    return str(error)[:TOLD_CHARACTERS_MAX]


def encoded(name: str) -> str:
    """Return what stands for a name in an object's: see the module."""
    parts = [_UNSAFE.sub(_escape, part.encode()).decode() or "_" for part in name.split("/")]
    key = "/".join(parts)
    return key if len(key) <= KEY_CHARACTERS_MAX else f"_long/{sha256(name.encode()).hexdigest()}"


def _escape(found: re.Match[bytes]) -> bytes:
    return b"_%02X" % found[0][0]


def _store(url: str, timeout_s: float, *, retries_max: int) -> "ObjectStore":
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise InvalidRequest(f"{url!r} is no URL of an object store: s3://bucket/path, say")
    # Which options there are depends on whose store it is; the library knows.
    options: Any = dict(parse_qsl(parts.query, keep_blank_values=True))
    client: ClientConfig = {
        "timeout": timedelta(seconds=timeout_s),
        "connect_timeout": timedelta(seconds=min(timeout_s, CONNECT_TIMEOUT_S)),
        "allow_http": options.get("endpoint", "").startswith("http://"),
    }
    retries: RetryConfig = {
        "max_retries": retries_max,
        "retry_timeout": timedelta(seconds=timeout_s),
    }
    if ca := options.pop("ca", None):
        client["root_certificate"] = _read(ca)
    place = urlunsplit(parts._replace(query=""))
    try:
        store: ObjectStore = from_url(
            place, config=options, client_options=client, retry_config=retries
        )
    except (*_FAILURES, ValueError) as error:
        raise InvalidRequest(f"{url!r} cannot be used: {error}") from error
    return store


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error


_blob_store: type[BlobStore] = S3BlobStore
