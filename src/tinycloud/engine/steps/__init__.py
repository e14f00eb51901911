"""Every kind of step: what it looks at first, what it does, how it is undone, or why it cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.engine.steps import firewall, following, image, machine, moving, network, pool, prepare, raw, volume

if TYPE_CHECKING:
    from tinycloud.engine.steps.action import Action

ACTIONS: dict[str, Action] = {
    "gate": pool.Gate(),
    "pool.create": pool.Create(),
    "note.write": pool.WriteNote(),
    "image.send": image.Send(),
    "network.create": network.Create(),
    "network.update": network.Update(),
    "network.remove": network.Remove(),
    "firewall.apply": firewall.Apply(),
    "disk.create": volume.Create(),
    "disk.copy": raw.Copy(),
    "disk.prepare": prepare.Prepare(),
    "disk.resize": raw.Resize(),
    "seed.write": volume.WriteSeed(),
    "volume.remove": volume.Remove(),
    "machine.define": machine.Define(),
    "machine.undefine": machine.Undefine(),
    "machine.start": machine.Start(),
    "machine.stop": machine.Stop(),
    "machine.ready": machine.WaitReady(),
    "machine.resume": machine.Resume(),
    "machine.live": machine.ChangeLive(),
    "network.copy": following.CopyNetwork(),
    "disk.bring": following.BringDisk(),
    "disk.share": following.ShareDisk(),
    "disk.leave": following.LeaveDisk(),
    "machine.hold": moving.Hold(),
    "machine.move": moving.Move(),
    "machine.arrive": moving.Arrive(),
    "machine.vacate": moving.Vacate(),
}

__all__ = ["ACTIONS"]
