"""A Raspberry Pi to test with, without one: an arm64 Debian 12 under qemu-user, with an sshd of its own on loopback.

It proves deployment, wheels, kernels and numerics. Its times are the emulator's and nobody's else.

The system is unpacked once into the user's cache. Each run has a private user and mount namespace, in which the kernel
runs arm64 programs by qemu: nothing of this machine's own is changed. Needs root, mmdebstrap, qemu-user-static,
openssh-client, and Linux 6.7 or later.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VERSION = "2"
"""Of the recipe below: another one makes another folder in the cache."""
PACKAGES = (
    "base-files,base-passwd,libc-bin,bash,dash,coreutils,grep,sed,findutils,mawk,tar,gzip,hostname,procps,passwd,"
    "python3,python3-venv,openssh-server,openssh-sftp-server,ca-certificates,libstdc++6"
)
SUITE = "bookworm"
BINFMT = Path("usr/lib/binfmt.d/qemu-aarch64.conf")
# The Pi 4's: qemu's own default computes int8 wrongly.
CPU = "cortex-a72"
CPUINFO = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Hardware\t: BCM2835
Revision\t: c03114
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey /etc/ssh/test_host_key
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
Subsystem sftp internal-sftp
SetEnv QEMU_CPU={cpu} PYTHONDONTWRITEBYTECODE=1
"""


@dataclass(frozen=True)
class Board:
    """A running board. ``config`` is for ``ssh -F``; the host's name in it is ``board``."""

    root: Path
    config: Path

    @property
    def home(self) -> Path:
        """Of the user pi, seen from here."""
        return self.root / "srv/pi"


def unpacked() -> Path:
    """The system's folder, made when it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octopix-tests"
    root = cache / f"board-{SUITE}-{VERSION}"
    if not root.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        part = cache / f".part-{os.getpid()}"
        shutil.rmtree(part, ignore_errors=True)
        _bootstrap(part)
        _furnish(part)
        part.rename(root)
    return root


@contextlib.contextmanager
def running_board(folder: Path) -> Iterator[Board]:
    """The board with an empty home folder; ``folder`` receives keys and the log of its sshd."""
    root = unpacked()
    home = root / "srv/pi"
    shutil.rmtree(home, ignore_errors=True)
    (home / ".ssh").mkdir(parents=True)
    port = _free_port()
    _keys(root, folder)
    (root / "etc/ssh/sshd_config").write_text(CONFIG.format(port=port, cpu=CPU))
    for path in (home, *home.rglob("*")):
        os.chown(path, 1000, 1000)
    config = folder / "ssh_config"
    config.write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {port}\n  User pi\n  IdentityFile {folder}/key\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking accept-new\n"
    )
    with (folder / "sshd.log").open("wb") as log:
        process = _start(root, log)
        try:
            _wait(port, process, folder / "sshd.log")
            yield Board(root, config)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
            shutil.rmtree(home, ignore_errors=True)


def _bootstrap(root: Path) -> None:
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    mirror = next(line.split()[0] for line in listed.stdout.splitlines() if line.endswith(f" {SUITE}"))
    hooks = "/usr/share/mmdebstrap/hooks/merged-usr"
    words = ["--quiet", "--mode=root", "--variant=extract", "--architectures=arm64", f"--hook-dir={hooks}"]
    words += [f"--include={PACKAGES}", SUITE, str(root), f"deb {mirror} {SUITE} main"]
    subprocess.run(["mmdebstrap", *words], check=True)


def _furnish(root: Path) -> None:
    """What the packages' own scripts would have made, and a kernel's files as ordinary ones."""
    base = root / "usr/share/base-passwd"
    users = "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\npi:x:1000:1000::/srv/pi:/bin/bash\n"
    files = {
        "etc/passwd": (base / "passwd.master").read_text() + users,
        "etc/group": (base / "group.master").read_text() + "pi:x:1000:\n",
        "etc/shadow": "root:*:19000::::::\npi:*:19000::::::\n",
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "etc/hosts": "127.0.0.1 localhost board\n",
        "proc/cpuinfo": CPUINFO,
        "proc/meminfo": "MemTotal:        3884360 kB\nMemAvailable:    3145728 kB\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "sys/devices/system/cpu/possible": "0-3\n",
        "sys/devices/system/cpu/present": "0-3\n",
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "run/sshd").mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name, minor in (("null", 3), ("zero", 5), ("urandom", 9)):
        device = root / "dev" / name
        if not device.exists():
            os.mknod(device, 0o666 | 0o020000, os.makedev(1, minor))
        device.chmod(0o666)


def _keys(root: Path, folder: Path) -> None:
    for path in (folder / "key", root / "etc/ssh/test_host_key"):
        for each in (path, path.with_name(f"{path.name}.pub")):
            each.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    shutil.copy(folder / "key.pub", root / "srv/pi/.ssh/authorized_keys")


def _start(root: Path, log) -> "subprocess.Popen[bytes]":  # type: ignore[no-untyped-def]
    """sshd inside the system, in a namespace where arm64 programs run."""
    rule = (Path("/") / BINFMT).read_text().strip()
    script = (
        "read -r _ && mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && "
        'printf "%s" "$1" > /proc/sys/fs/binfmt_misc/register && '
        'for name in null zero urandom; do mount --bind "/dev/$name" "$2/dev/$name" || exit; done && '
        'exec chroot "$2" /usr/sbin/sshd -D -e'
    )
    process = subprocess.Popen(
        ["unshare", "--user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", rule, str(root)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "QEMU_CPU": CPU},
    )
    time.sleep(0.3)  # until unshare has made the namespace whose maps are written here
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{process.pid}/{name}").write_text("0 0 65536\n")
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()
    return process


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.2)
    raise AssertionError(f"the board's sshd does not answer: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
