"""Every name, UUID, MAC and device name, derived by hash: the same words give the same bytes on every host.

Nothing here is random, so two runs of one plan make the same things and a half-made thing is found again.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tinycloud.model.show import show

NAMESPACE: Final = "urn:tinycloud:1"
_ROOT: Final = uuid.uuid5(uuid.NAMESPACE_URL, NAMESPACE)

POOL: Final = "tinycloud"
"""What libvirt calls the main pool of a host: where images, seeds and notes are, and disks unless their group says otherwise."""

DEFAULT_POOL: Final = "default"
"""What people call it."""

VOLUME_FORMATS: Final = ("qcow2", "raw")
"""Of volumes that belong to no stack; a machine's own disks are qcow2."""

NAME: Final = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,30}")
NAME_RULE: Final = "a small letter, then small letters, digits and single dashes, at most 31 characters"
_SHA: Final = re.compile(r"[0-9a-f]{64}")
_MACHINE: Final = re.compile(r"[a-z][a-z0-9-]*-\d+")
_ENDINGS: Final = {"seed": "iso", "prep": "json"}
_ROLE: Final = re.compile(rf"disk-\d+|seed-\w+|prep-\d+-\w+|vol-{NAME.pattern}")


def check_name(name: object) -> str:
    """The name itself when it may name a stack, group, network, volume, policy, input or image; else ValueError.

    The rule is what libvirt, DNS (RFC 1123) and file systems all accept; a dot separates names in volume names.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"found {show(name)}, expected {NAME_RULE}")
    return name


def make_machine_name(group: str, index: int) -> str:
    return f"{group}-{index}"


def make_domain_name(stack: str, machine: str) -> str:
    return f"{stack}-{machine}"


def make_network_name(stack: str, network: str) -> str:
    return f"{stack}-{network}"


def make_uuid(*words: str) -> str:
    """UUID version 5 of the words, e.g. ``make_uuid("machine", "shop", "web-1")``."""
    return str(uuid.uuid5(_ROOT, "/".join(words)))


def make_machine_uuid(stack: str, machine: str) -> str:
    return make_uuid("machine", stack, machine)


def make_network_uuid(stack: str, network: str) -> str:
    return make_uuid("network", stack, network)


def _digest(*words: str) -> str:
    return sha256("/".join(words).encode()).hexdigest()


def make_mac(stack: str, machine: str, network: str, nth: int = 0) -> str:
    """A locally administered unicast MAC: ``52`` and 40 bits of hash. ``nth`` gives the next one after a collision."""
    digest = _digest("mac", stack, machine, network, str(nth))
    return ":".join(["52", *(digest[i : i + 2] for i in range(0, 10, 2))])


def make_link_local(mac: str) -> str:
    """The IPv6 address that a NIC gives itself on its link, RFC 4291 appendix A, in the shortest form (the first byte is never 2)."""
    b = bytes.fromhex(mac.replace(":", ""))
    return f"fe80::{(b[0] ^ 2) << 8 | b[1]:x}:{b[2] << 8 | 0xFF:x}:{0xFE00 | b[3]:x}:{b[4] << 8 | b[5]:x}"


def make_bridge(stack: str, network: str) -> str:
    """The bridge of a network. Linux allows 15 characters."""
    return "tc-" + _digest("bridge", stack, network)[:8]


def make_gateway_mac(stack: str, network: str) -> str:
    """The MAC of a network's bridge: the same on every host, so that a guest that moves finds its gateway where it was."""
    return make_mac(stack, "", network)


def make_router_mac(stack: str, network: str, host: str) -> str:
    """The MAC with which one host sends into a network what it routed there, for machines on other hosts."""
    return make_mac(stack, f"@{host}", network)


OVERLAY: Final = "tx-"
"""What the names of our VXLAN devices begin with."""


def make_overlay(bridge: str) -> str:
    """The device that joins a bridge to the same network's bridges on other hosts."""
    return OVERLAY + _digest("overlay", bridge)[:8]


_LOWEST_VNI: Final = 4096
"""Those below are left to people, who like small numbers."""


def make_vni(stack: str, network: str) -> int:
    """The number of a network in VXLAN: 24 bits."""
    return _LOWEST_VNI + int(_digest("vni", stack, network)[:12], 16) % (2**24 - _LOWEST_VNI)


def make_tap(stack: str, machine: str, mac: str) -> str:
    """The host's end of a NIC; fixed, so that filters can stand before it exists, and not ``vnet*``, which libvirt renames.

    By its MAC: a NIC that stays keeps it when others come and go.
    """
    return f"tc{_digest('tap', stack, machine, mac)[:12]}"


