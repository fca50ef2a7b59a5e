#!/usr/bin/env python3
"""A node that does nothing but answer: it measures the workbench, not itself."""

import json
import sys
from typing import Any

REPLIES: dict[str, dict[str, Any]] = {
    "init": {"type": "init_ok"},
    "poll": {"type": "poll_ok", "msgs": {}},
    "commit_offsets": {"type": "commit_offsets_ok"},
    "list_committed_offsets": {"type": "list_committed_offsets_ok", "offsets": {}},
}

for number, line in enumerate(sys.stdin):
    message = json.loads(line)
    request = message["body"]
    body = REPLIES.get(request["type"], {"type": "send_ok", "offset": number})
    reply = {**body, "in_reply_to": request["msg_id"]}
    answer = {"src": message["dest"], "dest": message["src"], "body": reply}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
