"""What a broker refused."""

from kio.schema.errors import ErrorCode


class BrokerRefused(Exception):
    """A broker answered with an error; the text says what, with Kafka's name of it."""

    def __init__(self, what: str, code: int, text: str | None = None) -> None:
        name = ErrorCode(code).name.upper()
        super().__init__(f"{what}: {text or 'the broker refused'} ({name})")
        self.code = ErrorCode(code)


def check(what: str, code: int, text: str | None = None) -> None:
    """Raise BrokerRefused unless a code says that all is well."""
    if code != ErrorCode.none:
        raise BrokerRefused(what, code, text)
