"""What a network configuration adds to the routes and DNS of the pools."""

from __future__ import annotations

from dataclasses import dataclass, field

from ipamd.models.pool import Dns, Route


@dataclass(frozen=True, slots=True)
class Additions:
    """Routes and DNS of a configuration's own.

    `main_plugin_routes`: its main plugin makes the default routes itself (bridge's `isDefaultGateway`).
    """

    routes: tuple[Route, ...] = ()
    dns: Dns = field(default_factory=Dns)
    main_plugin_routes: bool = False
