"""kill -9 at every step by which a machine of a dead host comes back: resumed it runs on one host, rolled back on none."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.crash.faults import injected, is_killed, killed, twice
from tests.dying import Bench
from tinycloud.errors import Failed

if TYPE_CHECKING:
    from pathlib import Path

DOMAIN = "shop-web-1"


class Death:
    """A cloud, kept in a folder, one of whose hosts is dead and fenced; each fault has a copy of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cloud"
        self._numbers = itertools.count()
        self.folder.mkdir()
        bench = Bench(self.folder)
        bench.remake()
        bench.up()
        self.dead = bench.where()["shop/web-1"]
        bench.die(self.dead)
        bench.cloud.hosts.fence(self.dead, confirmed=True)
        bench.cloud.close()
        with self.open(self.copy()) as bench:
            bench.cloud.hosts.heal()
            store = bench.parts.store
            self.steps = [line.step for line in store.list_steps(store.list_executions("shop", limit=1)[0].id)]

    def copy(self) -> Path:
        folder = self.folder.with_name(f"copy-{next(self._numbers)}")
        shutil.copytree(self.folder, folder)
        return folder

    def open(self, folder: Path) -> _Open:
        return _Open(folder, self.dead)


class _Open:
    """The cloud of a folder, as a new process finds it."""

    def __init__(self, folder: Path, dead: str) -> None:
        self._bench = Bench(folder)
        self._bench.cut_off = {dead}

    def __enter__(self) -> Bench:
        self._bench.parts.made.clear()
        self._bench.parts.set_entries(self._bench.parts.store.list_hosts())
        return self._bench

    def __exit__(self, *_: object) -> None:
        self._bench.cloud.close()


@pytest.fixture(scope="module")
def death(tmp_path_factory: pytest.TempPathFactory) -> Death:
    return Death(tmp_path_factory.mktemp("death"))


def heal(death: Death, folder: Path) -> None:
    with death.open(folder) as bench:
        bench.cloud.hosts.heal()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_step_is_mended_by_resume_and_by_rollback(death: Death, moment: str) -> None:
    for step in death.steps:
        broken = death.copy()
        assert is_killed(lambda broken=broken: heal(death, broken), do=killed(step, moment)), step  # type: ignore[misc]
        rolled = broken.with_name(f"{broken.name}-rolled")
        shutil.copytree(broken, rolled)
        with death.open(broken) as bench:
            bench.cloud.resume("shop")
            [home] = bench.running()[DOMAIN]
            assert home != death.dead, step
            assert bench.cloud.hosts.heal() == ()
        with death.open(rolled) as bench:
            bench.cloud.rollback("shop")
            assert DOMAIN not in bench.running(), step
            [again] = bench.cloud.hosts.heal()
            assert bench.running()[DOMAIN] == [again.to]


def test_every_step_may_be_done_twice(death: Death) -> None:
    folder = death.copy()
    with injected(do=twice):
        heal(death, folder)
    with death.open(folder) as bench:
        assert len(bench.running()[DOMAIN]) == 1


def test_an_up_that_its_host_s_death_cut_short_is_rolled_back_once_the_host_is_fenced(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.remake()
    bench.cloud.machines()
    bench.parts.store.save_hosts(*(host.entry for host in bench.parts.hosts.values()))
    bench.cloud.close()

    def up() -> None:
        with _Open(tmp_path, "nobody") as inside:
            inside.up()

    assert is_killed(up, do=killed("web-1:start", "after"))
    [dead] = bench.running()[DOMAIN]
    bench.cut_off = {dead}
    bench.remake()
    with pytest.raises(Failed, match="could be undone"):
        bench.cloud.rollback("shop")
    bench.cloud.hosts.fence(dead, confirmed=True)
    bench.cloud.rollback("shop")
    assert not bench.cloud.has_unfinished("shop")
    assert not [name for name, hosts in bench.running().items() if hosts != [dead]]
    bench.cloud.close()
