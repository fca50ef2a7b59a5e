"""Rewriting pages: T2 and E3, what is copied and what stays, and who is too late."""

from copy import deepcopy

from msgspec.structs import replace

from tidings.core.blob_numbers import data_blob
from tidings.core.checkpoint import (
    decode_checkpoint,
    encode_checkpoint,
    restore_checkpoint,
    take_checkpoint,
)
from tidings.core.collection import PageSize
from tidings.core.entry import (
    Append,
    BlobRange,
    DeleteRecords,
    DeleteTopic,
    ForgetFormerBlobs,
    ForgetPages,
    InBlob,
    Inline,
    MarkPagesDurable,
    ReleaseSections,
    ReserveBlobs,
    RewritePage,
)
from tidings.core.pages import (
    ENTRY_BYTES,
    Page,
    PageFormat,
    PageSection,
    decode_page,
    encode_page,
    stored_size,
)
from tidings.core.results import Done, Reason, Refused
from tidings.core.rewriting import (
    OWN_BLOB,
    call_own_blob_in_page,
    rewrite,
    unreleased_sections,
)
from tidings.core.segments import move_to_segment, segment_blob
from tidings.core.state import State
from tidings.types import Offset, TopicPartition

from .building import A, B, apply, batch, create, fold, fold_until, submission, topic_id_of

FORMAT = PageFormat(10, 1000, 1000, has_segments=True)
INVALID = Refused(Reason.INVALID)
UNCHANGED = Done(changed=False)
ORIGIN = "n0/1.9"
LARGE = data_blob("n0/2", 1)
SHARED = data_blob("n0/2", 2)


def a_page() -> tuple[State, Page]:
    """Return a durable page, and the state after it.

    Of `a` it holds 3 bytes in the segment, 10 of one blob and 60 of another, of which `b` has 40;
    of `b` 3 in the segment as well.
    """
    state = State(FORMAT)
    fold(state, create("a"), create("b"), ReserveBlobs(BlobRange("n0/2", 1, 3)))
    fold(state, batch(A, data=b"123"), batch(B, data=b"456"))
    large = submission(Append(A, 1, InBlob(LARGE, 0, 10)), origin="n0/2", number=1)
    both = [Append(A, 1, InBlob(SHARED, 0, 60)), Append(B, 1, InBlob(SHARED, 60, 40))]
    apply(state, replace(large, blob_number=1))
    apply(state, replace(large, operations=both, number=2, blob_number=2))
    fold_until(state, 10)
    page = move_to_segment(state.unwritten[0])
    fold(state, MarkPagesDurable(0))
    return state, page


def release(state: State, page: Page, name: TopicPartition, *, condemned: int = -1) -> None:
    """Delete and release the section of a partition."""
    (section,) = (part.section for part in page.sections if part.partition == name)
    end = Offset(section.entries[-1].last_offset + 1)
    topic_id = topic_id_of(name.topic)
    fold(state, DeleteRecords(name, end, section.entries[-1].end_bytes, topic_id))
    size = stored_size(section.entries)
    operation = ReleaseSections(name, topic_id, condemned, Offset(0), end, [page.number], [size])
    assert fold(state, operation) == [Done()]


def named(state: State, operation: RewritePage, number: int) -> list[object]:
    """Fold a rewriting whose blob has a number that is reserved."""
    fold(state, ReserveBlobs(BlobRange(ORIGIN, number, number + 1)))
    operation = replace(operation, blob=InBlob(data_blob(ORIGIN, number), 0, 100))
    lone = submission(operation, origin=ORIGIN, number=number, last_slot=state.next_slot)
    (results,) = apply(state, replace(lone, blob_number=number))
    return list(results or [])


def names_in(sections: list[PageSection]) -> list[TopicPartition]:
    return [part.partition for part in sections]


REWRITTEN = RewritePage(0, None, InBlob("", 0, 100), 40, 200)


def test_what_a_page_takes_is_known_and_goes_down_with_each_release() -> None:
    state, page = a_page()
    taken = 3 + 3 + 10 + 100 + 5 * ENTRY_BYTES
    assert state.collection.sizes == {0: PageSize(taken, taken)}
    release(state, page, A)
    assert state.collection.sizes == {0: PageSize(3 + 40 + 2 * ENTRY_BYTES, taken)}
    release(state, page, B)
    assert state.collection.sizes == {}


