"""Network configurations that plugin, service, `ipamctl explain` and `ipamctl import` read by the same rules.

Each is a text in which IPAM stands for an `ipam` object of ours that names node n7 of cluster east.
"""

from dataclasses import dataclass
from typing import Any, Final

IPAM: Final = "IPAM"
NODE: Final = {"cluster": "east", "node": "n7"}


@dataclass(frozen=True)
class Case:
    """`version` is what an answer speaks where the configuration is taken, else `code` is the refusal's."""

    text: str
    version: str = ""
    code: int = 0

    def data(self, ipam: str) -> bytes:
        return self.text.replace(IPAM, ipam).encode("utf-8", "surrogateescape")


CASES: Final = [
    Case('{"name": "pods", "ipam": IPAM}', "0.1.0"),
    Case('{"cniVersion": "", "name": "pods", "ipam": IPAM}', "0.1.0"),
    Case('{"cniVersion": null, "name": "pods", "ipam": IPAM}', "0.1.0"),
    Case('{"cniVersion": "0.1.0", "name": "pods", "ipam": IPAM}', "0.1.0"),
    Case('{"cniVersion": "0.3.1", "name": "pods", "ipam": IPAM}', "0.3.1"),
    Case('{"cniVersion": "0.4.0", "name": "pods", "ipam": IPAM}', "0.4.0"),
    Case('{"cniVersion": "1.1.0", "name": "pods", "ipam": IPAM}', "1.1.0"),
    Case('{"cniVersion": "1.1.0", "cniVersion": "0.2.0", "name": "pods", "ipam": IPAM}', "0.2.0"),
    Case(' \t\r\n{"cniVersion":"1.0.0","name":"p.o_d-s","ipam":IPAM}\n', "1.0.0"),
    Case('{"cniVersion": "1.0.0", "name": "pods", "x": [1e3, -0.0, 9e99, "\\u00fc"], "ipam": IPAM}', "1.0.0"),
    Case(f'{{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM, "x": {"[" * 127}1{"]" * 127}}}', "1.0.0"),
    Case(f'{{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM, "x": {"[" * 128}1{"]" * 128}}}', code=6),
    Case('{"cniVersion": "1.0", "name": "pods", "ipam": IPAM}', code=1),
    Case('{"cniVersion": " ", "name": "pods", "ipam": IPAM}', code=1),
    Case('{"cniVersion": "1.2.0", "name": "pods", "ipam": IPAM}', code=1),
    Case('{"cniVersion": "1.0.0\\n", "name": "pods", "ipam": IPAM}', code=1),
    Case('{"cniVersion": 1, "name": "pods", "ipam": IPAM}', code=7),
    Case('{"cniVersion": ["1.0.0"], "name": "pods", "ipam": IPAM}', code=7),
    Case('{"cniVersion": "1.0.0", "ipam": IPAM}', code=7),
    Case('{"cniVersion": "1.0.0", "name": "", "ipam": IPAM}', code=7),
    Case('{"cniVersion": "1.0.0", "name": null, "ipam": IPAM}', code=7),
    Case('{"cniVersion": "1.0.0", "name": "-pods", "ipam": IPAM}', code=7),
    Case('{"cniVersion": "1.0.0", "name": "p\\u00f6ds", "ipam": IPAM}', code=7),
    Case('\ufeff{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM}', code=6),
    Case('{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM, "x": NaN}', code=6),
    Case('{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM, "x": "\\ud800"}', code=6),
    Case('{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM, "x": "\udcff"}', code=6),
    Case('{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM, "x": "\t"}', code=6),
    Case('{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM,}', code=6),
    Case('{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM} {}', code=6),
    Case('{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM', code=6),
    Case('{"cniVersion": "1.0.0", "name": "pods", "ipam": IPAM, "x": 01}', code=6),
]
"""What a runtime hands to the plugin, and what stands in files alike."""

SECTIONS: Final[list[dict[str, Any]]] = [
    {"timeout": "10"},
    {"timeout": 0},
    {"timeout": 601},
    {"timeout": True},
    {"timeout": None},
    {"status": "always"},
    {"status": ["service"]},
    {"status": None},
    {"node": 5},
    {"node": ""},
    {"node": "a\nb"},
    {"node": "x" * 254},
    {"cluster": None},
    {"stateDir": "relative"},
    {"stateDir": None},
    {"tokenFile": ""},
    {"caFile": True},
    {"endpoint": 8750},
    {"endpoint": []},
    {"endpoint": [7]},
    {"endpoint": "127.0.0.1:8750"},
    {"endpoint": "ftp://127.0.0.1"},
]
"""What no `ipam` object may say: code 7, from whoever reads it."""
