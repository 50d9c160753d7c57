"""The Python client: the REST interface as methods that return the service's own views."""

from __future__ import annotations

from service.client.client import DEFAULT_URL, Client
from service.client.errors import ApiError, ClientError, ServerUnreachableError, SlowAnswerError

__all__ = ["DEFAULT_URL", "ApiError", "Client", "ClientError", "ServerUnreachableError", "SlowAnswerError"]
