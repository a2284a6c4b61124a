"""The form a chunk is sent in, as a stream: the fields, then the file from the disk."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sluice_cli.agent.chunks import PIECE_BYTES
from sluice_cli.agent.entries import Entry, Stamp
from sluice_cli.agent.settings import Place

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class FileChangedError(Exception):
    """A file is not, or no longer, what was to be sent."""


@dataclass(frozen=True)
class Form:
    """One chunk as multipart/form-data; byte for byte the same each time."""

    path: Path
    entry: Entry
    device_id: UUID
    place: Place

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def size_bytes(self) -> int:
        return len(self._head) + self.entry.stamp.size_bytes + len(self._tail)

    def pieces(self) -> Iterator[bytes]:
        """The body. It is cut short rather than completed with bytes nobody announced.

        Raises:
            OSError: the file cannot be read.
            FileChangedError: it holds other bytes than it did.
        """
        yield self._head
        sha256 = hashlib.sha256()
        left = self.entry.stamp.size_bytes
        with self.path.open("rb", buffering=0) as file:
            while left and (piece := file.read(min(PIECE_BYTES, left))):
                sha256.update(piece)
                left -= len(piece)
                if not left and sha256.hexdigest() != self.entry.sha256:
                    break
                yield piece
            state = Stamp.of(self.path.stat())
        if left or sha256.hexdigest() != self.entry.sha256 or state != self.entry.stamp:
            raise FileChangedError(f"{self.entry.name} does not hold the bytes it held")
        yield self._tail

    @property
    def _boundary(self) -> str:
        # From the digest: no file can hold a text that is made from its own digest. RFC 2046
        # allows 70 characters, so a part of it has to do.
        return f"sluice-{self.entry.sha256}"[:70]

    @property
    def _head(self) -> bytes:
        entry = self.entry
        fields = {
            "point_id": self.place.point_id,
            "register_id": self.place.register_id,
            "device_id": self.device_id,
            "start_ts": entry.start_ts,
            "end_ts": entry.end_ts,
            "codec": entry.codec,
            "sample_rate": entry.sample_rate,
            "channels": entry.channels,
        }
        begin, kind = f"--{self._boundary}\r\n", "Content-Disposition: form-data"
        parts = [
            f'{begin}{kind}; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
        ]
        # The name is for people who read a log; the server names the object itself.
        name = _UNSAFE.sub("_", entry.name)
        file = f'{begin}{kind}; name="chunk_file"; filename="{name}"\r\n'
        return "".join((*parts, file, "Content-Type: application/octet-stream\r\n\r\n")).encode()

    @property
    def _tail(self) -> bytes:
        return f"\r\n--{self._boundary}--\r\n".encode()
