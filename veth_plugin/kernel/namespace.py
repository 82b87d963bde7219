"""The network namespace of a container, open, and the way into it and back."""

from __future__ import annotations

import os

from cni_plugin import platform
from cni_plugin.failure import INVALID_NAMESPACE, IO_FAILURE, Failure, reason
from cni_plugin.quoting import show
from netlink.connection import ROUTE
from veth_plugin.kernel import sysctl
from veth_plugin.kernel.asking import connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from veth_plugin.attachment import Attachment

_OWN = "/proc/self/ns/net"
_NO_NAMESPACE = 22  # what setns says of another file


class Namespace:
    """The namespace of an attachment; `routing` asks the kernel in it."""

    def __init__(self, attachment: Attachment) -> None:
        """Open it; Failure 8 if it is gone, no network namespace, or the plugin's own."""
        self._home = _open(_OWN)
        try:
            self._file = _open(attachment.netns)
        except Failure:
            platform.close(self._home)
            raise
        try:
            if not attachment.netns_override:
                self._refuse_own(attachment.netns)
            self._enter(attachment.netns)
            try:
                self.routing = connect(ROUTE)
            finally:
                self._leave()
        except Failure:
            self._close_files()
            raise

    @property
    def file(self) -> int:
        """The open file, by which requests name it."""
        return self._file

    def write(self, settings: list[tuple[str, str]]) -> None:
        """Change settings of the kernel inside; those that it does not have are left out. Failure 5."""
        self._enter("")
        try:
            for key, value in settings:
                sysctl.write(key, value)
        except OSError as error:
            raise Failure(IO_FAILURE, f"sysctl {key} of the container: {reason(error)}") from error
        finally:
            self._leave()

    def be_home(self) -> None:
        """See to it that this process is where it began, also after going back has failed. Failure 5."""
        try:
            self._leave()
        except OSError as error:
            raise Failure(IO_FAILURE, f"going back to the node's namespace: {reason(error)}") from error

    def close(self) -> None:
        self.routing.close()
        self._close_files()

    def _refuse_own(self, path: str) -> None:
        if _identity(self._file) == _identity(self._home):
            raise Failure(INVALID_NAMESPACE, f"CNI_NETNS {show(path)} is where the plugin itself runs")

    def _enter(self, path: str) -> None:
        try:
            platform.enter_namespace(self._file)
        except OSError as error:
            why = "not a network namespace" if error.errno == _NO_NAMESPACE else reason(error)
            raise Failure(INVALID_NAMESPACE, f"CNI_NETNS {show(path)}: {why}") from error

    def _leave(self) -> None:
        """Go back; OSError if that fails, since nothing may be done in the wrong namespace."""
        platform.enter_namespace(self._home)

    def _close_files(self) -> None:
        platform.close(self._file)
        platform.close(self._home)


def is_there(path: str) -> bool:
    """Tell whether something is at a path."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _open(path: str) -> int:
    try:
        return platform.open_file(path, platform.O_RDONLY | platform.O_CLOEXEC | platform.O_NONBLOCK)
    except OSError as error:
        raise Failure(INVALID_NAMESPACE, f"CNI_NETNS {show(path)}: {reason(error)}") from error


def _identity(file: int) -> tuple[int, int]:
    """Give device and inode of an open file."""
    status = os.stat(f"/proc/self/fd/{file}")
    return status[2], status[1]
