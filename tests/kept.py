"""Kept from one test to the next: what Flask makes anew for each app though it is always the same.

Hundreds of tests build the app; compiling the same pages and addresses each time was a third of their CPU.
Nothing of what is kept knows an app, a request or a database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.routing import Rule

_Builder = Callable[..., tuple[str, str]]


class _Pages(BytecodeCache):
    """Compiled templates in memory, by name and source as Jinja's own caches have them."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        found = self._kept.get(bucket.key + bucket.checksum)
        if found is not None:
            bucket.bytecode_from_string(found)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


def keep() -> None:
    """From now on, in this process, each page and each address is compiled once."""
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": _Pages()}
    compile_builder = Rule._compile_builder
    kept: dict[object, _Builder] = {}

    def compiled_once(rule: Any, append_unknown: bool = True) -> _Builder:
        # A builder is made of the rule's text alone; its converters are looked up on the rule when it is called.
        key = (rule.rule, tuple(rule._trace), repr(sorted((rule.defaults or {}).items())), append_unknown)
        if key not in kept:
            kept[key] = compile_builder(rule, append_unknown)
        return kept[key]

    Rule._compile_builder = compiled_once  # type: ignore[assignment,method-assign]
