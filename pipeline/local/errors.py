"""What the server refuses, as the API says it: HTTP status, error type, message (API reference: errors, read 2026-10-08)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TYPES: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        405: "invalid_request_error",
        408: "timeout_error",
        409: "conflict_error",
        413: "request_too_large",
        429: "rate_limit_error",
        500: "api_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)
"""HTTP status → `error.type`."""


class ApiError(Exception):
    """A request that gets no message. Its type follows from its status."""

    def __init__(self, status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        """`error.details.error_code`, where there is one."""
        self.headers = dict(headers or {})

    @property
    def type(self) -> str:
        return TYPES.get(self.status, "api_error")


def invalid(message: str) -> ApiError:
    """A 400: the request itself is at fault; `message` begins with the path of the field."""
    return ApiError(400, message)


class Unmakeable(Exception):
    """No value could be made for a schema; `str()` says why."""
