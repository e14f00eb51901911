"""Opening disks outside of machines, and closing them: mounts, servers, a shell. One at a time in one place."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tinycloud.drivers.guestfs.appliance import find_kvm, make_env
from tinycloud.drivers.opened import Card, Cards, Place, guestmount, loop, nbd
from tinycloud.drivers.opened.card import make_id
from tinycloud.engine.here import get_here
from tinycloud.engine.lock import hold_lock
from tinycloud.engine.which import find_disk, must_be_idle
from tinycloud.engine.who import make_who
from tinycloud.errors import InUse, NotFound, Refused, WrongInput, make_did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tinycloud.engine.parts import Parts

_LONGEST_SOCKET = 107
PORT = 10809
"""NBD's own."""


@dataclass(frozen=True, slots=True)
class Served:
    """A disk that is served: its card, and the address for clients."""

    card: Card
    uri: str


class Opener:
    """Opens disks of one cloud."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._host = get_here(parts)
        self._shell = self._host.shell
        self._cards = Cards(parts.state / "opened")

    def list_opened(self) -> list[Card]:
        """Everything that is open, or was when something was killed."""
        return self._cards.list()

    # mounts

    def mount(self, ref: str, folder: Path, *, write: bool = False, partition: str = "", through_kernel: bool = False) -> Card:
        """Mount a disk's file systems; raises Refused with nothing left behind, InUse for what must not be written now."""
        disk = find_disk(self._parts, ref, write=write)
        if through_kernel:
            must_be_idle(disk)
        where = folder.expanduser().absolute()
        card = Card(make_id("mount", str(where)), "loop" if through_kernel else "guestmount", disk.ref, disk.path, str(where), write)
        with self._opening(card, f"tinycloud image unmount {where}") as place:
            self._cards.put(replace(card, made_folder=_ensure_empty(where)))
            if through_kernel:
                loop.mount(place, self._shell, disk, str(where), partition, write=write)
            else:
                guestmount.mount(place, disk, str(where), partition, write=write, env=self._appliance())
        return card

    def unmount(self, folder: Path) -> Card:
        """Unmount what :meth:`mount` mounted there, or what is left of it; raises NotFound."""
        where = str(folder.expanduser().absolute())
        card = self._cards.find(make_id("mount", where))
        if card is None:
            known = [card.where for card in self.list_opened() if card.how != "nbd"]
            raise NotFound(
                f"nothing of ours is mounted at {where}", facts=known, hint=make_did_you_mean(where, known) or "tinycloud image opened"
            )
        return self._close_alone(card)

    def make_shell_argv(self, ref: str, *, write: bool = False, partition: str = "") -> list[str]:
        """guestfish on a disk, for a person at a terminal. ``partition`` none: nothing is mounted."""
        disk = find_disk(self._parts, ref, write=write)
        words = guestmount.make_words(disk, "" if partition == "none" else partition, write=write)
        if partition == "none":
            words = [word for word in words if word != "-i"]
        return guestmount.make_shell_argv(words, self._appliance())

    def _appliance(self) -> list[str]:
        return make_env(has_kvm=find_kvm(self._shell))

    # servers

    def serve(self, ref: str, *, socket: str = "", address: str = "", port: int = PORT, write: bool = False, tls: str = "") -> Served:
        """Serve a disk over NBD, on a unix socket unless an ``address`` is given; returns when clients can connect."""
        disk = find_disk(self._parts, ref, write=write)
        must_be_idle(disk)
        id = make_id("serve", disk.ref)
        where = f"tcp:{address}:{port}" if address else f"unix:{socket or self._cards.folder_of(id) / 'socket'}"
        _check_address(address, where, socket, tls)
        self._check_certificates(tls)
        card = Card(id, "nbd", disk.ref, disk.path, where, write)
        with self._opening(card, f"tinycloud image unserve {disk.ref}") as place:
            self._cards.put(card)
            nbd.serve(place, disk, where, write=write, tls=tls)
            if not address:
                nbd.give_socket(self._shell, where.partition(":")[2])
        return Served(card, nbd.make_uri(where, tls=bool(tls)))

    def wait_served(self, served: Served) -> None:
        """Return when the server has ended."""
        while numbers := self._place(served.card).list_processes():
            self._shell.run(["timeout", "86400", "tail", f"--pid={numbers[0]}", "-f", "/dev/null"], limit=90_000, check=False)

    def unserve(self, ref: str) -> Card:
        """End the server of a disk; raises NotFound."""
        servers = [card for card in self.list_opened() if card.how == "nbd"]
        card = next((card for card in servers if ref in (card.ref, card.where.partition(":")[2])), None)
        if card is None:
            known = [card.ref for card in servers]
            raise NotFound(f'"{ref}" is not served', facts=known, hint=make_did_you_mean(ref, known) or "tinycloud image opened")
        return self._close_alone(card)

    def _check_certificates(self, tls: str) -> None:
        for name in nbd.CERTIFICATES if tls else ():
            if self._shell.run(["test", "-r", f"{tls}/{name}"], root=True, check=False).status != 0:
                raise WrongInput(f"--tls: there is no {tls}/{name}", code="no-file", facts=[f"needed: {', '.join(nbd.CERTIFICATES)}"])

    # both

    def _place(self, card: Card) -> Place:
        return Place(self._shell, str(self._cards.folder_of(card.id)))

    @contextmanager
    def _opening(self, card: Card, close: str) -> Iterator[Place]:
        """The place for something new; whatever goes wrong meanwhile, Ctrl-C too, leaves nothing."""
        with self._hold(card.id):
            present = self._cards.find(card.id)
            if present is not None:
                self._refuse_second(present, close)
                self._close(present)
            place = self._place(card)
            place.make_folder()
            try:
                yield place
            except BaseException:
                self._close(self._cards.find(card.id) or card)
                raise

    @contextmanager
    def _hold(self, id: str) -> Iterator[None]:
        with hold_lock(self._parts.locks, f".opened-{id}", make_who(), wait=5.0, label="this disk or folder"):
            yield

    def _refuse_second(self, present: Card, close: str) -> None:
        """What is left of something that was killed is cleared away; what lives is in use."""
        if self._place(present).list_processes():
            what = "served at" if present.how == "nbd" else "mounted at"
            raise InUse(f"{present.ref} is {what} {present.where.removeprefix('unix:').removeprefix('tcp:')} already", hint=close)

    def _close_alone(self, card: Card) -> Card:
        with self._hold(card.id):
            self._close(card)
        return card

    def _close(self, card: Card) -> None:
        """Take down every piece that is there; the card goes last."""
        place = self._place(card)
        if card.how == "loop":
            loop.unmount(place, self._shell, card.where)
        elif card.how == "guestmount":
            guestmount.unmount(place, card.where)
        else:
            nbd.stop(place, self._shell, card.where)
        place.remove_folder()
        if card.made_folder:
            self._shell.run(["rmdir", "--ignore-fail-on-non-empty", card.where], root=True, check=False)
        self._cards.remove(card.id)


