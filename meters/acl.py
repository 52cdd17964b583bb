"""The access rules a utility's own Mosquitto needs: each meter its own topics, the bridge all of theirs.

Isolation acts at delivery: Mosquitto grants a subscription to anybody's topics and then delivers nothing of them.
"""

from __future__ import annotations

from meters.contract import Topics

_DOWN = ("cmd/#", "desired")
_UP = ("ack/#", "reported", "tele/#", "evt/#", "status")


def acl_file(utility: str, *, bridge_user: str = "bridge") -> str:
    """The text of an `acl_file`. A meter's user name is its id (with TLS: the name on its certificate)."""
    topics = Topics(utility)
    lines = [f"user {bridge_user}"]
    lines += [f"topic write {topics.every(suffix)}" for suffix in _DOWN]
    lines += [f"topic read {topics.every(suffix)}" for suffix in _UP]
    lines += [f"topic readwrite {topics.bridge_status}", ""]
    # %u, never %c: the client id is whatever the client says it is.
    lines += [f"pattern read {topics.root}/%u/{suffix}" for suffix in _DOWN]
    lines += [f"pattern write {topics.root}/%u/{suffix}" for suffix in _UP]
    lines += [f"pattern read {topics.bridge_status}"]
    return "\n".join(lines) + "\n"
