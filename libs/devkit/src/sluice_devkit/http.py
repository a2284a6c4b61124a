"""HTTP clients for the servers of a stack."""

import ssl
from typing import Any

import httpx

# Nothing here speaks TLS, and to read the certificates of the world anew for each client took more
# of a test run than the requests did.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def plain_client(*, timeout: float | httpx.Timeout = 60.0, **options: Any) -> httpx.AsyncClient:
    """A client for `http://` alone, patient, with the `options` of `httpx.AsyncClient`."""
    return httpx.AsyncClient(verify=_NO_CERTIFICATES, timeout=timeout, **options)
