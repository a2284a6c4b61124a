"""One form on its way in: fields, the file, fields again, read no faster than asked for."""

from collections import deque
from collections.abc import AsyncIterator

from sluice_gateway.forms.events import Event, Mark, events_of
from sluice_gateway.forms.rules import FilePart, FormRules, Part, field_text, shown
from sluice_runtime.errors import Rejected


class Form:
    """A form with at most one file.

    Held in memory are the fields, the head that was asked for, and one chunk of the body. Every
    method that reads raises `Rejected` for what the rules refuse, and for a form that is broken
    or ended early; after that the form is of no more use.
    """

    fields: dict[str, str]
    file: FilePart | None

    def __init__(self, events: AsyncIterator[Event], rules: FormRules) -> None:
        """Use `open`."""
        self.fields = {}
        self.file = None
        self._events = events
        self._rules = rules
        # Chunks of the file that were read for `head` and are still to be given.
        self._held: deque[bytes] = deque()
        self._file_bytes = 0
        self._is_in_file = False
        self._is_over = False

    @classmethod
    async def open(cls, content_type: str, body: AsyncIterator[bytes], rules: FormRules) -> "Form":
        """Read up to the first byte of the file, or to the end when there is none."""
        form = cls(events_of(content_type, body, rules), rules)
        await form._read_fields()
        return form

    async def head(self, length: int) -> bytes:
        """The first bytes of the file, up to `length`; `file_chunks` gives them again.

        Ask before the first chunk is taken.
        """
        size = sum(map(len, self._held))
        while size < length and (chunk := await self._read_file()) is not None:
            self._held.append(chunk)
            size += len(chunk)
        return b"".join(self._held)[:length]

    async def file_chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the file as they come, none of them empty.

        Raises:
            Rejected: the file is larger than the rules allow; nothing above that was given.
        """
        assert self.file is not None, "this form has no file"
        while self._held:
            yield self._held.popleft()
        while (chunk := await self._read_file()) is not None:
            yield chunk

    async def finish(self) -> dict[str, str]:
        """Read what follows the file, to the end of the body. All fields of the form.

        The file must have been read: its bytes are never dropped in silence.
        """
        assert not self._is_in_file, "the file has not been read to its end"
        assert not self._held, "the head of the file has not been read"
        if not self._is_over:
            await self._read_fields()
        return self.fields

    async def _read_fields(self) -> None:
        while isinstance(part := await self._next(), Part):
            self._check_new(part)
            if part.file is not None:
                self.file, self._is_in_file = part.file, True
                return
            self.fields[part.name] = await self._read_field(part.name)
        assert part is Mark.FORM_ENDS
        self._is_over = True

    def _check_new(self, part: Part) -> None:
        if part.name in self.fields or (part.file is not None and self.file is not None):
            raise Rejected(
                f"The part {shown(part.name)!r} came twice; send it once.",
                code="form-duplicate-field",
            )

    async def _read_field(self, name: str) -> str:
        value = bytearray()
        while isinstance(chunk := await self._next(), bytes):
            if len(value) + len(chunk) > self._rules.max_field_bytes:
                raise Rejected(
                    f"The field {shown(name)!r} has more than {self._rules.max_field_bytes} bytes.",
                    code="form-field-too-large",
                )
            value += chunk
        return field_text(name, bytes(value))

    async def _read_file(self) -> bytes | None:
        """The next chunk of the file; None at its end."""
        if not self._is_in_file:
            return None
        chunk = await self._next()
        if not isinstance(chunk, bytes):
            self._is_in_file = False
            return None
        self._file_bytes += len(chunk)
        if self._file_bytes > self._rules.max_file_bytes:
            raise Rejected(
                f"At most {self._rules.max_file_bytes} bytes of a file are taken.",
                code="body-too-large",
            )
        return chunk

    async def _next(self) -> Event:
        event = await anext(self._events, None)
        # A stream that failed once would look like one that is over.
        assert event is not None, "the form failed before"
        return event
