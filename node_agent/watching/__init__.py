"""What lives on this node: which of its allocations belong to containers that are gone."""
