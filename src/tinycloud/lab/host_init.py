"""Process 1 of a lab host: makes the host's private mounts, starts its daemons, then reaps orphans until it is killed.

Run as a file, with nothing but the standard library, inside fresh network, mount, UTS and PID namespaces::

    python host_init.py FOLDER

``FOLDER`` holds what :mod:`tinycloud.lab.lab` wrote for this host. When this process dies, the kernel ends every process
of the host and drops its mounts: there is nothing else to clean up.
"""

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

PRIVATE = {
    "libvirt": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "etc": "/etc/libvirt",
    "pki": "/etc/pki",  # where libvirt and QEMU look for certificates
    "state": "/var/lib/tinycloud",
}


def call(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def make_mounts(folder: Path) -> None:
    call("mount", "--make-rprivate", "/")
    call("mount", "-t", "proc", "proc", "/proc")
    call("mount", "-t", "sysfs", "sys", "/sys")  # libvirt looks for its bridges in /sys/class/net: this namespace's own
    for name, place in PRIVATE.items():
        Path(place).mkdir(parents=True, exist_ok=True)
        call("mount", "--bind", str(folder / name), place)
    call("mount", "-t", "tmpfs", "-o", "mode=755", "lab", "/run")
    for name in ("libvirt", "sshd", "lock"):
        Path("/run", name).mkdir()
    call("mount", "-t", "tmpfs", "-o", "mode=755", "lab", "/etc/ssh")
    for source in (folder / "ssh").iterdir():
        target = Path("/etc/ssh", source.name)
        target.write_bytes(source.read_bytes())
        target.chmod(source.stat().st_mode & 0o777)
    call("mount", "--bind", str(folder / "hosts"), "/etc/hosts")
    unlock_root()
    forget_settings()


def forget_settings() -> None:
    """A fresh server's root has no settings of a shell; the tester's own, read for each command that comes by ssh, may take long."""
    for name in (".bashrc", ".zshenv"):
        if (path := Path(pwd.getpwuid(0).pw_dir, name)).is_file():
            call("mount", "--bind", "/dev/null", str(path))


def unlock_root() -> None:
    """sshd turns away keys for an account locked with ``!``; give the lab its own view where root's is."""
    lines = Path("/etc/shadow").read_text().splitlines(keepends=True)
    if not any(line.startswith("root:!") for line in lines):
        return
    private = Path("/run/shadow")
    private.touch(mode=0o600)
    private.write_text("".join("root:*:19000:0:99999:7:::\n" if line.startswith("root:") else line for line in lines))
    call("mount", "--bind", str(private), "/etc/shadow")


def start_daemons() -> None:
    call("ip", "link", "set", "lo", "up")
    call("virtlogd", "-d")
    call("libvirtd", "-d")
    call("/usr/sbin/sshd", "-f", "/etc/ssh/sshd_config")


def reap_forever() -> None:
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            signal.pause()


def main() -> None:
    folder = Path(sys.argv[1])
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.chdir("/")
    try:
        make_mounts(folder)
        call("hostname", (folder / "name").read_text())
        start_daemons()
    except BaseException:
        (folder / "failed").touch()
        raise
    (folder / "started").touch()
    reap_forever()


if __name__ == "__main__":
    main()
