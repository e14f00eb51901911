"""Disks, data volumes and seeds: files in a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinycloud.drivers.guest.seed import make_seed
from tinycloud.engine.claims import release
from tinycloud.engine.passphrase import ensure_passphrase, forget_passphrase, make_passphrase
from tinycloud.engine.steps.action import Action, Before
from tinycloud.engine.steps.pool import PATH
from tinycloud.errors import Clash, LibvirtFailed, NotFound, TinycloudError
from tinycloud.model.names import DEFAULT_POOL, image_name
from tinycloud.templates.objects import render_volume
from tinycloud.templates.own import render_own_volume

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from tinycloud.drivers.host import Host, Volumes
    from tinycloud.engine.run import Run
    from tinycloud.model.plan import Step


_FEW = 3
"""Fewer overlays than that are made sooner by libvirt than by a script."""


def pool_path(host: Host) -> str:
    """The folder of our pool on a host."""
    pool = host.volumes.find_pool()
    return pool.path if pool else PATH


def get_pool(run: Run, step: Step) -> Volumes:
    """The pool that a step works in: the main one where it names none."""
    return run.host(step).pool(step.args.get("pool", DEFAULT_POOL))


def find_backing(run: Run, host: Host, sha: str | None, format: str) -> tuple[str, str] | None:
    """Path and format of an image, which is in the main pool whatever pool the disk is in; raises NotFound. Asked once for a run."""
    if sha is None:
        return None
    if (host.name, sha) not in run.backings:
        if host.volumes.find(image_name(sha)) is None:
            raise NotFound(f"image {sha[:12]} is not on {host.name}", hint="tinycloud image list")
        run.backings[host.name, sha] = f"{pool_path(host)}/{image_name(sha)}"
    return run.backings[host.name, sha], format


class Create(Action):
    """An overlay on an image, or an empty disk. One that exists is kept, and grown if it is too small."""

    def look(self, run: Run, step: Step) -> Before:
        return {"existed": step.args["volume"] in _list_before(run, step)}

    def bunch(self, step: Step) -> Hashable:
        args = step.args
        if args["image"] is None or any(args.get(key) for key in ("note", "encrypt", "template")):
            return None
        return step.host, args.get("pool", DEFAULT_POOL), args["image"], args.get("format", ""), args["size"]

    def do_together(self, run: Run, steps: Sequence[tuple[Step, Before]]) -> frozenset[str]:
        """Equal overlays on one image. Whatever goes wrong is met again, and told, when they are made one by one."""
        new = {step.args["volume"]: step for step, before in steps if not before["existed"]}
        if len(new) < _FEW:
            return frozenset()
        first = steps[0][0]
        try:
            backing = find_backing(run, run.host(first), first.args["image"], first.args.get("format", ""))
            assert backing is not None
            made = get_pool(run, first).create_overlays(list(new), first.args["size"], backing)
        except TinycloudError:
            return frozenset()
        return frozenset(new[name].id for name in made)

    def do(self, run: Run, step: Step, before: Before) -> None:
        host, volumes, name, size = run.host(step), get_pool(run, step), step.args["volume"], step.args["size"]
        backing = find_backing(run, host, step.args["image"], step.args.get("format", ""))
        if not before.get("existed", True) and self._create_plain(run, step, volumes, backing):
            return
        present = volumes.find(name)
        encrypt = bool(step.args.get("encrypt"))
        if present is None:
            if note := step.args.get("note"):
                host.volumes.remove(note)  # whatever disk it was written for, this one is not prepared
            self._create(run, step, volumes, backing)
            return
        if present.encrypted != encrypt:
            raise Clash(
                f"volume {name} is {'encrypted' if present.encrypted else 'not encrypted'}, the file says otherwise", code="encryption"
            )
        expected = backing[0] if backing else ""
        if present.backing != expected and not step.args.get("as_left"):  # data that was left is kept, whatever it began with
            raise Clash(f"volume {name} stands on {present.backing or 'nothing'}, expected {expected or 'nothing'}")
        if present.capacity < size:
            volumes.resize(name, size)

    def _create_plain(self, run: Run, step: Step, volumes: Volumes, backing: tuple[str, str] | None) -> bool:
        """Most disks are new, and asking costs half as much as making one. False for those of which there is more to say."""
        name = step.args["volume"]
        if step.args.get("note") or step.args.get("encrypt"):
            return False
        try:
            volumes.create(_render(run, step, backing), name)
        except (LibvirtFailed, Clash):
            volumes.refresh()
            if volumes.find(name) is None:
                raise
            return False  # made by an earlier try of this step, which libvirt may not have seen
        return True

    def _create(self, run: Run, step: Step, volumes: Volumes, backing: tuple[str, str] | None) -> None:
        name, size = step.args["volume"], step.args["size"]
        if not step.args.get("encrypt"):
            volumes.create(_render(run, step, backing), name)
            return
        host, passphrase = run.host(step), make_passphrase(run.keys, name)
        ensure_passphrase(host, name, make_path(host, step.args, name), passphrase)
        volumes.create_encrypted(name, size, passphrase, backing)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if not before["existed"]:
            _remove(run, step, step.args["volume"], encrypted=bool(step.args.get("encrypt")))


def _render(run: Run, step: Step, backing: tuple[str, str] | None) -> str:
    """The XML of a disk, by its own template where it has one."""
    args = step.args
    told = {"name": args["volume"], "size": args["size"], "format": "qcow2", "backing": backing}
    if not (template := args.get("template")):
        return render_volume(**told)
    return render_own_volume(run.templates[template], template, told, run.machine(step).group.values)


def _list_before(run: Run, step: Step) -> frozenset[str]:
    """What the pool held before this run made anything there. Asked once: only we make volumes of our names, under the stack's lock."""
    key = step.host, step.args.get("pool", DEFAULT_POOL)
    if key not in run.listed:
        run.listed[key] = frozenset(get_pool(run, step).list_names())
    return run.listed[key]


