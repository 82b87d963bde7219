"""`make test-clean`: commands in a Debian that has nothing yet, as on a newcomer's machine.

    python -m scripts.clean SUITE [--again] COMMAND

makes an empty root of that suite in build/clean, puts a checkout of HEAD into it and runs the command there,
in namespaces of its own: what it mounts, starts and connects is gone with it. With --again it goes on in the
root that the last run left, with HEAD as it is now: for whoever mends what failed there.

apt and pip have the sources of this machine in there, whichever they are.
"""

import ast
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

SOURCE: Final = Path(__file__).parents[1]
WORK: Final = SOURCE / "build" / "clean"
CHECKOUT: Final = Path("srv/ipamd")
CARRIED: Final = Path("srv/machine")
"""Where files of this machine are that apt or pip need."""

KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
INSTALLED: Final = ("git", "make", "python3")
"""What somebody has who has the checkout and types `make`."""

PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy")
NAMESERVER: Final = "10.0.2.3"  # slirp4netns(1): who asks there asks this machine's own
HOSTS: Final = "127.0.0.1 localhost clean\n::1 localhost\n"

ENTER: Final = """
set -eu
read -r
cd "$1"
mount --bind . "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --bind /dev dev
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=0755 tmpfs run
{binds}
pivot_root . mnt
umount --lazy /mnt
hostname clean
cd "/$2"
shift 2
# Not by exec: the first process of a namespace must be one that reaps those of others, as this shell does.
"$@" < /dev/null
exit $?
"""


@dataclass
class Carried:
    """Files and folders of this machine that its settings name, and where they are in the root."""

    root: Path
    folders: dict[Path, Path] = field(default_factory=dict)

    def value(self, text: str) -> str:
        """A setting's value for the root, word by word."""
        return " ".join(self._word(word) for word in text.split())

    def _word(self, word: str) -> str:
        url = urlsplit(word)
        path = Path(unquote(url.path)) if url.scheme == "file" else Path(word)
        if not path.is_absolute() or not path.exists():
            return word
        inside = CARRIED / path.relative_to("/")
        if path.is_dir():
            # The pages of an index link to files beside its own folder.
            seen = path.parent if url.scheme == "file" and path.parent != Path("/") else path
            (self.root / CARRIED / seen.relative_to("/")).mkdir(parents=True, exist_ok=True)
            self.folders[seen] = CARRIED / seen.relative_to("/")
        else:
            (self.root / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.root / inside)
        return f"file:///{inside}" if url.scheme == "file" else f"/{inside}"


def main(arguments: list[str]) -> int:
    if os.geteuid() != 0:
        return complain("it mounts and makes namespaces: run it as root")
    suite, *command = arguments or [""]
    again = command[:1] == ["--again"]
    command = command[1:] if again else command
    if not suite or not command:
        return complain("say which suite of Debian, and what to run there: trixie make demo")
    root = WORK / suite / "root"
    if again and not root.exists():
        return complain(f"{root} is not there: leave --again out")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what it started ends with it
    try:
        with alone(WORK / suite):
            if not again:
                make(suite, root)
            check_out(root)
            return enter(suite, root, command)
    except subprocess.CalledProcessError as error:
        return complain(f"{shlex.join(map(str, error.cmd))} ended with {error.returncode}")


