"""Index pages: the skew-binary spine (S1, S2) against the plain list of its sections."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import log2

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
    Section,
    SectionRef,
    Spine,
    decode_page,
    encode_page,
    find_tree,
    push_section,
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

    def find(self, offset: int) -> tuple[Section, int]:
        """Return the section that holds `offset`, and how many trees were looked at."""
        tree = find_tree(self.spine, Offset(offset))
        assert tree is not None
        steps = 1 + self.spine.index(tree)
        while offset < tree.start_offset:
            tree = step_down(self.sections[tree.page], Offset(offset))
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
        section, _ = pages.find(offset)
        assert section.entries[0].base_offset <= offset <= section.entries[-1].last_offset


@given(record_counts)
def test_s1_trees_cover_the_sealed_offsets_without_gap_or_overlap(counts: list[int]) -> None:
    pages = pages_of(counts)
    starts = [section.entries[0].base_offset for section in pages.sections.values()]
    assert sum(tree.weight for tree in pages.spine) == len(counts)
    position = len(counts)
    for tree in pages.spine:
        assert tree.start_offset == starts[position - 1]
        position -= tree.weight
        assert tree.low_offset == starts[position]


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
    steps = [pages.find(offset)[1] for offset in range(count)]
    assert max(steps) <= 2 * log2(count) + 2
    assert steps[-1] == 1


def test_push_of_a_third_section_joins_two_trees_of_equal_weight() -> None:
    pages = pages_of([10, 10, 10])
    newer, older = SectionRef(4, Offset(10), Offset(10), 1), SectionRef(1, Offset(0), Offset(0), 1)
    assert pages.spine == (SectionRef(7, Offset(20), Offset(0), 3),)
    assert pages.sections[7] == Section([index_entry(20, 29)], newer, older)


def test_find_tree_without_trees_returns_none() -> None:
    assert find_tree((), Offset(0)) is None


def test_s1_stepping_below_the_oldest_section_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="S1"):
        step_down(Section([index_entry(5)], None, None), Offset(4))


def test_s2_section_with_one_tree_below_it_is_a_bug() -> None:
    newer = SectionRef(0, Offset(0), Offset(0), 1)
    with pytest.raises(AssertionError, match="S2"):
        step_down(Section([index_entry(5)], newer, None), Offset(4))


def test_decode_of_an_encoded_page_returns_it() -> None:
    blob = IndexEntry(Offset(30), Offset(2**63 - 2), -5, InBlob("data/n0/1", 0, 2**40))
    inline = IndexEntry(Offset(29), Offset(29), 2**63, InEntry(Slot(2**40), 1, 2, 3))
    refs = [SectionRef(page, Offset(20), Offset(0), 3) for page in (4, 3)]
    page = Page(
        9,
        [
            PageSection(A, Section([inline, blob], refs[0], refs[1])),
            PageSection(B, Section([index_entry(0)], None, None)),
        ],
    )
    assert decode_page(encode_page(page)) == page


def test_decode_of_no_page_raises_corrupt() -> None:
    with pytest.raises(Corrupt):
        decode_page(b"C" + encode_page(Page(0, []))[1:])
