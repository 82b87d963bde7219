"""`ipamctl`: what admins do, over REST only."""

import io
import sys

from ipamd.ctl.application import application
from ipamd.ctl.failure import ExitCode
from ipamd.ctl.render import complain


def main() -> None:
    """The entry point of `ipamctl`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows its escape, where Python would give up.
            stream.reconfigure(errors="backslashreplace")
    for argument in sys.argv[1:]:
        # Python hides bytes that are not UTF-8 in surrogates, which neither a URL nor JSON can carry.
        if any("\ud800" <= character <= "\udfff" for character in argument):
            complain(f"{argument!r} is not UTF-8: write it in UTF-8")
            sys.exit(ExitCode.USAGE)
    application(prog_name="ipamctl")
