"""What the inspector reads from its environment."""

from typing import Annotated

from pydantic import Field

from sluice_runtime.settings import ServiceSettings

GIB = 1024**3


class InspectorSettings(ServiceSettings):
    """How the inspector runs. Each field is the variable `SLUICE_<FIELD>`."""

    inspect_max_bytes: Annotated[int, Field(ge=1)] = 2 * GIB
    inspect_timeout_seconds: Annotated[float, Field(ge=1, le=3600)] = 120
