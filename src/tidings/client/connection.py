"""One connection to a broker: a request, then its response, in the newest version both know."""

import asyncio
import struct
from types import TracebackType

from tidings.client.errors import check
from tidings.errors import InvalidRequest, Unavailable
from tidings.kafka.codec import API_VERSIONS_KEY
from tidings.kafka.decoding import Cursor, reader_of
from tidings.kafka.encoding import encode
from tidings.kafka.schema import Entity, request_class, response_class

PATIENCE_S = 30.0
"""How long a broker may take to answer."""

RESPONSE_BYTES_MAX = 128 * 1024 * 1024

VERSIONS = {
    "api_versions": (0, 0),
    "create_topics": (2, 7),
    "delete_groups": (0, 2),
    "delete_topics": (1, 5),
    "describe_configs": (1, 4),
    "describe_groups": (0, 5),
    "fetch": (4, 12),
    "find_coordinator": (0, 3),
    "heartbeat": (0, 4),
    "init_producer_id": (0, 4),
    "join_group": (2, 7),
    "leave_group": (0, 5),
    "list_groups": (0, 4),
    "list_offsets": (1, 7),
    "metadata": (1, 12),
    "offset_commit": (2, 8),
    "offset_fetch": (1, 7),
    "produce": (3, 11),
    "sync_group": (0, 5),
}
"""The versions of each API that this client speaks: those that name topics by name."""

_CLIENT_ID = b"tidings"
_HEAD = struct.Struct(">hhih")
_SIZE = struct.Struct(">i")


class Connection:
    """A connection; made by `connect`. One request at a time."""

    def __init__(
        self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.address = address
        self._reader = reader
        self._writer = writer
        self._correlation_id = 0
        # Lowest and highest version that the broker serves, by the number of the API.
        self._served: dict[int, tuple[int, int]] = {API_VERSIONS_KEY: (0, 0)}
        self._turn = asyncio.Lock()

    async def ask(self, module: str, **values: object) -> Entity:
        """Ask, and return the response; `module` is kio's name of the API.

        Raises:
            Unavailable: The broker cannot be reached, or gives no answer in time.
            InvalidRequest: It does not serve a version of this API that we speak.
        """
        version = self._version(module)
        async with self._turn:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await self._ask(module, version, values)
            except TimeoutError:
                raise Unavailable(f"{self.address} gave no answer in {PATIENCE_S} s") from None
            except (OSError, asyncio.IncompleteReadError) as error:
                raise Unavailable(f"the connection to {self.address} was lost: {error}") from error

    async def learn_versions(self) -> None:
        """Ask which versions the broker serves; do so first."""
        response = await self.ask("api_versions")
        check("ApiVersions", response.error_code)
        for api in response.api_keys:
            self._served[api.api_key] = (api.min_version, api.max_version)

    def close(self) -> None:
        """Say no more."""
        self._writer.close()

    def _version(self, module: str) -> int:
        lowest, highest = VERSIONS[module]
        key = request_class(module, highest).__api_key__
        served = self._served.get(key, (1, 0))
        version = min(highest, served[1])
        if version < max(lowest, served[0]):
            raise InvalidRequest(
                f"{self.address} does not serve {module} in any version from {lowest} to {highest}"
            )
        return version

    async def _ask(self, module: str, version: int, values: dict[str, object]) -> Entity:
        request = request_class(module, version)
        self._correlation_id += 1
        head = _HEAD.pack(request.__api_key__, version, self._correlation_id, len(_CLIENT_ID))
        tags = b"\x00" if request.__flexible__ else b""
        frame = b"".join((head, _CLIENT_ID, tags, encode(request, values)))
        self._writer.write(_SIZE.pack(len(frame)) + frame)
        await self._writer.drain()
        (size,) = _SIZE.unpack(await self._reader.readexactly(_SIZE.size))
        if not _SIZE.size <= size <= RESPONSE_BYTES_MAX:
            raise Unavailable(f"{self.address} does not speak Kafka's protocol, or not in clear")
        data = await self._reader.readexactly(size)
        return self._decode(module, version, data)

    def _decode(self, module: str, version: int, data: bytes) -> Entity:
        (correlation_id,) = _SIZE.unpack_from(data)
        if correlation_id != self._correlation_id:
            raise Unavailable(f"{self.address} answers what was not asked")
        response = response_class(module, version)
        cursor = Cursor(data)
        try:
            cursor.take(_SIZE.size)
            if response.__flexible__ and response.__api_key__ != API_VERSIONS_KEY:
                cursor.skip_tagged()
            return reader_of(response)(cursor)
        except (InvalidRequest, ValueError, struct.error) as error:
            raise Unavailable(f"{self.address} gave no {module} response: {error}") from error

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()


async def connect(host: str, port: int) -> Connection:
    """Connect to a broker, and learn what it serves.

    Raises:
        Unavailable: It cannot be reached, or gives no answer in time.
    """
    address = f"{host}:{port}"
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"no broker can be reached at {address}: {error}") from error
    connection = Connection(address, reader, writer)
    try:
        await connection.learn_versions()
    except BaseException:
        connection.close()
        raise
    return connection
