"""The journal folded once more, and what must follow from it for consumer groups.

Y4  of a group, a commit takes effect only if who decided on it knew the newest document, and so
    does a document that takes the place of another; generations do not go back;
Y5  a commit that takes effect never moves an offset of a group back: members of one generation read
    forward, and whoever is next begins where they ended.
"""

from tidings.core.entry import CommitOffsets, Operation, SaveGroup
from tidings.core.membership.document import decode_group
from tidings.core.pages import PageFormat
from tidings.core.results import Done, Reason, Refused, Result
from tidings.testing.reference import Reference
from tidings.testing.storage import Storage
from tidings.testing.trace import Trace
from tidings.types import Offset, TopicPartition


class GroupReference(Reference):
    """See `Reference`."""

    def __init__(self, storage: Storage, trace: Trace, page_format: PageFormat) -> None:
        super().__init__(storage, trace, page_format)
        # Of each group: version and generation of its document, and its offsets.
        self._documents: dict[str, tuple[int, int]] = {}
        self._offsets: dict[tuple[str, TopicPartition], Offset] = {}

    def _check_operation(self, operation: Operation, result: Result, page: int) -> None:
        super()._check_operation(operation, result, page)
        match operation, result:
            case SaveGroup(), Done():
                self._check_save(operation)
            case CommitOffsets(), Done():
                self._check_commit(operation)
            case SaveGroup(), Refused(Reason.FENCED):
                self._trace.count("save fenced")
            case CommitOffsets(), Refused(Reason.FENCED):
                self._trace.count("commit fenced")
            case _:
                pass

    def _check_save(self, operation: SaveGroup) -> None:
        version, generation = self._documents.get(operation.group, (0, 0))
        assert operation.version == version + 1, (
            f"Y4: version {operation.version} of a group was saved on top of {version}"
        )
        new = decode_group(operation.document).generation
        assert new >= generation, f"Y4: generation {new} of a group follows {generation}"
        self._documents[operation.group] = version + 1, new

    def _check_commit(self, operation: CommitOffsets) -> None:
        version, _ = self._documents.get(operation.group, (0, 0))
        assert operation.version == version, (
            f"Y4: a commit that follows from version {operation.version} took effect at {version}"
        )
        for name, offset in operation.offsets:
            before = self._offsets.get((operation.group, name), 0)
            assert offset >= before, f"Y5: {name} went back from {before} to {offset}"
            self._offsets[operation.group, name] = offset
