"""Where a guest thinks it is: time zone, locale, and the way to packages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tinycloud.errors import Refused
from tinycloud.templates.guestfiles.changes import Link, WriteFile
from tinycloud.templates.guestfiles.guest import has_openrc
from tinycloud.templates.guestfiles.network import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinycloud.templates.guestfiles.changes import Change
    from tinycloud.templates.guestfiles.guest import Guest


def make_timezone(guest: Guest, zone: str) -> Iterator[Change]:
    """The guest's clock shows the zone. Raises Refused when the guest has no such zone."""
    file = f"/usr/share/zoneinfo/{zone}"
    if not guest.exists(file):
        raise Refused(f'the guest has no time zone "{zone}"', code="no-zone", facts=[f"looked for: {file}"], hint="packages: [tzdata]")
    yield Link("/etc/localtime", file)
    if guest.exists("/etc/timezone") or guest.exists("/usr/bin/apt-get"):
        yield WriteFile("/etc/timezone", f"{zone}\n".encode())


def make_locale(guest: Guest, locale: str) -> Iterator[Change]:
    """Programs of the guest speak that language where they can; :func:`make_locale_script` makes it, where a guest makes its locales."""
    if guest.exists("/etc/default/locale") or guest.exists("/usr/bin/apt-get"):
        yield WriteFile("/etc/default/locale", set_variable(guest.read("/etc/default/locale"), "LANG", locale))
        if guest.exists("/usr/sbin/locale-gen"):
            yield WriteFile("/etc/locale.gen", enable_locale(guest.read("/etc/locale.gen") or b"", locale))
    elif has_openrc(guest):
        yield WriteFile("/etc/profile.d/90-tinycloud-locale.sh", f"{HEAD}export LANG={locale}\n".encode(), 0o644, (0, 0))
    else:
        yield WriteFile("/etc/locale.conf", set_variable(guest.read("/etc/locale.conf"), "LANG", locale))


def make_locale_script(guest: Guest) -> str | None:
    """The command that makes the locales of locale.gen, None where there is none."""
    return "locale-gen" if guest.exists("/usr/sbin/locale-gen") else None


def enable_locale(text: bytes, locale: str) -> bytes:
    """locale.gen with the locale's line in force; C and POSIX are always there."""
    if locale.split(".")[0] in ("C", "POSIX"):
        return text
    charset = locale.split(".")[1].split("@")[0] if "." in locale else "UTF-8"
    wanted = f"{locale} {'UTF-8' if charset.lower() in ('utf8', 'utf-8') else charset}".encode()
    lines = text.split(b"\n")
    if wanted in [line.strip() for line in lines]:
        return text
    for n, line in enumerate(lines):
        if re.fullmatch(rb"#\s*%s\s*" % re.escape(wanted), line):
            lines[n] = wanted
            return b"\n".join(lines)
    return text + (b"" if text.endswith(b"\n") or not text else b"\n") + wanted + b"\n"


def set_variable(text: bytes | None, name: str, value: str) -> bytes:
    """A file of NAME=value lines in which one has that value; every other line stays."""
    lines = (text or b"").split(b"\n")
    entry = f"{name}={value}".encode()
    for n, line in enumerate(lines):
        if line.startswith(f"{name}=".encode()):
            lines[n] = entry
            return b"\n".join(lines)
    return (text or b"") + (b"" if not text or text.endswith(b"\n") else b"\n") + entry + b"\n"


def make_proxy(guest: Guest, url: str) -> Iterator[Change]:
    """The package manager fetches through ``url``: apt, dnf, yum and zypper by their own files, others by the environment."""
    if guest.exists("/usr/bin/apt-get"):
        body = f'Acquire::http::Proxy "{url}";\nAcquire::https::Proxy "{url}";\n'
        yield WriteFile("/etc/apt/apt.conf.d/95tinycloud-proxy", body.encode(), 0o644, (0, 0))
        return
    known = [path for path in ("/etc/dnf/dnf.conf", "/etc/yum.conf") if guest.read(path) is not None]
    for path in known:
        yield WriteFile(path, set_main_option(guest.read(path) or b"", "proxy", url))
    if not known:
        body = f"{HEAD}export http_proxy={url} https_proxy={url}\n"
        yield WriteFile("/etc/profile.d/90-tinycloud-proxy.sh", body.encode(), 0o644, (0, 0))


def set_main_option(text: bytes, name: str, value: str) -> bytes:
    """An ini file in whose section ``[main]`` the option has that value; every other line stays."""
    lines = text.split(b"\n")
    entry = f"{name}={value}".encode()
    section, main = b"", None
    for n, line in enumerate(lines):
        if found := re.match(rb"\s*\[(.*?)\]", line):
            section = found[1]
            main = n if section == b"main" else main
        elif section == b"main" and re.match(rb"\s*%s\s*=" % name.encode(), line):
            lines[n] = entry
            return b"\n".join(lines)
    if main is None:
        return b"[main]\n" + entry + b"\n" + text
    return b"\n".join([*lines[: main + 1], entry, *lines[main + 1 :]])
