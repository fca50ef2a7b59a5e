"""Index pages: the skew-binary spine (S1, S2) against the plain list of its sections."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import log2

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.core.entry import InBlob
from tidings.core.pages import (
    PAGE_SLOTS,
    IndexEntry,
    InEntry,
    Page,
    PageSection,
    Reaches,
    Section,
    SectionRef,
    Spine,
    covers,
    decode_page,
    decode_section,
    encode_page,
    find_tree,
    push_section,
    split_page,
    step_down,
)
from tidings.errors import Corrupt
from tidings.types import Offset, Slot

from .building import A, B, index_entry


@dataclass
class Pages:
    """A partition's sections, pushed one by one, page numbers going up by more than one."""

    spine: Spine = ()
    sections: dict[int, Section] = field(default_factory=dict)
    end_offset: int = 0

    def push(self, record_count: int) -> None:
        page = 3 * len(self.sections) + 1
        entry = index_entry(self.end_offset, self.end_offset + record_count - 1)
        self.spine, self.sections[page] = push_section(self.spine, page, [entry])
        self.end_offset += record_count

    def find(self, reaches: Reaches) -> tuple[Section, int]:
        """Return the section of the first entry that reaches, and how many trees were looked at."""
        tree = find_tree(self.spine, reaches)
        assert tree is not None
        steps = len(self.spine) - self.spine.index(tree)
        while (child := step_down(self.sections[tree.page], reaches)) is not None:
            tree = child
            steps += 1
        return self.sections[tree.page], steps


record_counts = st.lists(st.integers(1, 5), max_size=80)


def pages_of(counts: list[int]) -> Pages:
    pages = Pages()
    for count in counts:
        pages.push(count)
    return pages


def test_page_slots_is_part_of_the_stored_format() -> None:
    assert PAGE_SLOTS == 256


@given(record_counts)
def test_s1_every_offset_is_found_in_the_section_that_holds_it(counts: list[int]) -> None:
    pages = pages_of(counts)
    for offset in range(pages.end_offset):
        section, _ = pages.find(covers(Offset(offset)))
        assert section.entries[0].base_offset <= offset <= section.entries[-1].last_offset


@given(record_counts)
def test_s1_trees_cover_the_sealed_offsets_without_gap_or_overlap(counts: list[int]) -> None:
    pages = pages_of(counts)
    ends = [section.entries[-1].last_offset for section in pages.sections.values()]
    assert sum(tree.weight for tree in pages.spine) == len(counts)
    position = len(counts)
    for tree in pages.spine:
        assert tree.last_offset == ends[position - 1]
        position -= tree.weight
    assert position == 0


def test_s2_weights_strictly_increase_except_for_the_first_two() -> None:
    pages = Pages()
    for _ in range(1000):
        pages.push(1)
        weights = [tree.weight for tree in pages.spine]
        assert weights[:1] <= weights[1:2] or len(weights) == 1
        assert all(newer < older for newer, older in pairwise(weights[1:]))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 127, 128, 1000])
def test_search_takes_a_logarithmic_number_of_steps(count: int) -> None:
    pages = pages_of([1] * count)
    steps = [pages.find(covers(Offset(offset)))[1] for offset in range(count)]
    assert max(steps) <= 2 * log2(count) + 2


def test_push_of_a_third_section_joins_two_trees_of_equal_weight() -> None:
    pages = pages_of([10, 10, 10])
    newer, older = SectionRef(4, Offset(19), 19, 20, 1), SectionRef(1, Offset(9), 9, 10, 1)
    assert pages.spine == (SectionRef(7, Offset(29), 29, 30, 3),)
    assert pages.sections[7] == Section([index_entry(20, 29)], newer, older)


def test_find_tree_without_trees_returns_none() -> None:
    assert find_tree((), covers(Offset(0))) is None


def test_find_tree_for_what_lies_beyond_all_returns_none() -> None:
    assert find_tree(pages_of([5]).spine, covers(Offset(5))) is None


@given(record_counts, st.data())
def test_search_by_any_measure_finds_the_first_section_that_reaches(
    counts: list[int], data: st.DataObject
) -> None:
    pages = pages_of(counts)
    ends = [section.entries[-1] for section in pages.sections.values()]
    measure = data.draw(st.sampled_from(["last_offset", "highest_ms", "end_bytes"]))
    least = data.draw(st.integers(0, pages.end_offset + 1))
    far_enough = [end for end in ends if getattr(end, measure) >= least]
    if far_enough:
        section, _ = pages.find(lambda part: getattr(part, measure) >= least)
        assert section.entries[-1] == far_enough[0]


def test_decode_of_an_encoded_page_returns_it() -> None:
    blob = IndexEntry(
        Offset(30), Offset(2**63 - 2), -5, InBlob("data/n0/1", 0, 2**40), -5, 2**63, 2**63 - 1
    )
    place = InEntry(Slot(2**40), 1, 2, 3)
    inline = IndexEntry(Offset(29), Offset(29), 2**63, place, 2**63, 2**63, 9)
    refs = [SectionRef(page, Offset(20), 2**63, 9, 3) for page in (4, 3)]
    page = Page(
        9,
        Slot(2**40),
        [
            PageSection(A, Section([inline, blob], refs[0], refs[1])),
            PageSection(B, Section([index_entry(0)], None, None)),
        ],
        ["data/n0/1"],
    )
    assert decode_page(encode_page(page)) == page
    sections = split_page(encode_page(page))
    assert {name: decode_section(stored) for name, stored in sections.items()} == {
        part.partition: part.section for part in page.sections
    }


def test_decode_of_no_page_raises_corrupt() -> None:
    with pytest.raises(Corrupt):
        decode_page(b"C" + encode_page(Page(0, Slot(9), [], []))[1:])
    with pytest.raises(Corrupt):
        split_page(b"")
    with pytest.raises(Corrupt):
        decode_section(msgspec.Raw(b"\x00"))
