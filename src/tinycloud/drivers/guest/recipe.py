"""What a seed would say, as a recipe: for machines whose disks are edited before they start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.drivers.guest.seed import make_static
from tinycloud.model.recipe import Recipe, RecipeNic
from tinycloud.model.secret import make_text
from tinycloud.model.stack import GuestFile, User

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tinycloud.drivers.guest.keys import Keys
    from tinycloud.model.plan import NetworkWanted, Wanted

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


def make_recipe(wanted: Wanted, networks: Mapping[str, NetworkWanted], keys: Keys) -> Recipe:
    """The recipe of one machine; holds its secrets. Its host key is the one we expect, so that the first ssh is verified."""
    mark, guest = wanted.mark, wanted.guest
    return Recipe(
        hostname=mark.machine,
        users=tuple(_make_users(wanted, keys)),
        nics=tuple(_make_nics(wanted, networks)),
        files=(*_make_host_key(wanted, keys), *guest.files),
        proxy=guest.proxy,
        packages=guest.packages,
        run=guest.run,
        timezone=guest.timezone,
        locale=guest.locale,
        cloud_init="off",  # it would wait for a seed that does not come
    )


def _make_users(wanted: Wanted, keys: Keys) -> Iterator[User]:
    """The one that we log in as, who may be one of those that are declared; then the others."""
    own = wanted.mark.spec.user
    declared = {user.name: user for user in wanted.guest.users}
    keyed = (keys.public, *wanted.guest.ssh_keys)
    login = declared.pop(own, None) or User(name=own)
    yield login.model_copy(update={"ssh_keys": (*keyed, *login.ssh_keys)})
    yield from declared.values()


def _make_nics(wanted: Wanted, networks: Mapping[str, NetworkWanted]) -> Iterator[RecipeNic]:
    for number, nic in enumerate(wanted.mark.spec.nics):
        name = f"eth{number}"
        if wanted.guest.network == "static" and nic.address:
            fixed = make_static(wanted.mark, number, networks)
            yield RecipeNic(mac=nic.mac, name=name, address=fixed.address, gateway=fixed.gateway or None, dns=(fixed.dns,))
        else:
            yield RecipeNic(mac=nic.mac, name=name)


def _make_host_key(wanted: Wanted, keys: Keys) -> tuple[GuestFile, GuestFile]:
    private, public = keys.make_host_key(wanted.mark.uuid)
    return (
        GuestFile(path=_HOST_KEY, content=make_text(private), mode="0600"),
        GuestFile(path=f"{_HOST_KEY}.pub", content=make_text(f"{public} {wanted.mark.machine}\n"), mode="0644"),
    )
