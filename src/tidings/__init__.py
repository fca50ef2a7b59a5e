"""A Kafka-style log that keeps nothing on its nodes."""

TYPE_CHECKING = False  # as typing has it, which need not be imported for it

if TYPE_CHECKING:
    import os
    from contextlib import AbstractAsyncContextManager

    from tidings.embedded import EmbeddedLog

__version__ = "0.1.0"


def open(  # noqa: A001 -- as of gzip and tarfile; nobody imports it by itself
    path_or_url: "str | os.PathLike[str]",
) -> "AbstractAsyncContextManager[EmbeddedLog]":
    """Open a log inside this process: `async with tidings.open("data") as log: …`.

    `"memory:"`, or a data folder, as a path or `file:` URL; docs/library.md has examples.

    Raises:
        Unavailable: Another process has the folder open, or it cannot be used.
        InvalidRequest: It is a folder of something else, or a URL that is not known.
        Corrupt: What is stored is damaged, or of a later version.
    """
    # A node of the challenge imports tidings, too, and must start fast.
    from tidings.embedded import open_log  # noqa: PLC0415

    return open_log(path_or_url)
