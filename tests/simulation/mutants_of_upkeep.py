"""Planted bugs in what keeps the journal small: pages, checkpoints, retention, collecting."""

from planting import Mutant

UPKEEP = "engine/upkeep.py"
READER = "engine/reader.py"
ORPHANS = "engine/orphans.py"
REWRITING = "core/rewriting.py"
REWRITER = "engine/rewriter.py"
NUMBERS = "core/blob_numbers.py"

UPKEEP_MUTANTS = [
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
]
