"""Moments as clients may name them."""

from datetime import MAXYEAR, MINYEAR, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def _in_calendar(moment: datetime) -> datetime:
    """The first and the last year are refused: in another zone such a moment may have no date.

    The catalog would keep it all the same, and could never read it again.
    """
    if not MINYEAR < moment.year < MAXYEAR:
        raise ValueError("no clock shows this year")
    return moment


CalendarMoment = Annotated[AwareDatetime, AfterValidator(_in_calendar)]