def _ensure_empty(folder: Path) -> bool:
    """True when the folder was made; raises for one that holds anything, which a mount would hide."""
    if not folder.exists():
        try:
            folder.mkdir()
        except OSError as err:
            raise WrongInput(f"cannot make the folder {folder}: {err.strerror}", code="no-file", hint=f"mkdir -p {folder}") from err
        return True
    if not folder.is_dir() or any(folder.iterdir()):
        raise WrongInput(
            f"{folder} is {'not empty' if folder.is_dir() else 'not a folder'}", code="not-empty", hint="an empty or new folder"
        )
    return False


def _check_address(address: str, where: str, socket: str, tls: str) -> None:
    """Only loopback is open to whoever knocks; certificates have to be there before a server looks for them."""
    if address and socket:
        raise WrongInput("--socket and --address: one of them", code="usage")
    if not address and len(where.removeprefix("unix:").encode()) > _LONGEST_SOCKET:
        raise WrongInput(f"a socket's path has at most {_LONGEST_SOCKET} bytes", hint="--socket /tmp/disk.socket")
    if address and not tls and not _is_loopback(address):
        raise Refused(
            f"{address} is not loopback, and without TLS everybody who reaches it reads the disk",
            code="needs-tls",
            hint=f"--tls FOLDER with {', '.join(nbd.CERTIFICATES)}",
        )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
