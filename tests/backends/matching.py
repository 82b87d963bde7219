"""Which rows a list is of, by what the rows themselves say."""

from typing import Any

from ipamd.models.allocation import Allocation
from ipamd.models.identity import Identity


def matches(row: Allocation, filters: dict[str, Any]) -> bool:
    """Whether a container's row has the values of all filters."""
    assert isinstance(row.holder, Identity)
    of_row = {
        "node": row.holder.node,
        "cluster": row.holder.cluster,
        "namespace": row.workload.namespace,
        "name": row.workload.name,
    }
    return all(of_row[name] == value for name, value in filters.items())
