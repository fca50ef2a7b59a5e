"""Planted bugs that only clusters of brokers can have, or that they must show as well."""

from planting import Mutant

from tidings.testing.cluster_plan import CLUSTER

COORDINATOR = "kafka/coordinator.py"
LIVE_GROUPS = "kafka/live_groups.py"
GROUPS = "core/groups.py"
GOSSIP = "engine/gossip.py"
LANE = "engine/lane.py"
JOINING = "kafka/cluster/joining.py"
OFFSETS = "kafka/handlers/offsets.py"
PRODUCERS = "core/producers.py"
ORPHANS = "engine/orphans.py"
PUBLISHER = "engine/publisher.py"

CLUSTER_MUTANTS = [
    # A hint of who leads, which is stale, is acted upon as if it were true.
    Mutant(
        "whoever takes another for the preferred publisher leaves publishing to it",
        LANE,
        "            self._publisher.offer(submission)\n        else:",
        "            self._gossip.forward(preferred, submission)\n        else:",
        CLUSTER,
    ),
    Mutant(
        "a broker that takes itself for the coordinator tells committed offsets from memory",
        OFFSETS,
        "        await broker.log.barrier()\n    except Unavailable as error:\n        return _not",
        '        if broker.brokers.preferred("group/readers") != broker.settings.node_id:\n'
        "            await broker.log.barrier()\n"
        "    except Unavailable as error:\n        return _not",
        CLUSTER,
    ),
    Mutant(
        "a publisher takes each slot for its own, as if nobody else published",
        PUBLISHER,
        "                        return held == data\n                    return ambiguous",
        "                        return True\n                    return ambiguous",
        CLUSTER,
    ),
    # A gap of the watch is ignored.
    Mutant(
        "what the watch tells is folded as if nothing had been missed",
        JOINING,
        "        journal.learn(slot, [entry])\n",
        "        journal.state.next_slot = max(journal.state.next_slot, slot)\n"
        "        journal.learn(slot, [entry])\n",
        CLUSTER,
    ),
    # A forwarded batch is applied twice.
    Mutant(
        "a forwarded submission is published as the receiver's own",
        GOSSIP,
        "                    publisher.offer(submission)\n",
        '                    origin = submission.origin + "+"\n'
        "                    publisher.offer(submission)\n"
        "                    publisher.offer(msgspec.structs.replace(submission, origin=origin))\n",
        CLUSTER,
    ),
    Mutant(
        "what an idempotent producer sends again is stored again",
        PRODUCERS,
        "                return batch\n",
        "                return None\n",
        CLUSTER,
    ),
    # A coordinator is not fenced.
    Mutant(
        "a commit through a coordinator that lost its group is accepted",
        GROUPS,
        "        return operation.version not in (ANY_VERSION, self._version(operation.group))\n",
        "        return False\n",
        CLUSTER,
    ),
    Mutant(
        "a coordinator says of no commit which version of the group it follows from",
        COORDINATOR,
        "                may_move_back=True,\n"
        "                details=details,\n"
        "                version=self._groups.version(group_id),\n",
        "                may_move_back=True,\n                details=details,\n",
        CLUSTER,
    ),
    Mutant(
        "a coordinator that lost its group saves it all the same",
        GROUPS,
        "        if operation.version != self._version(operation.group) + 1:\n",
        "        if False:\n",
        CLUSTER,
    ),
    Mutant(
        "a group answers before what it wants saved is durable",
        LIVE_GROUPS,
        "        live.effects.extend(effects)\n",
        "        for effect in effects:\n"
        "            if isinstance(effect, Answer):\n"
        "                self._wake(effect.ticket, effect.body)\n"
        "        live.effects.extend(effects)\n",
        CLUSTER,
    ),
    # An orphan is collected too early.
    Mutant(
        "an orphan is collected that is about to be published",
        ORPHANS,
        "        ranges = self._old_doomed()\n",
        "        held = self._journal.state.blob_numbers.reserved\n"
        "        ranges = self._old_doomed() + [\n"
        "            BlobRange(origin, each.next_number, each.end_number)\n"
        "            for origin, each in held.items()\n"
        "            if self._is_old(each.reserved_ms)\n"
        "        ]\n",
        CLUSTER,
    ),
]