def complain(sentence: str) -> int:
    print(f"scripts/clean: {sentence}", file=sys.stderr)
    return 1


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let nobody else use the folder meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(complain(f"somebody works in {folder} already: wait for them"))
        yield


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def asked(*command: str) -> list[str]:
    """The lines that a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def make(suite: str, root: Path) -> None:
    """Make the root anew, out of the empty one, which is made once."""
    empty = WORK / suite / "empty"
    mirrors = Mirrors.of_this_machine()
    if not empty.exists():
        draft = WORK / suite / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        options = ("--variant=minbase", f"--keyring={KEYRING}", f"--include={','.join(INSTALLED)}")
        run("unshare", "--mount", "debootstrap", *options, suite, draft, mirrors.archive)  # it mounts /proc
        draft.rename(empty)
    shutil.rmtree(root, ignore_errors=True)
    run("cp", "--archive", "--reflink=auto", empty, root)
    (root / "etc/hosts").write_text(HOSTS)
    (root / "etc/resolv.conf").write_text(f"nameserver {NAMESERVER}\n")
    (root / "etc/apt/sources.list").write_text(mirrors.sources(suite))
    (root / "etc/apt/apt.conf.d/90machine").write_text(fetching())


@dataclass(frozen=True)
class Mirrors:
    """Where this machine gets Debian from."""

    archive: str
    security: str | None

    @classmethod
    def of_this_machine(cls) -> "Mirrors":
        named = os.environ.get("DEBIAN_MIRROR")
        known: dict[str, str] = {}
        for line in asked(
            "apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"
        ):
            label, _, uri = line.rpartition(" ")
            known.setdefault(label, uri)
        archive = named or known.get("Debian")
        if archive is None:
            raise SystemExit(
                complain("apt knows no mirror of Debian here; name one: make test-clean DEBIAN_MIRROR=URL")
            )
        return cls(archive, known.get("Debian-Security"))

    def sources(self, suite: str) -> str:
        lines = [f"deb {self.archive} {suite} main", f"deb {self.archive} {suite}-updates main"]
        if self.security is not None:
            lines.append(f"deb {self.security} {suite}-security main")
        return "".join(f"{line}\n" for line in lines)


def fetching() -> str:
    """How apt fetches here: by which proxy, whether a mirror may be old."""
    kinds = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
    return "".join(f"{line}\n" for line in asked("apt-config", "dump") if line.startswith(kinds))


def pip_settings(carried: Carried) -> Mapping[str, str]:
    """What pip is told here, as variables."""
    found: dict[str, dict[str, str]] = {
        "global": {},
        "install": {},
        ":env:": {},
    }  # what counts more comes later
    for line in asked(sys.executable, "-m", "pip", "config", "list"):
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in found and name != "cache-dir":
            found[section][name] = carried.value(ast.literal_eval(value))
    settings = {name: value for section in found.values() for name, value in section.items()}
    return {f"PIP_{name.replace('-', '_').upper()}": value for name, value in settings.items()}


def check_out(root: Path) -> None:
    """Put HEAD into the root, and what is not committed nowhere."""
    checkout = root / CHECKOUT
    run("git", "init", "--quiet", checkout)
    run("git", "-C", checkout, "fetch", "--quiet", "--depth=1", f"file://{SOURCE}", "HEAD")
    run("git", "-C", checkout, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")


def enter(suite: str, root: Path, command: list[str]) -> int:
    """Run a command in the root's checkout; its exit code."""
    carried = Carried(root)
    environment = {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        **{name: os.environ[name] for name in PROXIES if name in os.environ},
        **pip_settings(carried),
    }
    # What was downloaded is not downloaded again; nothing else outlives a root.
    downloads = {
        WORK / suite / "archives": Path("var/cache/apt/archives"),
        WORK / "pip": Path("root/.cache/pip"),
    }
    for outside, inside in downloads.items():
        (outside / "partial").mkdir(parents=True, exist_ok=True)
        (root / inside).mkdir(parents=True, exist_ok=True)
    binds = [f"mount --bind {shlex.quote(str(outside))} {inside}" for outside, inside in downloads.items()]
    binds += [
        f"mount --bind --options ro {shlex.quote(str(outside))} {shlex.quote(str(inside))}"
        for outside, inside in carried.folders.items()
    ]
    script = ENTER.format(binds="\n".join(binds))
    first = ("bash", "-c", script, "clean", str(root), str(CHECKOUT), *command)
    with namespaces(first, environment) as process, network(process, WORK / suite / "network.log"):
        return process.wait()


@contextmanager
def namespaces(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command in namespaces of its own, with all that it starts; it waits for a line on its stdin."""
    own = ("unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child")
    told, begun = os.pipe()
    announced = ("bash", "-c", f'echo >&{begun}; exec {begun}>&-; exec "$@"', "begin", *command)
    process = subprocess.Popen([*own, *announced], env=environment, stdin=subprocess.PIPE, pass_fds=[begun])
    os.close(begun)
    try:
        if os.read(told, 1) != b"\n":  # before that it is still in the network of this machine
            raise subprocess.CalledProcessError(process.wait(), own)
        yield process
    finally:
        os.close(told)
        process.kill()  # and with it its child, the first process of the namespace, and so all
        process.wait()


@contextmanager
def network(process: subprocess.Popen[bytes], log: Path) -> Iterator[None]:
    """Connect a process's network to what this machine reaches, but not to this machine; let it begin."""
    told, ready = os.pipe()
    options = ("--configure", "--disable-host-loopback", f"--ready-fd={ready}")
    with (
        log.open("wb") as said,
        subprocess.Popen(
            ["slirp4netns", *options, str(process.pid), "eth0"], pass_fds=[ready], stdout=said, stderr=said
        ) as slirp,
    ):
        os.close(ready)
        try:
            if os.read(told, 1) != b"1":
                raise subprocess.CalledProcessError(slirp.wait(), slirp.args)
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.close()
            yield
        finally:
            os.close(told)
            slirp.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
