"""What was found in a data folder."""

from dataclasses import dataclass, field

from tidings.types import Offset, TopicPartition


@dataclass(slots=True)
class Report:
    """What was read, what is damaged, and which records cannot be read for it."""

    slot_count: int = 0
    blob_count: int = 0
    partition_count: int = 0
    damages: list[str] = field(default_factory=list)
    lost: dict[TopicPartition, list[tuple[Offset, Offset, str]]] = field(default_factory=dict)
    """Of each partition, the first and last offset of what cannot be read, and why; ascending."""
    orphan_count: int = 0
    """Sound blobs that nothing names: a crash leaves some, and they hurt nobody."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages and not self.lost

    def lose(self, name: TopicPartition, first: Offset, last: Offset, reason: str) -> None:
        """Note that records cannot be read; offsets come in ascending order."""
        ranges = self.lost.setdefault(name, [])
        if ranges and ranges[-1][1] + 1 == first and ranges[-1][2] == reason:
            first = ranges.pop()[0]
        ranges.append((first, last, reason))

    def lines(self) -> list[str]:
        """Return the report as text."""
        found = [f"DAMAGED  {damage}" for damage in self.damages]
        for (topic, partition), ranges in self.lost.items():
            found += [
                f"LOST     {topic} {partition}: offsets {first} to {last}: {reason}"
                for first, last, reason in ranges
            ]
        verdict = "sound" if self.is_sound else f"damaged in {len(self.damages)} places"
        read = (
            f"{self.slot_count} slots, {self.blob_count} blobs and the index of"
            f" {self.partition_count} partitions were read"
        )
        orphans = f"; named by nothing: {self.orphan_count} blobs" if self.orphan_count else ""
        return [*found, f"{verdict}: {read}{orphans}"]
