"""Appliances: an OVA, or an OVF with its files beside it, becomes images and a stack file to start them with."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tinycloud.drivers.disks.magic import detect_format, find_beside, open_plain, read_at
from tinycloud.drivers.disks.ovf import parse_ovf
from tinycloud.drivers.inspect import MOST
from tinycloud.drivers.onhost import run_script
from tinycloud.engine.intake import take_in, work_folder
from tinycloud.errors import Refused, TinycloudError, WrongInput
from tinycloud.model.appliance import make_image_names, make_stack, write_stack
from tinycloud.model.names import check_name

if TYPE_CHECKING:
    from pathlib import Path

    from tinycloud.engine.images import About, Images
    from tinycloud.engine.intake import Progress, Taken
    from tinycloud.engine.parts import Parts
    from tinycloud.model.appliance import Appliance
    from tinycloud.model.world import Image

_LARGEST_OVF: Final = 4 * 1024 * 1024
_SUM: Final = re.compile(r"(SHA1|SHA256|SHA512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)")


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an appliance: its images, first disk first; a stack file for it, as text and as keys."""

    images: tuple[Image, ...]
    text: str
    stack: dict[str, Any]


def is_appliance(path: Path) -> bool:
    """True for an OVA (a tar archive) and for an OVF descriptor."""
    return path.is_file() and detect_format(path) in ("tar", "ovf")


def import_appliance(
    parts: Parts, shelf: Images, path: Path, name: str, about: About, *, most: int = 0, progress: Progress = None
) -> Imported:
    """Bring all disks of an appliance into the store: the first as ``name``, further ones as ``name-disk2`` and so on.

    Every file is looked at before the first is stored; when one cannot be, those before it go again.
    """
    with work_folder(parts.cache) as work:
        ovf = _unpack(parts, path, work, most, progress) if detect_format(path) == "tar" else path
        if detect_format(ovf) != "ovf" or ovf.stat().st_size > _LARGEST_OVF:
            raise Refused(f"{ovf.name} is not an OVF descriptor", code="not-an-image")
        machines = parse_ovf(read_at(ovf, 0, _LARGEST_OVF), ovf.name)
        files = _name_images(name, machines, ovf)
        if ovf is path:
            _verify_beside(ovf)
        taken = {}
        for number, (image, file) in enumerate(files.items()):
            (work / f"disk-{number}").mkdir()
            mine = ovf is not path
            found = take_in(parts.shell, file, "", work / f"disk-{number}", most=most, progress=progress)
            taken[image] = replace(found, ours=found.ours or mine)
        abouts = {image: _make_about(about, image, machines, make_image_names(name, machines)) for image in files}
        images = _keep_all(shelf, taken, abouts, path.name, progress)
    sizes = dict(zip(files, (image.size for image in images), strict=True))
    stack = make_stack(name, machines, about.prepare, sizes)
    return Imported(images, write_stack(path.name, stack, machines), stack)


def _name_images(name: str, machines: tuple[Appliance, ...], ovf: Path) -> dict[str, Path]:
    """Image → its file, which must lie beside the descriptor."""
    names = make_image_names(name, machines)
    if not names:
        raise Refused(f"{ovf.name} has no disk", code="not-an-image")
    for image in names.values():
        try:
            check_name(image)
        except ValueError as err:
            raise WrongInput(f"name of an image: {err}", code="wrong-name") from err
    return {image: find_beside(ovf, file) for file, image in names.items()}


def _make_about(about: About, image: str, machines: tuple[Appliance, ...], names: dict[str, str]) -> About:
    owner, disk = next((m, d) for m in machines for d in m.disks if d.file and names[d.file] == image)
    return replace(about, firmware=about.firmware or owner.firmware, disk_bus=about.disk_bus or disk.bus, os=about.os or owner.os)


def _keep_all(shelf: Images, taken: dict[str, Taken], abouts: dict[str, About], source: str, progress: Progress) -> tuple[Image, ...]:
    before = {image.sha for image in shelf.list()}
    kept: list[Image] = []
    try:
        for name, file in taken.items():
            kept.append(shelf.keep(file, name, replace(abouts[name], source=source), consume=file.ours, progress=progress))
    except BaseException:
        for image in kept:
            if image.sha not in before:
                with suppress(TinycloudError):
                    shelf.store.remove(image.sha)
        raise
    return tuple(kept)


def _unpack(parts: Parts, path: Path, work: Path, most: int, progress: Progress) -> Path:
    """The descriptor of an OVA, unpacked with all that is beside it. Sums of its manifest are checked on the way."""
    open_plain(path).close()
    folder = work / "ova"
    folder.mkdir()
    args = {"source": str(path.absolute()), "folder": str(folder), "most": most or MOST}
    done = run_script(parts.shell, "untar", args, limit=24 * 3600.0, progress=progress)
    descriptors = [file for file in done["files"] if file.endswith(".ovf")]
    if len(descriptors) != 1:
        raise Refused(f"{path.name} holds {len(descriptors)} OVF descriptors, expected one", code="not-an-image")
    return folder / str(descriptors[0])


def _verify_beside(ovf: Path) -> None:
    """The sums of the manifest that lies beside a descriptor, if there is one."""
    manifest = ovf.with_suffix(".mf")
    if not manifest.is_file():
        return
    text = read_at(manifest, 0, _LARGEST_OVF).decode(errors="replace")
    for line in text.splitlines():
        if not (found := _SUM.match(line.strip())):
            continue
        if _hash(find_beside(ovf, found[2]) if found[2] != ovf.name else ovf, found[1]) != found[3].lower():
            raise Refused(f"{found[2]} has another {found[1]} than {manifest.name} says", code="wrong-sum")


def _hash(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm.lower())
    with open_plain(path) as file:
        while chunk := file.read(1024 * 1024):
            digest.update(chunk)
    return digest.hexdigest()
