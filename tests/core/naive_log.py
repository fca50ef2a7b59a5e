"""What the fold must be equal to, said as plainly as it can be: it forgets nothing."""

from tidings.core.entry import (
    Append,
    CommitOffsets,
    CreateTopic,
    DeleteRecords,
    DeleteTopic,
    Entry,
    InBlob,
    MarkPagesDurable,
    Operation,
)
from tidings.core.results import Done, Placed, Reason, RecordsDeleted, Refused, Result
from tidings.types import Offset, TopicPartition

Where = tuple[int, int, int] | InBlob
Batch = tuple[int, int, int]


class NaiveLog:
    """Takes only operations whose numbers are sound by themselves."""

    def __init__(self) -> None:
        self.slot = 0
        self.topics: dict[str, int] = {}
        self.records: dict[TopicPartition, list[Where]] = {}
        # Log start offsets.
        self.starts: dict[TopicPartition, int] = {}
        self.committed: dict[tuple[str, TopicPartition], int] = {}
        self.numbers: dict[str, int] = {}
        # Of each producer, by epoch: base sequence, record count, base offset.
        self.produced: dict[tuple[TopicPartition, int], dict[int, list[Batch]]] = {}
        self.durable = 0

    def apply(self, entry: Entry) -> list[list[Result] | None]:
        outcomes: list[list[Result] | None] = []
        for i, each in enumerate(entry.submissions):
            if each.number <= self.numbers.get(each.origin, 0) or self.slot > each.last_slot:
                outcomes.append(None)
                continue
            self.numbers[each.origin] = each.number
            outcomes.append(
                [self._do(op, (self.slot, i, j)) for j, op in enumerate(each.operations)]
            )
        self.slot += 1
        return outcomes

    def _do(self, operation: Operation, place: tuple[int, int, int]) -> Result:
        match operation:
            case CreateTopic(topic, count):
                before = self.topics.get(topic, 0)
                self.topics[topic] = before or count
                return Done(before == 0)
            case DeleteTopic(topic):
                return self._delete(topic)
            case DeleteRecords(name, before_offset):
                if name.partition >= self.topics.get(name.topic, 0):
                    return Refused(Reason.UNKNOWN_TOPIC_OR_PARTITION)
                if before_offset > len(self.records.get(name, [])):
                    return Refused(Reason.OFFSET_OUT_OF_RANGE)
                self.starts[name] = max(before_offset, self.starts.get(name, 0))
                return RecordsDeleted(Offset(self.starts[name]))
            case Append():
                return self._append(operation, place)
            case CommitOffsets(group, offsets, may_move_back):
                if any(name.partition >= self.topics.get(name.topic, 0) for name, _ in offsets):
                    return Refused(Reason.UNKNOWN_TOPIC_OR_PARTITION)
                changed = False
                for name, offset in offsets:
                    was = self.committed.get((group, name), -1)
                    self.committed[group, name] = offset if may_move_back else max(offset, was)
                    changed |= self.committed[group, name] != was
                return Done(changed)
            case other:
                assert isinstance(other, MarkPagesDurable)
                if other.page >= self.slot // 256:
                    return Refused(Reason.INVALID)
                was_durable, self.durable = self.durable, max(self.durable, other.page + 1)
                return Done(self.durable > was_durable)

    def _delete(self, topic: str) -> Result:
        if not self.topics.pop(topic, None):
            return Refused(Reason.UNKNOWN_TOPIC_OR_PARTITION)
        self.records = {name: held for name, held in self.records.items() if name.topic != topic}
        self.starts = {name: start for name, start in self.starts.items() if name.topic != topic}
        self.committed = {
            (group, name): offset
            for (group, name), offset in self.committed.items()
            if name.topic != topic
        }
        self.produced = {
            (name, number): batches
            for (name, number), batches in self.produced.items()
            if name.topic != topic
        }
        return Done()

    def _append(self, append: Append, place: tuple[int, int, int]) -> Result:
        if append.partition.partition >= self.topics.get(append.partition.topic, 0):
            return Refused(Reason.UNKNOWN_TOPIC_OR_PARTITION)
        records = self.records.setdefault(append.partition, [])
        if (stamp := append.producer) is not None:
            produced = self.produced.setdefault((append.partition, stamp.producer_id), {})
            if stamp.epoch < max(produced, default=0):
                return Refused(Reason.FENCED)
            placed = produced.get(stamp.epoch, [])
            for sequence, count, offset in placed[-5:]:
                if (sequence, count) == (stamp.base_sequence, append.record_count):
                    return Placed(Offset(offset), duplicate=True)
            expected = 0 if produced else stamp.base_sequence
            if placed:
                expected = (placed[-1][0] + placed[-1][1]) % 2**31
            if stamp.base_sequence != expected:
                return Refused(Reason.OUT_OF_ORDER_SEQUENCE)
            batch = (stamp.base_sequence, append.record_count, len(records))
            produced[stamp.epoch] = [*placed, batch]
        where = append.payload if isinstance(append.payload, InBlob) else place
        records += [where] * append.record_count
        return Placed(Offset(len(records) - append.record_count))
