"""References that need the plan: addresses, names, subnets → their values."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from tinycloud.errors import WrongInput
from tinycloud.model.secret import Ref, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinycloud.model.machine import Mark
    from tinycloud.model.stack import Guest


@dataclass
class Known:
    """What references may mean, once every machine of the stack has its address."""

    stack: str
    subnets: Mapping[str, str]
    bridges: Mapping[str, str]
    groups: dict[str, list[Mark]] = field(default_factory=dict)

    def value(self, path: str, mark: Mark | None = None) -> Any:
        """The value of ``groups.db.address`` and the like; ``mark`` is the machine that ``machine.…`` means.

        Raises WrongInput for an address that nobody knows before the machine runs (a bridge without our DHCP).
        """
        words = path.split(".")
        if words[0] == "machine" and mark is not None:
            return self._machine(mark, words[1])
        if words[0] == "networks":
            return self._network(words[1], words[2])
        return self._group(words[1], words[2])

    def _machine(self, mark: Mark, word: str) -> Any:
        if word == "address":
            return _address(mark, "machine.address")
        return {"name": mark.machine, "index": mark.index, "group": mark.group, "stack": mark.stack}[word]

    def _network(self, name: str, word: str) -> str:
        if word == "bridge" and name in self.bridges:
            return self.bridges[name]
        subnet = self.subnets[name]
        if not subnet:
            raise WrongInput(f"${{networks.{name}.{word}}} is not known: the network is not ours", code="unknown-reference")
        return subnet if word == "subnet" else str(ip_network(subnet)[1])

    def _group(self, name: str, word: str) -> Any:
        marks = self.groups.get(name, [])
        path = f"groups.{name}.{word}"
        match word:
            case "count":
                return len(marks)
            case "names":
                return [mark.machine for mark in marks]
            case "addresses":
                return [_address(mark, path) for mark in marks]
        if not marks:
            raise WrongInput(f"${{{path}}} is not known: group {name} has no machines", code="unknown-reference")
        return _address(marks[0], path)

    def text(self, text: Text, mark: Mark) -> Text:
        """A text with its references replaced; a list becomes its items with spaces between."""

        def find(path: str) -> str:
            value = self.value(path, mark)
            return " ".join(map(str, value)) if isinstance(value, list) else str(value)

        return text.resolve(find) if text.refs else text

    def tree(self, value: Any, mark: Mark | None) -> Any:
        """Any value with the references in it replaced; a lone reference keeps its type."""
        if isinstance(value, Ref):
            return self.value(value.path, mark)
        if isinstance(value, Text):
            return self.text(value, mark) if mark else _flat(value.resolve(lambda path: str(self.value(path))))
        if isinstance(value, dict):
            return {key: self.tree(item, mark) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.tree(item, mark) for item in value]
        return value

    def guest(self, guest: Guest, mark: Mark) -> Guest:
        """The guest section of one machine, every reference replaced."""
        files = tuple(f.model_copy(update={"content": self.text(f.content, mark) if f.content else None}) for f in guest.files)
        run = tuple(self.text(command, mark) for command in guest.run)
        return guest.model_copy(update={"files": files, "run": run, "user_data": self.tree(guest.user_data, mark)})


def _address(mark: Mark, path: str) -> str:
    if mark.spec.address is None:
        raise WrongInput(
            f"${{{path}}} is not known before {mark.machine} runs: no network of ours gives it an address",
            code="unknown-reference",
        )
    return mark.spec.address


def _flat(text: Text) -> Any:
    return text if text.secrets else text.reveal()


def canonical(value: Any) -> Any:
    """A JSON-able form for digests in which a secret stands by its fingerprint.

    What has its default is left out: a key that a later version adds must not change the digests of those who do not use it.
    """
    if isinstance(value, Text):
        return value.fingerprint()
    if hasattr(value, "model_fields_set"):
        fields = type(value).model_fields.items()
        defaults = {name: field.get_default(call_default_factory=True) for name, field in fields}
        return {name: canonical(getattr(value, name)) for name, usual in defaults.items() if getattr(value, name) != usual}
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    return canonical(Text((value,))) if hasattr(value, "fingerprint") else value
