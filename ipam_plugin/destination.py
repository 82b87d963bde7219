"""A destination: endpoints, and the credential files that belong to them."""

from __future__ import annotations

from cni_plugin import endpoint
from cni_plugin.endpoint import HTTPS, Endpoint
from cni_plugin.quoting import quote, show
from ipam_plugin.credentials import KEYS, Credentials


class Unusable(ValueError):
    """A key of a destination has a wrong value. The text says which key, what is wrong, and the value."""

    def __init__(self, key: str, why: str, value: object) -> None:
        super().__init__(f"{key}: {why}, not {show(value)}")
        self.key = key


class Destination:
    """Endpoints in the order of the attempts, and the only credentials that are sent to them."""

    def __init__(self, endpoints: list[Endpoint], paths: dict[str, str]) -> None:
        self.endpoints = endpoints
        self.credentials = Credentials(paths)
        self.uses_tls = any(one.scheme == HTTPS for one in endpoints)

    def load(self) -> None:
        """Read the credentials, so that a call without usable ones asks nobody. Failure 5 or 7."""
        self.credentials.token()
        if self.uses_tls:
            self.credentials.tls()

    def is_but_for_its_token(self, tokenless: Destination) -> bool:
        """Tell whether another is the same without a token: then it may have ours."""
        paths = self.credentials.paths.copy()
        paths["tokenFile"] = ""
        return tokenless.credentials.paths == paths and tokenless.texts() == self.texts()

    def texts(self) -> list[str]:
        """Give the endpoints as they were written."""
        return [one.text for one in self.endpoints]

    def encode(self) -> str:
        """Give the members of a JSON object from which read() makes the destination again."""
        members = ['"endpoint":[' + ",".join([quote(one) for one in self.texts()]) + "]"]
        members += [f'"{key}":{quote(path)}' for key, path in self.credentials.paths.items() if path]
        return ",".join(members)


def read(values: dict[str, object], default: list[str], default_token: str) -> Destination:
    """Make a destination from the keys of a configuration, of node.json or of a spooled entry.

    Raises Unusable for wrong values, and if a token would travel unencrypted.
    """
    endpoints = _endpoints(values, default)
    paths = {key: absolute_path(values, key, "") for key in KEYS}
    if not paths["tokenFile"]:
        paths["tokenFile"] = default_token
    for one in endpoints:
        if paths["tokenFile"] and not one.keeps_secrets():
            raise Unusable(
                "endpoint", "a token is not sent over http:// beyond loopback; use https://", one.text
            )
        if one.scheme == HTTPS and not paths["caFile"]:
            raise Unusable("caFile", "must name the authority's certificate for https://", None)
    for key, partner in (("certFile", "keyFile"), ("keyFile", "certFile")):
        if paths[key] and not paths[partner]:
            raise Unusable(partner, f"must be given together with {key}", None)
    return Destination(endpoints, paths)


def absolute_path(values: dict[str, object], key: str, default: str) -> str:
    """Give the path under a key; Unusable if it is none."""
    path = values.get(key, default)
    if not isinstance(path, str) or (key in values and not path.startswith("/")) or "\0" in path:
        raise Unusable(key, "must be an absolute path", path)
    return path


def _endpoints(values: dict[str, object], default: list[str]) -> list[Endpoint]:
    given = values.get("endpoint", default)
    texts = given if isinstance(given, list) else [given]
    if not texts:
        raise Unusable("endpoint", "must be an endpoint or a list of them", given)
    endpoints = []
    for text in texts:
        if not isinstance(text, str):
            raise Unusable("endpoint", "must be an endpoint or a list of them", given)
        try:
            endpoints.append(endpoint.parse(text))
        except ValueError as error:
            raise Unusable("endpoint", str(error), text) from error
    return endpoints
