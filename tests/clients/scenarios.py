"""What every client does with a broker, and what it has to see. The same for each language.

A client is a program:

    PROGRAM run HOST:PORT PREFIX SCENARIO…     carries out scenarios; the topic is PREFIX-SCENARIO
    PROGRAM member HOST:PORT TOPIC GROUP       is a member of a group until its input ends

`run` prints a line of JSON for each scenario: {"scenario": …} with "observed", "error", or
"unsupported" (a reason). `member` prints {"assigned": [partitions]} after each rebalance, {"read":
[values]} for what it read and committed, and {"left": true} when it has left.

Records are k0:v0 to k9:v9, one second apart from 1,000,000 ms on. Errors are observed as Kafka's
codes. Whatever is observed here was observed of Apache Kafka 4.2: compare.py asks it again.
"""

from tidings.types import Json

_ALL = [f"v{number}" for number in range(10)]

_PRODUCED: Json = {"offsets": list(range(10)), "read": _ALL}

EXPECTED: dict[str, Json] = {
    "produce-none": _PRODUCED,
    "produce-gzip": _PRODUCED,
    "produce-snappy": _PRODUCED,
    "produce-lz4": _PRODUCED,
    "produce-zstd": _PRODUCED,
    # No key; a tombstone; empty key and value, with two headers of one name.
    "records": {
        "records": [
            {"key": None, "value": "no key", "timestamp": 1234567, "headers": []},
            {"key": "gone", "value": None, "timestamp": 1234567, "headers": []},
            {"key": "", "value": "", "timestamp": 1234567, "headers": [["h", "1"], ["h", "2"]]},
        ]
    },
    "earliest": {"read": _ALL},
    "offset": {"read": ["v7", "v8", "v9"]},
    # One record is produced after the client has gone to the end.
    "latest": {"end": 10, "read": ["new"]},
    # Offsets for 0, 1,002,500, 1,009,000 and 9,999,999 ms; and the value where a reader begins that
    # goes to the second.
    "timestamp": {"offsets": [0, 3, 9, None], "first": "v3"},
    # Ten requests, one after the other, by an idempotent producer; through a proxy that cuts
    # connections before the answer, in some tests.
    "idempotent": {"read": _ALL, "end": 10},
    # Make 3 partitions; again; a name that cannot be; 3 copies; 5 partitions; 4; delete; again.
    "admin-topics": {
        "created": 3,
        "again": 36,
        "invalid": 17,
        "copies": 38,
        "grown": 5,
        "shrunk": 37,
        "missing": 3,
    },
    # retention.ms, of which the broker was told -1, and after it is set to 12345; set it to
    # "soon"; set no.such.config.
    "admin-configs": {
        "before": ["-1", "STATIC_BROKER_CONFIG"],
        "after": ["12345", "DYNAMIC_TOPIC_CONFIG"],
        "malformed": 40,
        "unknown": 40,
    },
    # State and members of a group that reads; delete it while it does; state after that; is it
    # listed; what it committed; delete it twice, the code of the second.
    "admin-groups": {
        "stable": ["Stable", 1],
        "busy": 68,
        "empty": "Empty",
        "listed": True,
        "committed": 10,
        "gone": 69,
    },
    # Delete the records before offset 4; before 99; where the log starts; what is read first.
    "admin-records": {"low_watermark": 4, "beyond": 1, "start": 4, "first": "v4"},
}

MEANINGS = {
    "produce-none": "produce without compression",
    "produce-gzip": "produce with gzip",
    "produce-snappy": "produce with snappy",
    "produce-lz4": "produce with lz4",
    "produce-zstd": "produce with zstd",
    "records": "null and empty keys and values, headers, timestamps",
    "earliest": "consume from the earliest offset",
    "offset": "consume from an offset",
    "latest": "consume from the latest offset",
    "timestamp": "offsets by time, consume from there",
    "idempotent": "idempotent produce",
    "admin-topics": "topics: create, grow, delete, and their errors",
    "admin-configs": "configs: describe, alter, and their errors",
    "admin-groups": "groups: describe, list, offsets, delete",
    "admin-records": "delete records",
    "group-share": "two members share the partitions",
    "group-leave": "one leaves, the other takes over",
    "group-die": "one dies, the other takes over",
    "group-resume": "a new member goes on after what was committed",
}
"""Each scenario in words, in the order of docs/clients.md."""
