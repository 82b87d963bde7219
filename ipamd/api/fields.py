"""The fields that a request may have at a place in its body or its query, for sentences about other fields.

pydantic says that a field is not known, and not which are. They are looked up for the few errors that an
answer lists, and not where pydantic finds them: a body may have a million unknown fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from fastapi.routing import APIRoute
from pydantic import BaseModel


def fields_at(route: APIRoute, location: Sequence[int | str]) -> list[str]:
    """The names that a field may have at this location of a validation error: `("body", "pools", 0, "x")`."""
    part, *path = location
    documents = list(_documents(_body(route) if part == "body" else _query(route)))
    for step in path[:-1]:
        if isinstance(step, str):
            documents = list(_within(documents, step))
    return [name for document in documents for name in document.model_fields]


def _body(route: APIRoute) -> tuple[Any, ...]:
    return () if route.body_field is None else (route.body_field.field_info.annotation,)


def _query(route: APIRoute) -> tuple[Any, ...]:
    return tuple(parameter.field_info.annotation for parameter in route.dependant.query_params)


def _within(documents: Iterable[type[BaseModel]], field: str) -> Iterator[type[BaseModel]]:
    for document in documents:
        if field in document.model_fields:
            yield from _documents((document.model_fields[field].annotation,))


def _documents(annotations: Iterable[Any]) -> Iterator[type[BaseModel]]:
    """The documents in annotations such as `list[Route] | None`."""
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        else:
            yield from _documents(get_args(annotation))
