"""What the judges share: who sent a message, which were polled, and each key's version order."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidings.checker.operations import Message, Operation
from tidings.checker.version_order import Log, VersionOrder, order_log


@dataclass(slots=True)
class Evidence:
    """A history, indexed."""

    operations: Sequence[Operation]
    """In the order in which they completed."""
    sender_of: dict[str, dict[Message, Operation]]
    """By key and message, the last operation that tried to send it."""
    polled: dict[str, dict[Message, None]]
    """By key, the messages that polls which ended ok returned."""
    orders: dict[str, VersionOrder]
    """By key; a key of which no offset was seen has none."""

    def took_effect(self, operation: Operation) -> bool:
        """Whether its sends are certainly in the log: it was acknowledged, or polled from."""
        return operation.type == "ok" or (
            operation.type == "info"
            and any(
                message in self.polled.get(key, ())
                for key, batch in operation.sends.items()
                for message in batch.messages
            )
        )

    def first_poll_of(self, key: str, message: Message) -> Operation | None:
        """Return the first operation that ended ok and polled the message; scans them all."""
        for operation in self.operations:
            batch = operation.polls.get(key)
            if batch is not None and operation.type == "ok" and message in batch.messages:
                return operation
        return None


def gather(operations: Sequence[Operation]) -> Evidence:
    """Index the operations."""
    evidence = Evidence(operations, _senders(operations), _polled(operations), {})
    logs: dict[str, Log] = {}
    for operation in operations:
        index = operation.completion.index
        for key, batch in operation.polls.items():
            logs.setdefault(key, Log()).learn(batch, index)
        if operation.sends and evidence.took_effect(operation):
            for key, batch in operation.sends.items():
                logs.setdefault(key, Log()).learn(batch, index)
    evidence.orders = {key: order_log(log) for key, log in logs.items() if log.message_at}
    return evidence


def _senders(operations: Sequence[Operation]) -> dict[str, dict[Message, Operation]]:
    sender_of: dict[str, dict[Message, Operation]] = {}
    for operation in operations:
        for key, batch in operation.sends.items():
            sender_of.setdefault(key, {}).update(dict.fromkeys(batch.messages, operation))
    return sender_of


def _polled(operations: Sequence[Operation]) -> dict[str, dict[Message, None]]:
    polled: dict[str, dict[Message, None]] = {}
    for operation in operations:
        if operation.type == "ok":
            for key, batch in operation.polls.items():
                polled.setdefault(key, {}).update(dict.fromkeys(batch.messages))
    return polled