def make_path(host: Host, args: Mapping[str, Any], volume: str) -> str:
    """Where the file of a volume is, in the pool that the arguments name."""
    pool = host.pool(args.get("pool", DEFAULT_POOL)).find_pool()
    return f"{pool.path if pool else PATH}/{volume}"


def _remove(run: Run, step: Step, volume: str, *, encrypted: bool) -> None:
    """The passphrase first: what is looked for is the file."""
    host, pool = run.host(step), step.args.get("pool", DEFAULT_POOL)
    if encrypted:
        forget_passphrase(host, volume)
    if pool != DEFAULT_POOL:
        release(host, pool, volume, run.locks)
    host.pool(pool).remove(volume)


class WriteSeed(Action):
    """The seed of a machine. Its name tells its content, so one that was half written is written again, the same."""

    def look(self, run: Run, step: Step) -> Before:
        return {"existed": run.host(step).volumes.find(step.args["volume"]) is not None}

    def do(self, run: Run, step: Step, before: Before) -> None:
        volumes, name = run.host(step).volumes, step.args["volume"]
        wanted = run.machine(step)
        body = make_seed(wanted, run.keys, run.plan.networks)
        present = volumes.find(name)
        if present is not None and present.capacity != len(body):
            volumes.remove(name)
            present = None
        if present is None:
            volumes.create(render_volume(name, len(body), format="raw"), name)
        volumes.upload_bytes(name, body)

    def undo(self, run: Run, step: Step, before: Before) -> None:
        if not before["existed"]:
            run.host(step).volumes.remove(step.args["volume"])


class Remove(Action):
    """A disk, gone; where disks exist beforehand, given back as it is."""

    no_undo = "its bytes are gone; that is why it comes last"
    final = True

    def do(self, run: Run, step: Step, before: Before) -> None:
        _remove(run, step, step.args["volume"], encrypted=True)
