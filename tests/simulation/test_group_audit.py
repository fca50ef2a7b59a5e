"""What the audit of a journal takes for wrong with consumer groups."""

import pytest

from tidings.core.entry import ANY_VERSION, CommitOffsets, Operation, SaveGroup
from tidings.core.membership.document import GroupDocument, encode_group
from tidings.core.results import Done, Reason, Refused, Result
from tidings.testing.cluster_plan import ClusterPlan
from tidings.testing.group_audit import GroupReference
from tidings.testing.storage import MemoryStorage
from tidings.testing.trace import Trace
from tidings.types import Offset, TopicPartition

A = TopicPartition("log", 0)


def save(version: int, generation: int) -> SaveGroup:
    document = GroupDocument(generation, "", None, None, is_assigned=False, members=[])
    return SaveGroup("g", version, encode_group(document))


def commit(version: int, offset: int) -> CommitOffsets:
    return CommitOffsets("g", [(A, Offset(offset))], may_move_back=True, version=version)


def audit(*operations: tuple[Operation, Result]) -> None:
    plan = ClusterPlan(design="cluster", seed=1)
    reference = GroupReference(MemoryStorage(plan), Trace(is_kept=False), plan.page_format)
    for operation, result in operations:
        reference._check_operation(operation, result, 0)


FIRST = (save(1, 1), Done())


def test_group_whose_documents_and_commits_follow_each_other_is_right() -> None:
    refused = Refused(Reason.FENCED)
    audit(FIRST, (commit(1, 5), Done()), (save(1, 9), refused), (commit(0, 1), refused))
    audit(FIRST, (commit(1, 5), Done()), (save(2, 2), Done()), (commit(2, 5), Done()))


@pytest.mark.parametrize("version", [0, 2, ANY_VERSION])
def test_y4_commit_of_another_version_that_takes_effect_is_found(version: int) -> None:
    with pytest.raises(AssertionError, match=f"Y4: a commit that follows from version {version}"):
        audit(FIRST, (commit(version, 5), Done()))


@pytest.mark.parametrize("version", [1, 3])
def test_y4_document_that_does_not_follow_is_found(version: int) -> None:
    with pytest.raises(AssertionError, match=f"Y4: version {version} of a group"):
        audit(FIRST, (save(version, 2), Done()))


def test_y4_generation_that_goes_back_is_found() -> None:
    with pytest.raises(AssertionError, match="Y4: generation 1 of a group follows 2"):
        audit((save(1, 2), Done()), (save(2, 1), Done()))


def test_y5_committed_offset_that_goes_back_is_found() -> None:
    with pytest.raises(AssertionError, match=r"Y5: .* went back from 5 to 4"):
        audit(FIRST, (commit(1, 5), Done()), (save(2, 2), Done()), (commit(2, 4), Done()))
