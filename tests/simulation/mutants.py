"""Planted bugs: one line each, put into a copy of the source. The simulator must catch them all."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[2] / "src"

SEEDS_TIMEOUT_S = 1200.0
"""Only for a bug that spins without ever awaiting: the simulator itself ends every other run."""


class Mutant(NamedTuple):
    """A bug."""

    what: str
    file: str
    old: str
    """What stands in the file, exactly once."""
    new: str
    design: str = "journal"


PUBLISHER = "engine/publisher.py"
SUBMITTER = "engine/submitter.py"
LANE = "engine/lane.py"
JOURNAL = "engine/journal.py"
UPKEEP = "engine/upkeep.py"
READER = "engine/reader.py"
REWRITER = "engine/rewriter.py"
REWRITING = "core/rewriting.py"
ORPHANS = "engine/orphans.py"
NUMBERS = "core/blob_numbers.py"
STATE = "core/state.py"
GOSSIP = "maelstrom/designs/gossip.py"
LISTS = "maelstrom/designs/offset_list.py"
NAIVE = "maelstrom/designs/naive.py"

MUTANTS = [
    Mutant(
        "an append that got no answer is taken for done",
        PUBLISHER,
        "                    ambiguous = True\n",
        "                    self._journal.learn(slot, [data]); return True\n",
    ),
    Mutant(
        "an append that got no answer is taken for failed, and the next slot tried",
        PUBLISHER,
        "                    ambiguous = True\n",
        "                    self._journal.note_filled(slot); return False\n",
    ),
    Mutant(
        "an append is repeated changed",
        PUBLISHER,
        "                outcome = await self._append(slot, data)\n",
        '                data = encode_entry(Entry("x", 0, [])) if ambiguous else data\n'
        "                outcome = await self._append(slot, data)\n",
    ),
    Mutant(
        "a lost slot is taken for ours",
        PUBLISHER,
        "                        return held == data\n                    return ambiguous",
        "                        return True\n                    return ambiguous",
    ),
    Mutant(
        "a slot is skipped after a loss",
        PUBLISHER,
        "            losses += 1\n",
        "            losses += 1; self._journal.note_filled(Slot(slot + 1))\n",
    ),
    Mutant(
        "a submission is withdrawn before its slot is known to be filled",
        PUBLISHER,
        "            if await self._fill(slot, encode_entry(entry), entry):",
        "            if await self._fill(slot, encode_entry(entry), entry) or True:",
    ),
    Mutant(
        "a submission that is repeated is applied again",
        STATE,
        "if self.is_settled(origin, number) or not slot",
        "if not slot",
    ),
    Mutant(
        "an origin is forgotten while it may come again",
        STATE,
        "            if last_slot >= self.next_slot\n",
        "            if last_slot >= self.next_slot + 1000\n",
    ),
    Mutant(
        "a committed offset goes back",
        "core/groups.py",
        "and offset < before.offset and not operation.may_move_back",
        "and False",
    ),
    Mutant(
        "memory is pruned above what is durable",
        "core/partition.py",
        "min(below, self.durable_offset), key",
        "below, key",
    ),
    Mutant(
        "a checkpoint forgets the pages that are not known to be durable",
        "core/checkpoint.py",
        "        state.unwritten[page.number] = page\n",
        "",
    ),
    Mutant(
        "a checkpoint forgets committed offsets",
        "core/checkpoint.py",
        "Groups(checkpoint.groups)",
        "Groups()",
    ),
    Mutant(
        "a checkpoint forgets which submissions were applied",
        "core/checkpoint.py",
        "    state.origins = checkpoint.origins\n",
        "    state.origins = {}\n",
    ),
    Mutant(
        "a page is called durable though its segment was never stored",
        UPKEEP,
        "            if segment:\n",
        "            if segment and False:\n",
    ),
    Mutant(
        "entries are trimmed whose records are in no durable segment",
        UPKEEP,
        "Slot(min(checkpoint, state.durable_slot))",
        "state.next_slot",
    ),
    Mutant(
        "the index moves to segments in another order than the bytes",
        "core/segments.py",
        "    for part in page.sections:\n",
        "    for part in reversed(page.sections):\n",
    ),
    Mutant(
        "a reader that comes too late does not look again",
        "engine/reader.py",
        "                await self._journal.barrier()\n",
        "                raise\n",
    ),
    Mutant(
        "a checkpoint forgets where the open page begins",
        "core/checkpoint.py",
        "    state.open_page = checkpoint.open_page\n",
        "    state.open_page = checkpoint.durable_pages\n",
    ),
    Mutant(
        "a page is collected while one of its sections is alive",
        "core/collection.py",
        "            if not self.live_sections[page]:\n",
        "            if self.live_sections[page] <= 1:\n",
    ),
    Mutant(
        "sections are dead as soon as they are sealed",
        "core/partition.py",
        "return min(self.log_start_offset, self._sealed_offset)",
        "return self._sealed_offset",
    ),
    Mutant(
        "sections are released twice",
        STATE,
        "known is None or known.collected_offset != operation.from_offset",
        "known is None",
    ),
    Mutant(
        "a checkpoint forgets what was released",
        "core/checkpoint.py",
        "        partition.collected_offset = part.collected_offset\n",
        "",
    ),
    Mutant(
        "retention moves past a batch that it must keep",
        "engine/retention.py",
        "before, before_bytes = kept.base_offset,",
        "before, before_bytes = Offset(kept.last_offset + 1),",
    ),
    Mutant(
        "data blobs are deleted with the page before theirs",
        "engine/collector.py",
        "page = await self._reader.page(number)",
        "page = await self._reader.page(number + 1)",
    ),
    Mutant(
        "a blob is offered before it is durable",
        LANE,
        "            await self._put(name, data)\n",
        "            asyncio.get_running_loop().create_task(self._put(name, data))\n",
    ),
    Mutant(
        "a blob's name is used again",
        LANE,
        "            self._blob_number += 1\n",
        "            self._blob_number = 1\n",
    ),
    Mutant(
        "a submission that expired is answered as if it had been applied",
        LANE,
        "            if results is not None:\n                return results\n",
        "            return results or [Placed(Offset(0))] * len(operations)\n",
    ),
    Mutant(
        "a submission is made anew while the old one may still be applied",
        LANE,
        "        if slot >= outstanding.last_slot:\n",
        "        if slot >= outstanding.last_slot - 200:\n",
    ),
    Mutant(
        "numbers of submissions do not go up",
        LANE,
        "            self._number += 1\n",
        "            self._number = 1\n",
    ),
    Mutant(
        "results go to the wrong requests",
        SUBMITTER,
        "set_result(results[start:end])",
        "set_result(results[len(results) - end : len(results) - start])",
    ),
    Mutant(
        "entries are folded out of order",
        JOURNAL,
        "while (held := self._ahead.pop(self.state.next_slot, None)) is not None:",
        "while self._ahead and (held := self._ahead.pop(next(iter(self._ahead)))) is not None:",
    ),
    Mutant(
        "gossip's start is off by one",
        "engine/gossip.py",
        "            start = Slot(self._filled_here - len(batch))\n",
        "            start = Slot(self._filled_here - len(batch) + 1)\n",
    ),
    Mutant(
        "a barrier does not ask the store",
        JOURNAL,
        "_barrier_waiters, []\n            try:\n                await self.catch_up()\n",
        "_barrier_waiters, []\n            try:\n                pass\n",
    ),
    Mutant(
        "a gap is never closed",
        JOURNAL,
        "            if await self._read_on(count) < count:\n                return\n\n",
        "            await asyncio.sleep(count)\n",
    ),
    Mutant(
        "a checkpoint is named before it is stored",
        UPKEEP,
        "        await self._blobs.put(checkpoint_blob(slot), data)\n",
        "",
    ),
    Mutant(
        "a page is called durable before it is stored",
        UPKEEP,
        "        await self._blobs.put(page_blob(page.number), encode_page(page))\n",
        "",
    ),
    Mutant(
        "a segment is not stored before its page",
        UPKEEP,
        "                await self._blobs.put(segment_blob(page.number), segment)\n",
        "                pass\n",
    ),
    Mutant(
        "slots are trimmed whose pages are not durable",
        UPKEEP,
        "        below = Slot(min(checkpoint, state.durable_slot))\n",
        "        below = Slot(checkpoint)\n",
    ),
    Mutant(
        "slots are trimmed above the checkpoint",
        UPKEEP,
        "        below = Slot(min(checkpoint, state.durable_slot))\n",
        "        below = state.next_slot\n",
    ),
    Mutant(
        "the checkpoint that is named is deleted",
        ORPHANS,
        "            if self._deleted_below <= slot < named:\n",
        "            if self._deleted_below <= slot <= named:\n",
    ),
    Mutant(
        "an append that was refused is taken for done",
        PUBLISHER,
        "                self._hand_back(entry, error)\n",
        "                self._journal.learn(slot, [data]); return True\n",
    ),
    Mutant(
        "a submission is handed back though an append of it got no answer",
        PUBLISHER,
        "                if ambiguous:\n",
        "                if False:\n",
    ),
    Mutant(
        "a submission is handed back though another node was asked to publish it",
        LANE,
        "            self._publisher.offer(submission)\n        else",
        "            self._publisher.offer(submission, self._refused)\n        else",
    ),
    Mutant(
        "who submitted what was refused is not told",
        PUBLISHER,
        "                offer.refuse(error)\n",
        "                pass\n",
    ),
    Mutant(
        "a blob that was refused is named all the same",
        LANE,
        "                await backoff.pause()\n",
        "                return\n",
    ),
    Mutant(
        "data blobs of a dead page are left",
        "engine/collector.py",
        "for name in (*page.blobs, *page.former) if page is not None else ():",
        "for name in ():",
    ),
    Mutant(
        "a page is rewritten without a section that is alive",
        REWRITING,
        "part.section.entries[-1].last_offset >= ends[part.partition]",
        "part.section.entries[-1].last_offset > ends[part.partition]",
    ),
    Mutant(
        "a page is rewritten from what it was before it was rewritten last",
        "core/collection.py",
        "or self.rewritten.get(page) != operation.before:",
        "or False:",
    ),
    Mutant(
        "a page is rewritten again while blobs from before the last time are left",
        "core/collection.py",
        "size is None or page in self.unswept or ",
        "size is None or ",
    ),
    Mutant(
        "the bytes that are copied for a page are those of another batch",
        REWRITING,
        "        moved.append(entry)\n",
        "        moved.insert(0, entry)\n",
    ),
    Mutant(
        "blobs that a rewritten page still needs are deleted",
        REWRITING,
        "for name in (*held, document_blob) if name not in left]",
        "for name in (*held, document_blob)]",
    ),
    Mutant(
        "former blobs of a page are deleted before the journal says that it is rewritten",
        REWRITER,
        "        (result,) = await self._lane.see_through([operation])\n",
        "        for each in rewriting.page.former: await self._blobs.delete(each)\n"
        "        (result,) = await self._lane.see_through([operation])\n",
    ),
    Mutant(
        "former blobs of a page are forgotten before they are deleted",
        REWRITER,
        "                    await self._blobs.delete(former)\n",
        "                    pass\n",
    ),
    Mutant(
        "the blob of a rewritten page goes with the page in which it was named",
        STATE,
        "            del self._open_blobs[blob.name]\n",
        "            pass\n",
    ),
    Mutant(
        "a reader whose index is older than a rewriting takes batches for lost",
        READER,
        "                self._journal.state.forget_places(name)\n",
        "                pass\n",
    ),
    Mutant(
        "sections of a topic that is deleted are not kept when their page is rewritten",
        REWRITING,
        "            return each.collected_offset\n",
        "            return each.sealed_offset\n",
    ),
    Mutant(
        "pages are forgotten before their blobs are deleted",
        "engine/collector.py",
        "            await self._delete_page(page)\n",
        "            pass\n",
    ),
    Mutant(
        "deleted topics are not collected",
        "engine/collector.py",
        "list(state.collection.condemned)[:",
        "list(state.collection.condemned)[1:][:",
    ),
    Mutant(
        "an orphan is collected that is about to be published",
        STATE,
        "        if not self.blob_numbers.take(origin, number, now_ms):\n",
        "        if not self.blob_numbers.take(origin, number, now_ms) and False:\n",
    ),
    Mutant(
        "a blob is deleted before the fold has doomed its number",
        ORPHANS,
        "        ranges = self._old_doomed()\n",
        "        held = self._journal.state.blob_numbers.reserved\n"
        "        ranges = self._old_doomed() + [\n"
        "            BlobRange(origin, each.next_number, each.end_number)\n"
        "            for origin, each in held.items()\n"
        "            if self._is_old(each.reserved_ms)\n"
        "        ]\n",
    ),
    Mutant(
        "a lane uses a number that was not reserved",
        LANE,
        "            if held is not None and number < held.end_number:\n",
        "            if True:\n",
    ),
    Mutant(
        "doomed blobs are never deleted",
        ORPHANS,
        "                await self._blobs.delete(data_blob(numbers.origin, number))\n",
        "                pass\n",
    ),
    Mutant(
        "a number that its lane gave up is forgotten with its blob",
        NUMBERS,
        "        self._doom_below(origin, number, now_ms)\n        self._leave",
        "        self._leave",
    ),
    Mutant(
        "what a lane reserved before is forgotten with its blobs",
        NUMBERS,
        "        self._doom_below(wanted.origin, wanted.first_number, now_ms)\n",
        "",
    ),
    Mutant(
        "what nobody named is never doomed",
        ORPHANS,
        "            if self._is_old(each.reserved_ms)\n",
        "            if False\n",
    ),
    Mutant(
        "a checkpoint forgets which numbers are reserved",
        "core/checkpoint.py",
        "        checkpoint.blob_numbers,\n",
        "",
    ),
    Mutant(
        "checkpoints that are not named any more are left",
        ORPHANS,
        "                await self._blobs.delete(checkpoint_blob(slot))\n",
        "",
    ),
    Mutant(
        "an overtaken checkpoint is left by its writer",
        UPKEEP,
        "            await self._blobs.delete(checkpoint_blob(self._stored[0]))\n",
        "",
    ),
    Mutant(
        "a writer leaves its own late blob",
        LANE,
        "            # been stored after it was collected.\n            await self._delete(name)\n",
        "",
    ),
    Mutant(
        "a time-out is called definite",
        "maelstrom/node.py",
        "                ErrorCode.TIMEOUT, f",
        "                ErrorCode.TEMPORARILY_UNAVAILABLE, f",
    ),
    Mutant(
        "a poll of `gossip` steps over a hole",
        GOSSIP,
        "            records = gapless(wanted, await self._read(key, index, wanted))\n",
        "            found = await self._read(key, index, wanted)\n"
        "            records = [(offset, found[offset]) for offset in wanted if offset in found]\n",
        "gossip",
    ),
    Mutant(
        "a hole of `gossip` is settled without asking",
        GOSSIP,
        "                if await self._records.create(key, offset, TOMBSTONE):\n",
        "                if True:\n",
        "gossip",
    ),
    Mutant(
        "a record of `offset-list` that got no answer is stored at the next offset as well",
        LISTS,
        "                await backoff.pause()\n                continue\n            claim.offset",
        "                created = False\n            claim.offset",
        "offset-list",
    ),
    Mutant(
        "a poll of `offset-list` leaves out what its view does not show",
        LISTS,
        "message_records(gapless(wanted, found))",
        "message_records([(offset, found[offset]) for offset in wanted if offset in found])",
        "offset-list",
    ),
    Mutant(
        "an append of `naive` that got no answer is made again",
        NAIVE,
        "                if done:\n",
        "                if done and False:\n",
        "naive",
    ),
    Mutant(
        "a commit of the designs on lin-kv goes back",
        "maelstrom/committed_offsets.py",
        "while known is None or known < offset:",
        "while known is None or known != offset:",
        "naive",
    ),
]

PROGRAM = """
import sys
from tidings.testing.runs import draw_plan, simulate
for seed in range(int(sys.argv[2]), int(sys.argv[3])):
    if simulate(draw_plan(sys.argv[1], seed)).failure is not None:
        print(seed, flush=True)
        if len(sys.argv) > 4:
            break
"""


def plant(mutant: Mutant, directory: Path) -> None:
    """Make a copy of the source with the bug in it."""
    shutil.copytree(SOURCE, directory, ignore=shutil.ignore_patterns("__pycache__"))
    file = directory / "tidings" / mutant.file
    file.write_text(file.read_text().replace(mutant.old, mutant.new))


def failing_seeds(
    mutant: Mutant, seeds: range, directory: Path, *, stops_at_first: bool
) -> Sequence[int] | None:
    """Return the seeds in which a planted bug is caught; None if the runs do not end."""
    plant(mutant, directory)
    bounds = [str(seeds.start), str(seeds.stop)]
    arguments = [mutant.design, *bounds, *(["stop"] if stops_at_first else [])]
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            env={**os.environ, "PYTHONPATH": str(directory)},
            capture_output=True,
            text=True,
            check=True,
            timeout=SEEDS_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return None
    return [int(seed) for seed in done.stdout.split()]
