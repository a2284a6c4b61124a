"""Playing what is stored: a short-lived link, or its bytes through the gateway."""

from dataclasses import dataclass

from sluice_contracts.questions import LinkObject, SignedLink
from sluice_gateway.domain import disposition, served_type
from sluice_gateway.ports import Deps


@dataclass(frozen=True)
class Source:
    """Something that can be played, whatever door it came through."""

    key: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Playable:
    """A source, and where its bytes can be had for the next minutes."""

    source: Source
    link: SignedLink
    content_type: str
    disposition: str

    @property
    def etag(self) -> str:
        """The digest of the bytes: strong, and the same wherever they lie."""
        return f'"{self.source.sha256}"'


async def link(source: Source, deps: Deps) -> Playable:
    """A link to the bytes, served as what is harmless."""
    content_type = served_type(source.content_type)
    shown = disposition(source.content_type, source.filename)
    question = LinkObject(key=source.key, content_type=content_type, disposition=shown)
    return Playable(source, await deps.asker.ask(question), content_type, shown)
