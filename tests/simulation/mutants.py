"""Planted bugs: one line each, put into a copy of the source. The simulator must catch them all."""

from mutants_of_upkeep import UPKEEP_MUTANTS
from planting import Mutant

PUBLISHER = "engine/publisher.py"
STATE = "core/state.py"
LANE = "engine/lane.py"
SUBMITTER = "engine/submitter.py"
JOURNAL = "engine/journal.py"
GOSSIP = "maelstrom/designs/gossip.py"
LISTS = "maelstrom/designs/offset_list.py"
NAIVE = "maelstrom/designs/naive.py"

MUTANTS = [
    *UPKEEP_MUTANTS,
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
        "sections are released twice",
        STATE,
        "known is None or known.collected_offset != operation.from_offset",
        "known is None",
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
        "the blob of a rewritten page goes with the page in which it was named",
        STATE,
        "            del self._open_blobs[blob.name]\n",
        "            pass\n",
    ),
    Mutant(
        "an orphan is collected that is about to be published",
        STATE,
        "        if not self.blob_numbers.take(origin, number, now_ms):\n",
        "        if not self.blob_numbers.take(origin, number, now_ms) and False:\n",
    ),
    Mutant(
        "a lane uses a number that was not reserved",
        LANE,
        "            if held is not None and number < held.end_number:\n",
        "            if True:\n",
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
