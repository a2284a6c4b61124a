"""Tables, queries and the unit of work of the catalog. Rows never leave this folder."""

from sluice_catalog.database.partitions import make_partitions
from sluice_catalog.database.work import SqlWork, open_work

__all__ = ["SqlWork", "make_partitions", "open_work"]
