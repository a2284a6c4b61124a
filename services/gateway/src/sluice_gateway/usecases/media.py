"""Playing a recording: a short-lived link, or its bytes through the gateway."""

from dataclasses import dataclass

from sluice_contracts.questions import GetRecording, LinkObject, RecordingView, SignedLink
from sluice_gateway.domain import disposition, known_recording_id, served_type
from sluice_gateway.ports import Deps


@dataclass(frozen=True)
class Playable:
    """A recording and where its bytes can be had for the next minutes."""

    recording: RecordingView
    link: SignedLink
    content_type: str
    disposition: str

    @property
    def etag(self) -> str:
        """The digest of the bytes: strong, and the same wherever they lie."""
        return f'"{self.recording.sha256}"'


async def find_playable(tenant: str, recording_id: str, deps: Deps) -> Playable:
    """Raises `NotFound` for a recording of another tenant too."""
    question = GetRecording(tenant=tenant, recording_id=known_recording_id(recording_id))
    recording = await deps.asker.ask(question)
    content_type = served_type(recording.content_type)
    shown = disposition(recording.content_type, recording.filename)
    link = await deps.asker.ask(
        LinkObject(key=recording.key, content_type=content_type, disposition=shown)
    )
    return Playable(recording, link, content_type, shown)
