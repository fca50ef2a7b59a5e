"""What must hold of a consumer group, as its members see it.

Y1  in one generation a partition has one owner;
Y2  a commit is accepted only in the newest generation: not when it was asked for after a later one
    had been given out;
Y3  a committed offset that is told is not below one that was acknowledged, or told, before it was
    asked for, nor above all that anybody tried to commit.
"""

from collections.abc import Iterable, Mapping

from tidings.testing.trace import Trace


class GroupJudge:
    """Is told what members are told."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        # Of each generation and partition, who was told that it owns it.
        self._owners: dict[tuple[int, int], str] = {}
        # The highest generation of which a member was told what it owns.
        self.newest = 0
        # By partition: the highest offset that is committed for sure, and that was tried.
        self.known: dict[int, int] = {}
        self._tried: dict[int, int] = {}

    def owns(self, member: str, generation: int, partitions: Iterable[int]) -> None:
        """Take what a member was told to own."""
        self._trace.count("assigned")
        self._trace.add(member, "assigned", f"generation {generation}: {list(partitions)}")
        self.newest = max(self.newest, generation)
        for partition in partitions:
            owner = self._owners.setdefault((generation, partition), member)
            assert owner == member, (
                f"Y1: {owner} and {member} own partition {partition} in generation {generation}"
            )

    def tries(self, offsets: Mapping[int, int]) -> None:
        """Take what a member is about to commit."""
        for partition, offset in offsets.items():
            self._tried[partition] = max(offset, self._tried.get(partition, 0))

    def committed(
        self, member: str, generation: int, offsets: Mapping[int, int], newest: int
    ) -> None:
        """Take what was acknowledged; `newest` is the newest generation when it was asked for."""
        self._trace.count("commit")
        self._trace.add(member, "commits", f"generation {generation}: {offsets}")
        assert generation >= newest, (
            f"Y2: {member} committed in generation {generation} when {newest} had owners"
        )
        for partition, offset in offsets.items():
            self.known[partition] = max(offset, self.known.get(partition, 0))

    def told(self, who: str, offsets: Mapping[int, int], floor: Mapping[int, int]) -> None:
        """Take what was told; `floor` is what was known when it was asked for."""
        self._trace.count("offset fetch")
        self._trace.add(who, "told", offsets)
        for partition, offset in offsets.items():
            low, high = floor.get(partition, 0), self._tried.get(partition, 0)
            assert low <= offset <= high, (
                f"Y3: {who} was told {offset} of partition {partition}; {low} was committed, "
                f"and {high} is the highest that was tried"
            )
            self.known[partition] = max(offset, self.known.get(partition, 0))
