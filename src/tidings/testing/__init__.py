"""Tools to test what is built on Tidings, and Tidings itself; free of any test framework."""

TYPE_CHECKING = False  # as typing has it, which need not be imported for it

if TYPE_CHECKING:
    import os
    from contextlib import AbstractContextManager

    from tidings.testing.real_broker import RunningBroker


def broker(
    *,
    data: "str | os.PathLike[str] | None" = None,
    partitions: int = 1,
    auto_create_topics: bool = True,
) -> "AbstractContextManager[RunningBroker]":
    """Run a real broker in this process, for Kafka's clients, until the block ends.

    It listens on a free port of 127.0.0.1 and has a thread and an event loop of its own, so that
    many can run side by side. It keeps everything in memory, or in the folder `data`, and records
    of any age. `partitions` is for topics that are created without saying how many.

    Raises:
        Unavailable: Another process has the folder open, or it cannot be used.
    """
    # Who imports another part of this package must not wait for a broker.
    from tidings.testing.real_broker import running_broker  # noqa: PLC0415

    return running_broker(data, partitions=partitions, auto_create_topics=auto_create_topics)
