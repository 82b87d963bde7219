"""`ipamd`: the service's own command."""

from ipamd.cli.application import application


def main() -> None:
    """The entry point of `ipamd`."""
    application(prog_name="ipamd")
