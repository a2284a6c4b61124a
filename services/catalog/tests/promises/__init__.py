"""What use cases rely on in a unit of work, whoever keeps it: the real one or the fake.

`tests/integration/test_catalog_work.py` runs the same class on Postgres.
"""

from .calls import CallPromises
from .chunks import ChunkPromises
from .direct import DirectPromises
from .messages import MessagePromises
from .objects import ObjectPromises
from .renders import RenderPromises
from .replays import ReplayPromises
from .uploads import UploadPromises
from .values import ASKED, MINUTE, Open, batch, chunk, device, recording, stored, upload

__all__ = [
    "ASKED",
    "MINUTE",
    "Open",
    "WorkPromises",
    "batch",
    "chunk",
    "device",
    "recording",
    "stored",
    "upload",
]


class WorkPromises(
    UploadPromises,
    ObjectPromises,
    ReplayPromises,
    ChunkPromises,
    CallPromises,
    DirectPromises,
    RenderPromises,
    MessagePromises,
):
    """Subclasses bring the fixture `open_work`, on empty tables for each test, and `leaving`:
    the subjects of what waits in the outbox."""
