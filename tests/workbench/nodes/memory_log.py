#!/usr/bin/env python3
"""A correct log on a single node, in memory; or, with an argument N, one that loses.

With N every N-th message is acknowledged and forgotten.
"""

import itertools
import json
import sys
from typing import Any

LOSE_EVERY = int(sys.argv[1]) if len(sys.argv) > 1 else 0

Body = dict[str, Any]
sends = itertools.count(1)
logs: dict[str, list[list[Any]]] = {}
committed: dict[str, int] = {}


def send(body: Body) -> Body:
    log = logs.setdefault(body["key"], [])
    offset = len(log)
    is_lost = next(sends) % LOSE_EVERY == 0 if LOSE_EVERY else False
    log.append([] if is_lost else [offset, body["msg"]])
    return {"type": "send_ok", "offset": offset}


def poll(body: Body) -> Body:
    messages = {
        key: [kept for kept in logs.get(key, [])[offset:] if kept]
        for key, offset in body["offsets"].items()
    }
    return {"type": "poll_ok", "msgs": messages}


def commit_offsets(body: Body) -> Body:
    for key, offset in body["offsets"].items():
        committed[key] = max(offset, committed.get(key, 0))
    return {"type": "commit_offsets_ok"}


def list_committed_offsets(body: Body) -> Body:
    known = {key: committed[key] for key in body["keys"] if key in committed}
    return {"type": "list_committed_offsets_ok", "offsets": known}


def init(_: Body) -> Body:
    return {"type": "init_ok"}


HANDLERS = {
    "init": init,
    "send": send,
    "poll": poll,
    "commit_offsets": commit_offsets,
    "list_committed_offsets": list_committed_offsets,
}

for line in sys.stdin:
    message = json.loads(line)
    request = message["body"]
    reply = {**HANDLERS[request["type"]](request), "in_reply_to": request["msg_id"]}
    answer = {"src": message["dest"], "dest": message["src"], "body": reply}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