def test_record_bytes_of_a_topic_that_was_deleted_count_as_dead() -> None:
    state = State(FORMAT)
    fold(state, create("a"), create("b"), batch(A, data=b"123"), batch(B, data=b"456"))
    fold(state, DeleteTopic("b"))
    fold_until(state, 10)
    assert state.collection.sizes == {0: PageSize(3 + ENTRY_BYTES, 6 + 2 * ENTRY_BYTES)}


def test_t2_only_sections_that_are_not_released_are_kept() -> None:
    state, page = a_page()
    assert unreleased_sections(state, page) == page.sections
    release(state, page, A)
    assert names_in(unreleased_sections(state, page)) == [B]


def test_sections_of_a_deleted_topic_are_kept_until_they_are_released() -> None:
    state, page = a_page()
    fold(state, DeleteTopic("a"), create("a"))
    fold(state, batch(A))
    assert names_in(unreleased_sections(state, page)) == [A, B]
    fold(state, ReleaseSections(A, b"", 0, Offset(0), Offset(3), [0]))
    assert names_in(unreleased_sections(state, page)) == [B]


def test_each_of_several_topics_of_one_name_has_its_own_sections() -> None:
    state, first = a_page()
    fold(state, DeleteTopic("a"), create("a"), batch(A))
    fold_until(state, 20)
    second = move_to_segment(state.unwritten[1])
    fold(state, MarkPagesDurable(1), DeleteTopic("a"))
    release_first = ReleaseSections(A, b"", 0, Offset(0), Offset(3), [0])
    release_second = ReleaseSections(A, b"", 1, Offset(0), Offset(1), [1])
    for operation, left in ((release_second, ([A, B], [])), (release_first, ([B], [A]))):
        other = deepcopy(state)
        assert fold(other, operation) == [Done()]
        assert names_in(unreleased_sections(other, first)) == left[0]
        assert names_in(unreleased_sections(other, second)) == left[1]


def test_blobs_that_are_mostly_dead_are_copied_and_the_others_stay() -> None:
    state, page = a_page()
    release(state, page, B)
    rewriting = rewrite(
        page, unreleased_sections(state, page), "index/0", live_share=0.5, copied_bytes_max=1000
    )
    (part,) = rewriting.page.sections
    places = [entry.where for entry in part.section.entries]
    # Half of the segment is dead, so it is copied; of the shared blob less than half is.
    assert places == [InBlob(OWN_BLOB, 0, 3), InBlob(LARGE, 0, 10), InBlob(SHARED, 0, 60)]
    assert [entry.base_offset for entry in rewriting.moved] == [0]
    assert rewriting.moved[0].where == InBlob(segment_blob(0), 0, 3)
    assert rewriting.page.blobs == [LARGE, SHARED, OWN_BLOB]
    assert rewriting.page.blob_bytes == [10, 100, 3]
    assert rewriting.page.former == [segment_blob(0), "index/0"]
    assert rewriting.stored_bytes == 10 + 100 + 3 + 3 * ENTRY_BYTES


def test_blobs_of_which_all_is_needed_are_never_copied() -> None:
    state, page = a_page()
    release(state, page, B)
    kept = unreleased_sections(state, page)
    rewriting = rewrite(page, kept, "index/0", live_share=1.0, copied_bytes_max=1000)
    assert rewriting.page.blobs == [LARGE, OWN_BLOB]
    assert rewriting.page.blob_bytes == [10, 63]


def test_blobs_that_nobody_needs_go() -> None:
    state, page = a_page()
    release(state, page, A)
    rewriting = rewrite(
        page, unreleased_sections(state, page), "index/0", live_share=0.5, copied_bytes_max=1000
    )
    assert rewriting.page.blobs == [OWN_BLOB]
    assert rewriting.page.blob_bytes == [43]
    assert rewriting.page.former == [LARGE, SHARED, segment_blob(0), "index/0"]
    assert rewriting.stored_bytes == 43 + 2 * ENTRY_BYTES


def test_no_more_is_copied_than_allowed_but_one_blob_in_any_case() -> None:
    state, page = a_page()
    release(state, page, A)
    kept = unreleased_sections(state, page)
    rewriting = rewrite(page, kept, "index/0", live_share=0.5, copied_bytes_max=1)
    assert [entry.where for entry in rewriting.moved] == [InBlob(segment_blob(0), 3, 3)]
    assert rewriting.page.blobs == [SHARED, OWN_BLOB]
    assert rewriting.page.blob_bytes == [100, 3]
    stored = call_own_blob_in_page(rewriting.page, "data/x")
    again = rewrite(stored, stored.sections, "data/x", live_share=0.5, copied_bytes_max=1)
    assert [entry.where for entry in again.moved] == [InBlob(SHARED, 60, 40)]
    assert again.page.blobs == ["data/x", OWN_BLOB]
    assert again.page.former == [SHARED]


