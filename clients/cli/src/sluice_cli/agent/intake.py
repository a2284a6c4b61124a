"""From the folder into the ledger."""

import time

from sluice_cli.agent.chunks import codec_of, describe
from sluice_cli.agent.entries import Entry, Stamp
from sluice_cli.agent.folder import FolderWatch
from sluice_cli.agent.ledger import Ledger
from sluice_cli.agent.report import Report
from sluice_cli.agent.settings import Settings
from sluice_cli.agent.times import UntimedError

# A first look at a full folder: each commit costs a flash card one of its writes.
_AT_ONCE = 200


class Intake:
    """Records each finished chunk before it is first sent: when it was recorded, above all."""

    def __init__(
        self, settings: Settings, ledger: Ledger, watch: FolderWatch, report: Report
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._watch = watch
        self._report = report
        self._complaints: dict[str, str] = {}
        self._next_look = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether there is something in the folder that cannot be sent as it is."""
        return bool(self._complaints)

    def look(self) -> None:
        """Record what is new; does nothing when the last look was only just."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + self._settings.poll_seconds
        try:
            finished = self._watch.newly_finished()
        except OSError as error:
            self._complain("", f"cannot read {self._settings.folder}: {error.strerror}")
            return
        self._complaints.pop("", None)
        for begin in range(0, len(finished), _AT_ONCE):
            some = finished[begin : begin + _AT_ONCE]
            entries = [entry for name, stamp in some if (entry := self._described(name, stamp))]
            if entries:
                self._ledger.save(*entries)

    def _described(self, name: str, stamp: Stamp) -> Entry | None:
        """What to record of a file; None when there is nothing new to say, or nothing at all."""
        codec = codec_of(name, self._settings.defaults)
        if codec is None:
            self._report.notice(f"{name} is left alone; --codec makes every file a chunk")
            return None
        known = self._ledger.find(name)
        if known is not None and known.stamp == stamp:
            return None
        path = self._settings.folder / name
        try:
            entry = describe(path, stamp, codec, self._settings.defaults)
        except OSError as error:
            self._complain(name, f"cannot read {name}: {error.strerror}")
            self._watch.retry(name)
            return None
        except UntimedError as error:
            self._complain(name, str(error))
            return None
        self._complaints.pop(name, None)
        return entry

    def _complain(self, name: str, text: str) -> None:
        """Say it once, not at each look."""
        if self._complaints.get(name) != text:
            self._complaints[name] = text
            self._report.notice(text)
