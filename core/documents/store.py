"""Where documents lie: a port, and the folder that serves until there is something bigger."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Protocol

from core.kernel.errors import ServiceError

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)*(\.[a-z0-9]{1,8})?")
_KEY_LONGEST = 200


class DocumentMissing(ServiceError):
    """Nothing lies under this key."""


class DocumentStore(Protocol):
    """Keeps bytes under keys such as `receipt/2026/03/r-2026-00000417-1f2e3d4c.pdf`."""

    def put(self, key: str, content: bytes) -> None:
        """Keep `content`; all of it is there afterwards, or nothing is. The same key again replaces it."""
        ...

    def get(self, key: str) -> bytes:
        """Raises DocumentMissing."""
        ...


class FolderStore:
    """A folder. Keys are lower-case and cannot leave it; a file appears whole or not at all."""

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)

    def put(self, key: str, content: bytes) -> None:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
        try:
            with scratch.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise DocumentMissing(key) from error

    def _path(self, key: str) -> Path:
        if len(key) > _KEY_LONGEST or not _KEY.fullmatch(key):
            raise ValueError(f"not a key: {key[:60]!r}")
        return self._folder / key
