"""What a value of netlink says, to compare two of them: they have no equality of their own."""


def said_by(value: object) -> dict[str, object]:
    """Each of its fields; the values of which there may be thousands have slots."""
    names: tuple[str, ...] = getattr(type(value), "__slots__", None) or tuple(vars(value))
    return {name: getattr(value, name) for name in names}
