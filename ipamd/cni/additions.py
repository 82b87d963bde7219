"""What a network configuration adds to the routes and DNS of the pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from ipamd.models.pool import Dns, Pool, Route


class Form(Struct, frozen=True):
    """A result as a format, with `%s` for each address. It keeps its pools: by their ids it is known."""

    text: str
    pools: Sequence[Pool]


@dataclass(frozen=True, slots=True)
class Additions:
    """Routes and DNS of a configuration's own.

    `main_plugin_routes`: its main plugin makes the default routes itself (bridge's `isDefaultGateway`). All
    containers of a network get the same but for their addresses: `forms` are kept for the next ones.
    """

    routes: tuple[Route, ...] = ()
    dns: Dns = field(default_factory=Dns)
    main_plugin_routes: bool = False
    forms: dict[tuple[object, ...], Form] = field(default_factory=dict, compare=False, repr=False)
