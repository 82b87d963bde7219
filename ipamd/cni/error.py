"""CNI error objects, and the one table from the domain's errors to CNI codes and HTTP statuses."""

from __future__ import annotations

from enum import IntEnum
from http import HTTPStatus
from typing import Final

import msgspec

from ipamd.cni.caller import Caller
from ipamd.cni.version import NEWEST
from ipamd.models import errors


class Code(IntEnum):
    """CNI specification 1.1.0, "Error". Codes from 100 on are ipamd's own (docs/cni.md)."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    BAD_ENVIRONMENT = 4
    CANNOT_DECODE = 6
    INVALID_CONFIGURATION = 7
    TRY_AGAIN_LATER = 11
    NOT_AVAILABLE = 50
    NOTHING_FREE = 100
    ADDRESS_TAKEN = 101
    ADDRESS_UNAVAILABLE = 102
    TOO_LARGE = 103
    OVERTAKEN = 104
    NOT_ALLOWED = 105
    QUOTA_EXCEEDED = 106
    INTERNAL = 999


_STATUSES: Final = {
    Code.INCOMPATIBLE_VERSION: HTTPStatus.BAD_REQUEST,
    Code.UNSUPPORTED_FIELD: HTTPStatus.BAD_REQUEST,
    Code.BAD_ENVIRONMENT: HTTPStatus.BAD_REQUEST,
    Code.CANNOT_DECODE: HTTPStatus.BAD_REQUEST,
    Code.INVALID_CONFIGURATION: HTTPStatus.UNPROCESSABLE_ENTITY,
    Code.TRY_AGAIN_LATER: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.NOT_AVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.NOTHING_FREE: HTTPStatus.CONFLICT,
    Code.ADDRESS_TAKEN: HTTPStatus.CONFLICT,
    Code.ADDRESS_UNAVAILABLE: HTTPStatus.CONFLICT,
    Code.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.OVERTAKEN: HTTPStatus.CONFLICT,
    Code.NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    Code.QUOTA_EXCEEDED: HTTPStatus.CONFLICT,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

# Code 3 (container unknown) is never used: it tells the runtime that nothing needs cleaning up, and ipamd
# knows nothing about the interfaces that a main plugin made.
_CODES: Final[dict[type[errors.DomainError], Code]] = {
    errors.InvalidValue: Code.INVALID_CONFIGURATION,
    errors.RequestTooLarge: Code.TOO_LARGE,
    errors.PoolUnknown: Code.INVALID_CONFIGURATION,
    errors.NotAllowed: Code.NOT_ALLOWED,
    errors.NothingFree: Code.NOTHING_FREE,
    errors.QuotaExceeded: Code.QUOTA_EXCEEDED,
    errors.AddressTaken: Code.ADDRESS_TAKEN,
    errors.OwnerFull: Code.ADDRESS_TAKEN,
    errors.AddressUnavailable: Code.ADDRESS_UNAVAILABLE,
    errors.Overtaken: Code.OVERTAKEN,
    errors.NotHeld: Code.ADDRESS_UNAVAILABLE,
    errors.Unavailable: Code.TRY_AGAIN_LATER,
    errors.NodeDraining: Code.TRY_AGAIN_LATER,
    errors.SchemaUnfit: Code.TRY_AGAIN_LATER,
    errors.DatabaseUnfit: Code.TRY_AGAIN_LATER,
}


class CniError(Exception):
    """A refusal: the error object of the specification.

    `version` is the configuration's cniVersion, `caller` gets the error. Both are None until they are known.
    """

    def __init__(self, code: Code, message: str, details: str = "", version: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.version = version
        self.caller: Caller | None = None

    @classmethod
    def from_domain(cls, error: errors.DomainError) -> CniError:
        """A domain error as a CNI error."""
        return cls(_CODES.get(type(error), Code.INTERNAL), str(error))

    def to(self, caller: Caller) -> CniError:
        """The same error, for a known caller."""
        self.caller = caller
        self.version = caller.version
        return self

    @property
    def status(self) -> HTTPStatus:
        """An HTTP status of the same kind. 503 means that the caller should try again."""
        return _STATUSES[self.code]

    def encode(self) -> bytes:
        """The error object, which the plugin prints to stdout."""
        body: dict[str, str | int] = {
            "cniVersion": self.version or NEWEST,
            "code": int(self.code),
            "msg": self.message,
        }
        if self.details:
            body["details"] = self.details
        return msgspec.json.encode(body)


def invalid(key: str, why: str) -> CniError:
    """A key of the configuration is wrong."""
    return CniError(Code.INVALID_CONFIGURATION, f"{key}: {why}")


def too_large(what: str) -> CniError:
    """A request exceeds the limits of one transaction."""
    return CniError(Code.TOO_LARGE, what)
