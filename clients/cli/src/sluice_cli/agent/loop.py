"""The agent: finds finished chunks, sends the oldest first, deletes what has been confirmed.

One thing at a time, each step recorded before the next: wherever it is killed, it goes on there.
A file is deleted in one place only, `_delete`, and only once the ledger says UPLOADED.
"""

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from sluice_cli.agent.chunks import digest
from sluice_cli.agent.endings import (
    ALL_DONE,
    INTEGRITY,
    INTERRUPTED,
    NETWORK,
    REFUSED,
    SOME_FAILED,
)
from sluice_cli.agent.entries import Entry, Stamp, State
from sluice_cli.agent.folder import FolderWatch
from sluice_cli.agent.form import Form
from sluice_cli.agent.intake import Intake
from sluice_cli.agent.ledger import Ledger
from sluice_cli.agent.pace import Pace
from sluice_cli.agent.places import PlaceFinder
from sluice_cli.agent.report import Report
from sluice_cli.agent.server import Server
from sluice_cli.agent.settings import Place, Settings
from sluice_cli.agent.stopping import Stopping
from sluice_cli.agent.times import EARLIEST
from sluice_cli.agent.verdicts import (
    Accepted,
    Committed,
    Denied,
    Refused,
    Trouble,
    Unknown,
    Verdict,
)
from sluice_cli.writers import is_being_written

# Somebody has to enable the device again, or give it another token: that takes a while.
_DENIED_SECONDS = 10.0
# How long a server may not know a chunk it accepted before it gets the bytes once more.
_UNKNOWN_SECONDS = 60.0
_UNDELETED_SECONDS = 60.0
# What the ledger calls the server and the device it is about.
_SERVER = "server"


