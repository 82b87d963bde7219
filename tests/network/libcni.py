"""What container runtimes make of a configuration list, each by the same library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.network.plugin import Attachment, Document, Runtime


@dataclass
class NetworkList:
    """A list of plugins, or a configuration of one plugin, that containers join and leave."""

    runtime: Runtime
    document: Document
    _results: dict[Attachment, Document] = field(default_factory=dict)

    def add(
        self, attachment: Attachment, args: str = "", capabilities: Mapping[str, Any] | None = None
    ) -> Document:
        """Have a container join; of the capabilities' values a plugin gets those that it declares."""
        result: Document | None = None
        for plugin in self._plugins(capabilities):
            config = plugin if result is None else {**plugin, "prevResult": result}
            result = self.runtime.add(config, attachment, args)
        assert result is not None
        self._results[attachment] = result
        return result

    def check(self, attachment: Attachment, args: str = "") -> None:
        for plugin in self._plugins(None):
            self.runtime.check(plugin, attachment, self._results[attachment], args)

    def delete(
        self, attachment: Attachment, args: str = "", capabilities: Mapping[str, Any] | None = None
    ) -> None:
        """Have a container leave, by the last plugin first; with its result where there was one."""
        result = self._results.pop(attachment, None)
        for plugin in reversed(self._plugins(capabilities)):
            config = plugin if result is None else {**plugin, "prevResult": result}
            self.runtime.delete(config, attachment, args)

    def _plugins(self, capabilities: Mapping[str, Any] | None) -> list[Document]:
        common = {key: self.document[key] for key in ("cniVersion", "name")}
        plugins = self.document.get("plugins", [self.document])
        return [{**plugin, **common, **_runtime_config(plugin, capabilities or {})} for plugin in plugins]


def _runtime_config(plugin: Document, capabilities: Mapping[str, Any]) -> Document:
    declared = [name for name, wanted in plugin.get("capabilities", {}).items() if wanted]
    values = {name: capabilities[name] for name in declared if name in capabilities}
    return {"runtimeConfig": values} if values else {}