def test_page_that_is_rewritten_twice_lets_go_of_its_first_document() -> None:
    state, page = a_page()
    release(state, page, A)
    first = rewrite(
        page, unreleased_sections(state, page), "index/0", live_share=0.5, copied_bytes_max=1000
    )
    stored = call_own_blob_in_page(decode_page(encode_page(first.page)), "data/x")
    (part,) = stored.sections
    # As if the other batch had died meanwhile.
    section = replace(part.section, entries=part.section.entries[:1])
    again = rewrite(
        stored, [PageSection(B, section)], "data/x", live_share=0.5, copied_bytes_max=1000
    )
    assert [entry.where for entry in again.moved] == [InBlob("data/x", 0, 3)]
    assert again.page.former == ["data/x"]


def test_rewriting_is_remembered_with_what_is_left_to_delete() -> None:
    state, page = a_page()
    release(state, page, A)
    live = state.collection.sizes[0].live
    assert named(state, REWRITTEN, 1) == [Done()]
    document = InBlob(data_blob(ORIGIN, 1), 40, 60)
    assert state.collection.rewritten == {0: document}
    assert state.collection.unswept == [0]
    assert state.collection.sizes == {0: PageSize(live, 200)}
    fold_until(state, 20)
    # It is not of the page in which it was named, so it does not go with that.
    assert state.unwritten[1].blobs == []
    restored = restore_checkpoint(decode_checkpoint(encode_checkpoint(take_checkpoint(state))))
    assert restored.collection == state.collection


def test_e3_rewriting_that_is_too_late_changes_nothing() -> None:
    state, page = a_page()
    release(state, page, A)
    assert named(state, REWRITTEN, 1) == [Done()]
    first = state.collection.rewritten[0]
    assert named(state, REWRITTEN, 2) == [UNCHANGED]
    # From what it is now, but not swept.
    assert named(state, replace(REWRITTEN, before=first), 3) == [UNCHANGED]
    assert fold(state, ForgetFormerBlobs({0: "data/other"})) == [UNCHANGED]
    assert fold(state, ForgetFormerBlobs({0: first.name, 7: "data/other"})) == [Done()]
    assert state.collection.unswept == []
    # From what it was.
    assert named(state, REWRITTEN, 4) == [UNCHANGED]
    assert named(state, replace(REWRITTEN, before=first), 5) == [Done()]
    fold_until(state, 30)
    # The blobs of those that were too late go with the pages in which they were named.
    named_blobs = [*state.unwritten[1].blobs, *state.unwritten[2].blobs]
    assert named_blobs == [data_blob(ORIGIN, number) for number in (2, 3, 4)]
    assert state.collection.rewritten[0].name == data_blob(ORIGIN, 5)


def test_page_that_died_is_not_rewritten_and_forgets_that_it_was() -> None:
    state, page = a_page()
    release(state, page, A)
    assert named(state, REWRITTEN, 1) == [Done()]
    before = state.collection.rewritten[0]
    release(state, page, B)
    assert state.collection.dead_pages == [0]
    assert named(state, replace(REWRITTEN, before=before), 2) == [UNCHANGED]
    assert state.collection.rewritten == {0: before}
    assert fold(state, ForgetPages([0])) == [Done()]
    assert state.collection.rewritten == {}
    assert state.collection.unswept == []


def test_rewriting_that_makes_no_sense_is_refused() -> None:
    state, page = a_page()
    release(state, page, A)
    assert named(state, replace(REWRITTEN, page=1), 1) == [INVALID]
    assert named(state, replace(REWRITTEN, document_position=100), 2) == [INVALID]
    assert fold(state, replace(REWRITTEN, blob=InBlob("", 0, 100))) == [INVALID]
    assert fold(state, replace(REWRITTEN, blob=Inline(b"x"))) == [INVALID]
    assert state.collection.rewritten == {}


def test_release_with_another_number_of_sizes_than_pages_is_refused() -> None:
    state, _ = a_page()
    operation = ReleaseSections(A, topic_id_of("a"), -1, Offset(0), Offset(1), [0], [1, 1])
    assert fold(state, operation) == [INVALID]
