"""Where the device stands, and who knows it."""

from uuid import UUID

from sluice_cli.agent.ledger import Ledger
from sluice_cli.agent.server import Server
from sluice_cli.agent.settings import Place, Settings
from sluice_cli.agent.verdicts import Denied, Trouble


class PlaceFinder:
    """The place that was given, or else remembered, or else asked for and remembered; so that a
    recorder that starts without a network still knows it."""

    def __init__(self, settings: Settings, ledger: Ledger, server: Server) -> None:
        self._given = settings.place
        self._device_id = settings.device_id
        self._subject = f"place of {settings.device_id}"
        self._ledger = ledger
        self._server = server

    def find(self) -> Place | Denied | Trouble:
        """The place, or why there is none now.

        Raises:
            AgentError: the token is another device's.
        """
        if self._given is not None:
            return self._given
        if kept := self._ledger.recall(self._subject):
            return Place(point_id=UUID(kept["point_id"]), register_id=UUID(kept["register_id"]))
        found = self._server.place_of(self._device_id)
        if isinstance(found, Place):
            content = {"point_id": str(found.point_id), "register_id": str(found.register_id)}
            self._ledger.remember(self._subject, content)
        return found

    def doubt(self) -> None:
        """The server turned the device away: perhaps it has moved. Ask again next time."""
        if self._given is None:
            self._ledger.remember(self._subject, None)
