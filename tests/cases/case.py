"""A golden case: a folder with a stack file and what the planner and the templates make of it.

Written by hand: ``stack.yaml``; perhaps ``before.yaml`` (what was up before), ``world.json`` (a saved world instead of an empty host),
``command.txt`` (``up`` or ``down`` with its flags) and files that the stack names. All else is written by ``python -m tests.cases``.
"""

from __future__ import annotations

import argparse
import io
import json
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.builders import OTHER_SHA, a_world, an_image, load, settle
from tinycloud.cli.output import print_error
from tinycloud.cli.show_plan import format_plan
from tinycloud.errors import TinycloudError
from tinycloud.model.codec import from_plain
from tinycloud.model.units import parse_bytes
from tinycloud.model.world import World
from tinycloud.plan import Options, plan_down, plan_up
from tinycloud.templates.domain import render_domain
from tinycloud.templates.objects import render_network

if TYPE_CHECKING:
    from tinycloud.model.plan import Plan
    from tinycloud.source import Loaded

CASES = Path(__file__).parent


def an_empty_world() -> World:
    """One host that has the images nano and debian-12."""
    debian = an_image("debian-12", OTHER_SHA, size=parse_bytes("2 GiB"), user="debian")
    return a_world(images=(an_image(), debian))


@dataclass(frozen=True)
class Case:
    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    def make(self) -> dict[str, str]:
        """File name → what the file should say."""
        try:
            plan = self.plan()
        except TinycloudError as err:
            return {"plan.txt": _format_error(err)}
        files = {"plan.txt": "\n".join(format_plan(plan, "stack.yaml")) + "\n", "steps.txt": format_steps(plan)}
        templates = self.load("stack").templates
        for wanted in plan.machines.values():
            files[f"{wanted.mark.machine}.xml"] = render_domain(wanted, "x86_64", "/pool", templates)
        for network in plan.networks.values():
            files[f"network-{network.name}.xml"] = render_network(network)
        return {name: text if text.endswith("\n") else f"{text}\n" for name, text in files.items() if text}

    def plan(self) -> Plan:
        words = self.words
        if words.verb == "down":
            return plan_down(self.load("stack").stack.stack, self.before, volumes=words.volumes)
        return plan_up(self.load("stack"), self.before, Options(frozenset(words.replace), "a note", words.spare))

    @cached_property
    def before(self) -> World:
        """The world that the case begins with."""
        path = self.folder / "world.json"
        world = from_plain(World, json.loads(path.read_text())) if path.exists() else an_empty_world()
        return settle(plan_up(self.load("before"), world, Options(note="an old note")), world) if self.has("before.yaml") else world

    @cached_property
    def words(self) -> argparse.Namespace:
        """The command, taken apart."""
        parser = argparse.ArgumentParser()
        parser.add_argument("verb", choices=["up", "down"])
        parser.add_argument("--spare", default="auto")
        parser.add_argument("--replace", action="append", default=[])
        parser.add_argument("--set", action="append", default=[])
        parser.add_argument("--volumes", action="store_true")
        return parser.parse_args((self.folder / "command.txt").read_text().split() if self.has("command.txt") else ["up"])

    @property
    def given(self) -> dict[str, Any]:
        return dict(item.split("=", 1) for item in self.words.set)

    def load(self, which: str) -> Loaded:
        path = self.folder / f"{which}.yaml"
        return load(path.read_text(), self.given, str(path))

    def has(self, file: str) -> bool:
        return (self.folder / file).exists()

    @property
    def golden(self) -> dict[str, str]:
        """What the files say now."""
        made = [path for path in self.folder.iterdir() if path.name in ("plan.txt", "steps.txt") or path.suffix == ".xml"]
        return {path.name: path.read_text() for path in sorted(made)}

    def write(self) -> None:
        """Make the golden files what they should be."""
        for name in self.golden:
            (self.folder / name).unlink()
        for name, text in self.make().items():
            (self.folder / name).write_text(text)


def format_steps(plan: Plan) -> str:
    """A line a step: its id, what is done and where, what comes first."""
    width = max((len(step.id) for step in plan.steps), default=0)
    lines = [f"{step.id:<{width}}  {step.kind:<15} {step.host:<6} {' '.join(sorted(step.needs))}".rstrip() for step in plan.steps]
    return "\n".join(lines)


def _format_error(error: TinycloudError) -> str:
    with redirect_stderr(io.StringIO()) as out:
        print_error(error)
    return out.getvalue()


def list_cases() -> list[Case]:
    return [Case(path.parent) for path in sorted(CASES.glob("*/stack.yaml"))]