@dataclass(frozen=True, slots=True)
class VolumeName:
    """What a volume in our pool is for, said by its name: ``shop.web-1.disk-1.qcow2``.

    ``role`` is ``disk-N`` (root disk, N counts replacements), ``seed-DIGEST`` (NoCloud seed, by its content), ``prep-N-DIGEST``
    (says that disk N was prepared so) or ``vol-NAME`` (data volume). A stack's own note is ``shop.note-DIGEST.json`` with machine ``""``.
    """

    stack: str
    machine: str
    role: str

    def __str__(self) -> str:
        if not self.machine:
            return f"{self.stack}.{self.role}.json"
        return f"{self.stack}.{self.machine}.{self.role}.{_ENDINGS.get(self.role.partition('-')[0], 'qcow2')}"

    @property
    def is_seed(self) -> bool:
        return self.role.startswith("seed-")

    @property
    def is_data(self) -> bool:
        return self.role.startswith("vol-")


def disk_name(stack: str, machine: str, generation: int) -> str:
    return str(VolumeName(stack, machine, f"disk-{generation}"))


def seed_name(stack: str, machine: str, digest: str) -> str:
    return str(VolumeName(stack, machine, f"seed-{digest[:12]}"))


def prepared_name(stack: str, machine: str, generation: int, digest: str) -> str:
    """The volume that says, by being there, that the root disk of that generation was prepared so; written last."""
    return str(VolumeName(stack, machine, f"prep-{generation}-{digest[:12]}"))


def data_name(stack: str, machine: str, volume: str) -> str:
    return str(VolumeName(stack, machine, f"vol-{volume}"))


def note_name(stack: str, digest: str) -> str:
    """The volume that keeps what was asked for: file, inputs, secrets."""
    return str(VolumeName(stack, "", f"note-{digest[:12]}"))


def free_volume_name(name: str, format: str) -> str:
    """The file of a volume that belongs to no stack: ``volume-NAME.qcow2``, or ``.raw``."""
    return f"volume-{name}.{format}"


def find_free_volume(text: str) -> tuple[str, str] | None:
    """(name, format) of a volume that belongs to no stack, or None for any other file."""
    stem, _, format = text.removeprefix("volume-").partition(".")
    fits = text.startswith("volume-") and NAME.fullmatch(stem) and format in VOLUME_FORMATS
    return (stem, format) if fits else None


def make_secret_uuid(volume: str) -> str:
    """The UUID under which libvirt keeps the passphrase of an encrypted volume."""
    return make_uuid("secret", volume)


def find_volume_name(text: str) -> VolumeName | None:
    """The parts of a volume name of ours, or None for any other file."""
    words = text.split(".")
    if not NAME.fullmatch(words[0]):
        return None
    if len(words) == 3 and words[1].startswith("note-") and words[2] == "json":
        return VolumeName(words[0], "", words[1])
    if len(words) != 4 or not _MACHINE.fullmatch(words[1]) or not _ROLE.fullmatch(words[2]):
        return None
    name = VolumeName(words[0], words[1], words[2])
    return name if str(name) == text else None


def make_serial(volume: str) -> str:
    """The serial number of a data disk, by which a guest finds it: ``/dev/disk/by-id/virtio-SERIAL``. Virtio holds 20 letters."""
    return volume[:20]


def make_pool_name(pool: str) -> str:
    """What libvirt calls a pool: ``tinycloud-fast``, and ``tinycloud`` for the main one."""
    return POOL if pool == DEFAULT_POOL else f"{POOL}-{pool}"


def make_pool_uuid(pool: str) -> str:
    return make_uuid("pool", make_pool_name(pool))


def find_pool_name(libvirt_name: str, uuid: str) -> str | None:
    """What people call a pool of libvirt's, None for one that is not ours: its UUID is not the one derived from its name."""
    pool = DEFAULT_POOL if libvirt_name == POOL else libvirt_name.removeprefix(f"{POOL}-")
    return pool if make_pool_name(pool) == libvirt_name and make_pool_uuid(pool) == uuid else None


def pool_card_name(pool: str) -> str:
    """The small JSON volume of the main pool that says what a pool is; written last, so a pool without it is half made."""
    return f"pool-{pool}.json"


def find_pool_card(text: str) -> str | None:
    """The pool of a card, or None for any other file."""
    pool = text.removeprefix("pool-").removesuffix(".json")
    return pool if NAME.fullmatch(pool) and pool_card_name(pool) == text else None


def image_name(sha: str) -> str:
    """The volume that holds an image: ``image-<sha256>``."""
    return f"image-{sha}"


def image_card_name(sha: str) -> str:
    """The small JSON volume beside an image that says what it is; written last, so an image without it is half made."""
    return f"image-{sha}.json"


def find_image_sha(text: str) -> str | None:
    """The sha256 in the name of an image volume (not of its card), or None."""
    sha = text.removeprefix("image-")
    return sha if sha != text and _SHA.fullmatch(sha) else None