class Agent:
    """One folder, one ledger, one server."""

    def __init__(
        self, settings: Settings, ledger: Ledger, server: Server, report: Report, stop: Stopping
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._server = server
        self._report = report
        self._stop = stop
        self._watch = FolderWatch(settings.folder, settings.settle_seconds, settings.untold_seconds)
        self._intake = Intake(settings, ledger, self._watch, report)
        self._places = PlaceFinder(settings, ledger, server)
        self._pace = Pace(settings.wait_limit_seconds)
        self._denied = False
        kept = () if settings.keep else (State.UPLOADED,)
        self._unfinished = (State.PENDING, State.ACCEPTED, *kept)

    def run(self) -> int:
        """Work until asked to stop or, with `once`, until all is done; the exit code.

        Raises:
            AgentError: the settings cannot work.
        """
        self._know_server()
        self._tidy()
        while not self._stop.requested:
            self._intake.look()
            if not self._pace.left() and self._step():
                continue
            if self._settings.once and (code := self._ending()) is not None:
                return code
            self._stop.wait(min(self._settings.poll_seconds, self._pace.left() or 1.0))
        if self._ledger.count(self._unfinished):
            return INTERRUPTED
        return SOME_FAILED if self._has_failed() else ALL_DONE

    def _tidy(self) -> None:
        """Forget files that somebody took away, and say what is worth knowing at the start."""
        if datetime.now(UTC) < EARLIEST:
            self._report.notice(
                "the clock is not set; chunks wait, unless their names say when they began"
            )
        refused = 0
        for name in self._ledger.names((State.REFUSED, State.UPLOADED)):
            if not self._path(name).exists():
                self._ledger.remove(name)
            elif (entry := self._ledger.find(name)) and entry.state is State.REFUSED:
                refused += 1
        if refused:
            self._report.notice(f"{refused} files were refused earlier; they wait for a change")

    def _know_server(self) -> None:
        """What one server confirmed or refused says nothing about another, or another device."""
        now = {"base_url": self._settings.base_url, "device_id": str(self._settings.device_id)}
        known = self._ledger.recall(_SERVER)
        if known not in (None, now):
            self._report.notice("the server or the device is another one; everything is sent again")
            self._ledger.begin_anew()
        if known != now:
            self._ledger.remember(_SERVER, now)

    def _ending(self) -> int | None:
        """How a single run ends; None while there is something to do."""
        if self._denied:
            return REFUSED
        if not self._watch.has_settled:
            return None
        if not self._ledger.count(self._unfinished):
            return SOME_FAILED if self._has_failed() else ALL_DONE
        if self._pace.is_exhausted(self._settings.patience_seconds):
            return SOME_FAILED if self._has_failed() else self._pace.exit_code
        return None

    def _has_failed(self) -> bool:
        """Whether there is a file that cannot be sent as it is."""
        return self._intake.has_failed or bool(self._ledger.count((State.REFUSED,)))

    def _step(self) -> bool:
        """Do the most urgent thing there is; whether there was one. What makes room comes first."""
        for state in self._unfinished[::-1]:
            entry = self._ledger.due(state, time.time(), self._pace.longest_delay_seconds)
            if entry is None:
                continue
            if state is State.UPLOADED:
                self._delete(entry)
            elif state is State.ACCEPTED:
                self._inquire(entry)
            else:
                self._send(entry)
            return True
        return False

    def _send(self, entry: Entry) -> None:
        path = self._path(entry.name)
        try:
            if Stamp.of(path.stat()) != entry.stamp:
                self._forget(entry)
                return
            sha256 = entry.sha256 or digest(path)
        except FileNotFoundError:
            self._report.notice(f"{entry.name} was taken away before it was uploaded")
            self._ledger.remove(entry.name)
            return
        except OSError as error:
            detail = f"cannot read it: {error.strerror}"
            self._put_off(entry, Trouble(detail, about_file=True, exit_code=SOME_FAILED))
            return
        place = self._places.find()
        if not isinstance(place, Place):
            self._judge(entry, place)
            return
        entry = replace(entry, sha256=sha256, attempts=entry.attempts + 1)
        self._ledger.save(entry)
        self._judge(entry, self._server.upload(Form(path, entry, self._settings.device_id, place)))

    def _inquire(self, entry: Entry) -> None:
        """Ask for an accepted chunk. Whatever goes wrong with the question, it must not hold back
        chunks that are still to be sent: a server accepts them while it cannot confirm any."""
        verdict = self._server.ask(entry)
        waiting = Accepted(str(entry.chunk_id))
        if isinstance(verdict, Trouble) and verdict.exit_code != INTEGRITY:
            self._report.notice(f"{entry.name} is not confirmed yet: {verdict.detail}")
            self._await(entry, replace(waiting, retry_after_seconds=verdict.retry_after_seconds))
            return
        if isinstance(verdict, Denied):
            self._await(entry, waiting)
        self._judge(entry, verdict)

    def _judge(self, entry: Entry, verdict: Verdict) -> None:
        match verdict:
            case Committed():
                self._confirm(entry, verdict)
            case Accepted():
                self._await(entry, verdict)
            case Unknown():
                self._miss(entry)
            case Refused():
                self._refuse(entry, verdict)
            case Denied():
                self._denied = True
                if verdict.status == 403:
                    self._places.doubt()
                wait = self._pace.failed(REFUSED, _DENIED_SECONDS)
                self._report.notice(f"not let in: {verdict.detail}; trying again in {wait:.0f} s")
            case Trouble():
                self._put_off(entry, verdict)
            case _:
                assert_never(verdict)

    def _confirm(self, entry: Entry, verdict: Committed) -> None:
        entry = replace(
            entry, state=State.UPLOADED, chunk_id=verdict.chunk_id, next_try=0.0, last_error=None
        )
        self._ledger.save(entry)
        self._pace.succeeded()
        self._report.file(
            *(entry.name, "uploaded", verdict.chunk_id),
            chunk_id=verdict.chunk_id,
            stored_path=verdict.stored_path,
            start_ts=entry.start_ts,
            end_ts=entry.end_ts,
            size_bytes=entry.stamp.size_bytes,
            sha256=entry.sha256,
        )
        if not self._settings.keep:
            self._delete(entry)

    def _await(self, entry: Entry, verdict: Accepted) -> None:
        """The bytes are safe; ask again later, ever more seldom."""
        now = time.time()
        if entry.state is State.PENDING:
            # Accepted a second time is no progress: without a confirmation that could go on for
            # ever.
            if entry.attempts == 1:
                self._pace.succeeded()
            self._report.notice(f"{entry.name} is accepted as {verdict.chunk_id}, to be confirmed")
        since = now if entry.accepted_at is None else entry.accepted_at
        wait = max(1.0, (now - since) / 2, verdict.retry_after_seconds)
        self._ledger.save(
            replace(
                entry,
                state=State.ACCEPTED,
                chunk_id=verdict.chunk_id,
                accepted_at=since,
                next_try=now + min(wait, self._pace.longest_wait_seconds),
            )
        )
        self._pace.delayed(NETWORK)

    def _miss(self, entry: Entry) -> None:
        """The server does not know a chunk it accepted: not yet, or not any more."""
        age = time.time() - (entry.accepted_at or 0.0)
        # A clock that was set meanwhile makes any age; sending once more never harms.
        if 0 <= age <= _UNKNOWN_SECONDS:
            self._await(entry, Accepted(str(entry.chunk_id)))
            return
        self._report.notice(f"{entry.name} was accepted and is not known; sending it again")
        self._ledger.save(_anew(entry))

    def _refuse(self, entry: Entry, verdict: Refused) -> None:
        self._ledger.save(replace(entry, state=State.REFUSED, last_error=verdict.detail))
        self._pace.succeeded()
        self._report.file(
            *(entry.name, "refused", verdict.detail), code=verdict.code, detail=verdict.detail
        )

    def _put_off(self, entry: Entry, trouble: Trouble) -> None:
        wait = self._pace.failed(trouble.exit_code, trouble.retry_after_seconds)
        if trouble.about_file:
            if trouble.exit_code == INTEGRITY:
                entry = replace(_anew(entry), sha256=None)
            # Later than the next request, or the oldest file would always be the next.
            later = time.time() + wait + self._pace.spread(entry.attempts)
            self._ledger.save(replace(entry, next_try=later, last_error=trouble.detail))
        self._report.notice(f"{entry.name}: {trouble.detail}; trying again in {wait:.0f} s")

    def _delete(self, entry: Entry) -> None:
        """Remove a confirmed file, if it still is what was confirmed."""
        path = self._path(entry.name)
        try:
            if Stamp.of(path.stat()) != entry.stamp:
                self._forget(entry)
                return
            if is_being_written(path):
                self._delete_later(entry, "somebody writes to it")
                return
            path.unlink()
        except FileNotFoundError:
            pass  # somebody was faster, or we were killed just after
        except OSError as error:
            self._delete_later(entry, error.strerror)
            return
        self._ledger.remove(entry.name)

    def _delete_later(self, entry: Entry, reason: str | None) -> None:
        self._report.notice(f"cannot delete {entry.name}: {reason}")
        later = time.time() + min(_UNDELETED_SECONDS, self._pace.longest_wait_seconds)
        self._ledger.save(replace(entry, next_try=later))
        self._pace.delayed(SOME_FAILED)

    def _forget(self, entry: Entry) -> None:
        """The file has changed: it is another chunk now, to be found anew."""
        self._ledger.remove(entry.name)
        self._watch.forget(entry.name)

    def _path(self, name: str) -> Path:
        return self._settings.folder / name


def _anew(entry: Entry) -> Entry:
    """A chunk that has to be sent again."""
    return replace(entry, state=State.PENDING, chunk_id=None, accepted_at=None, next_try=0.0)
