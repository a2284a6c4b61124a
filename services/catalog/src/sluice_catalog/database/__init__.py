"""Tables, queries and the unit of work of the catalog. Rows never leave this folder."""

from sluice_catalog.database.work import SqlWork, open_work

__all__ = ["SqlWork", "open_work"]
