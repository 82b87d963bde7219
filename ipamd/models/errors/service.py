"""Why ipamd or its database cannot serve at all."""

from __future__ import annotations

from ipamd.models.errors.domain_error import DomainError


class Unavailable(DomainError):
    """ipamd cannot answer now; the same request may succeed later. `cause` is one word, for metrics."""

    code = "unavailable"

    def __init__(self, why: str, cause: str = "other") -> None:
        super().__init__(why)
        self.cause = cause


class SchemaUnfit(DomainError):
    """The schema of the database does not fit this ipamd."""

    code = "schema-unfit"


class DatabaseUnfit(DomainError):
    """The database's address is wrong, or the database cannot be opened."""

    code = "database-unfit"
