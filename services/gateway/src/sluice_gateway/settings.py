"""What the gateway reads from its environment."""

from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from sluice_runtime.settings import ServiceSettings

MIB = 1024**2
GIB = 1024**3

LongSecret = Annotated[SecretStr, Field(min_length=32)]


class GatewaySettings(ServiceSettings):
    """How the gateway runs. Each field is the variable `SLUICE_<FIELD>`."""

    token_secret: LongSecret
    presign_lifetime_seconds: Annotated[int, Field(ge=10, le=86_400)] = 600
    register_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    max_upload_bytes: Annotated[int, Field(ge=1)] = 5 * GIB
    max_chunk_bytes: Annotated[int, Field(ge=1, le=64 * MIB)] = 10 * MIB
    max_call_bytes: Annotated[int, Field(ge=1)] = GIB
    max_render_bytes: Annotated[int, Field(ge=1)] = 256 * MIB
    max_json_bytes: Annotated[int, Field(ge=1024)] = MIB
    max_uploads_in_flight: Annotated[int, Field(ge=1)] = 64
    parts_in_flight: Annotated[int, Field(ge=1, le=8)] = 2
    store_send_buffer_bytes: Annotated[int | None, Field(ge=64 * 1024)] = None
    min_upload_rate_bytes: Annotated[int, Field(ge=0)] = 1024
    min_upload_rate_seconds: Annotated[float, Field(gt=0)] = 30.0
    media_proxy: bool = False
    trusted_proxies: Annotated[str, StringConstraints(strip_whitespace=True)] = ""
