"""What each key of lin-kv and seq-kv is called, in one place.

    lin-kv   co_<key>         highest committed offset of the key
             next_<key>       the offset that the next record of the key gets
    seq-kv   <key>            (naive) the key's whole log
             ol_<key>         (offset-list) the key's list of offsets
             <key>_<offset>   one record, set once
             nonce_<node>     a value that is new at each write

A client may choose any key, even one that looks like a name of ours. So a client's key that begins
like one gets a `~` in front; this keeps different things under different names.
"""

RESERVED_PREFIXES = ("~", "ol", "nonce")
"""How the names begin, in seq-kv, that do not begin with a client's key."""


def _escaped(key: str) -> str:
    return f"~{key}" if key.startswith(RESERVED_PREFIXES) else key


def committed_name(key: str) -> str:
    """Return where the committed offset of `key` is kept (lin-kv)."""
    return f"co_{key}"


def next_offset_name(key: str) -> str:
    """Return where the next offset of `key` is kept (lin-kv)."""
    return f"next_{key}"


def log_name(key: str) -> str:
    """Return where the whole log of `key` is kept (seq-kv)."""
    return _escaped(key)


def offset_list_name(key: str) -> str:
    """Return where the list of offsets of `key` is kept (seq-kv)."""
    return f"ol_{key}"


def record_name(key: str, offset: int) -> str:
    """Return where one record is kept (seq-kv)."""
    return f"{_escaped(key)}_{offset}"


def nonce_name(node_id: str) -> str:
    """Return the key that a node writes to be shown the newest state (seq-kv)."""
    return f"nonce_{node_id}"
