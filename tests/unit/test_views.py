"""What the Python API hands out: machines and stacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import copy_up, fake_parts, write_stack
from tests.unit.engine.pretend import TellingHost, TellingShell
from tinycloud.cloud import Cloud
from tinycloud.drivers.shell import Done, Shell
from tinycloud.errors import Failed, Missing, NotFound, Refused, TinycloudError
from tinycloud.model.machine import Lease
from tinycloud.views import Machine, Stack, run_interactively

STACK = """
stack: my-shop
inputs: {password: {type: secret, default: hunter2}}
networks: {front: {subnet: 10.60.0.0/24}, office: {access: {bridge: br0}}}
groups:
  web: {count: 2, image: nano, networks: [front]}
  desk: {image: nano, networks: [office], ready: started, serial: false, graphics: none}
outputs:
  list: ${groups.web.addresses}
  deep: {login: "eve:${inputs.password}", plain: [1, true, "${inputs.password}"]}
"""


class Scene:
    def __init__(self, folder: Path) -> None:
        copy_up(folder, STACK)
        self.host = TellingHost(folder)
        self.shell = TellingShell()
        self.cloud = Cloud(parts=replace(fake_parts(folder, hosts={"local": self.host}), shell=self.shell))
        self.stack = self.cloud.stack("my-shop")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.cloud.close()


@pytest.fixture
def stack(scene: Scene) -> Stack:
    return scene.stack


@pytest.fixture
def web(stack: Stack) -> Machine:
    return stack["web-1"]


def refuse(act: object) -> TinycloudError:
    with pytest.raises(TinycloudError) as caught:
        act()  # type: ignore[operator]
    return caught.value


# a stack


def test_a_stack_is_its_machines_by_name_in_order(stack: Stack) -> None:
    assert [machine.name for machine in stack] == ["desk-1", "web-1", "web-2"]
    assert [machine.ref for machine in stack.group("web")] == ["my-shop/web-1", "my-shop/web-2"]
    assert (len(stack), repr(stack)) == (3, "<Stack my-shop: 3 machines>")
    assert stack.group("wbe") == []


def test_a_wrong_name_is_answered_with_the_nearest(stack: Stack) -> None:
    error = refuse(lambda: stack["web-3"])
    assert (error.message, error.hint) == ('stack my-shop has no machine "web-3"', 'did you mean "web-2"?')


def test_secrets_in_outputs_are_names_until_somebody_asks(stack: Stack) -> None:
    assert stack.outputs() == {
        "list": ["10.60.0.11", "10.60.0.12"],
        "deep": {"login": "eve:<secret password>", "plain": [1, True, "<secret password>"]},
    }


# reaching a machine


def test_an_address_is_the_reserved_one_else_the_one_that_is_seen(scene: Scene, web: Machine) -> None:
    desk = scene.stack["desk-1"]
    assert web.address == "10.60.0.11"
    error = refuse(lambda: desk.address)
    assert (type(error), error.message, error.hint) == (NotFound, "no address of my-shop/desk-1 is known", "tinycloud why my-shop/desk-1")
    scene.host.told.addresses = {"arp": [Lease(desk.spec.nics[0].mac, "192.0.2.9", "arp")]}
    assert desk.address == "192.0.2.9"


def test_every_address_comes_with_its_source(web: Machine) -> None:
    assert [(lease.address, lease.source) for lease in web.addresses()] == [("10.60.0.11", "reservation"), ("10.60.0.11", "lease")]


@pytest.mark.parametrize(("verb", "state", "button"), [("stop", "stopped", "start"), ("pause", "paused", "resume")])
def test_a_machine_that_does_not_run_cannot_be_entered(web: Machine, verb: str, state: str, button: str) -> None:
    getattr(web, verb)()
    web.refresh()
    error = refuse(web.door)
    assert (type(error), error.message, error.hint) == (Refused, f"my-shop/web-1 is {state}", f"tinycloud {button} my-shop/web-1")


RULES = """
stack: my-shop
networks: {front: {subnet: 10.60.0.0/24}}
policies:
  pages: {inbound: [{tcp: 80, from: anywhere}]}
  admin: {inbound: [{tcp: 22, from: host}]}
groups:
  shut: {image: nano, networks: [front], policies: [pages], ready: address}
  open: {image: nano, networks: [front], policies: [pages, admin]}
"""


def test_a_machine_whose_rules_shut_ssh_is_not_waited_for(tmp_path: Path) -> None:
    copy_up(tmp_path, RULES)
    with Cloud(parts=fake_parts(tmp_path)) as cloud:
        stack = cloud.stack("my-shop")
        error = refuse(lambda: stack["shut-1"].ssh("uptime"))
        assert (type(error), error.kind, error.exit) == (Refused, "shut", 4)
        assert error.facts == ("my-shop/shut-1 has policies (pages), and none of their 1 inbound rules fits",)
        assert error.hint.startswith("tinycloud why my-shop/shut-1 --from host --port tcp/22")
        assert stack["open-1"].door().address == stack["open-1"].address
        assert "Host my-shop-shut-1 " in cloud.ssh_config(), "a list of all machines is not refused for one of them"


def test_a_command_is_run_over_ssh_and_its_output_is_text(scene: Scene, web: Machine) -> None:
    scene.shell.says["ssh"] = "up 2 days\n"
    assert web.ssh("uptime | cut -c 1-9") == "up 2 days\n"
    assert scene.shell.heard[-1][-1] == "sh -c 'uptime | cut -c 1-9'"
    assert "root" in web.door().options["User"]
    assert web.door("eve").options["User"] == "eve"


class FailingShell(TellingShell):
    def run(self, argv: object, **more: object) -> Done:
        return Done(("ssh",), 3, b"", b"".join(b"line %d\n" % n for n in range(20)))


def test_a_command_that_fails_is_an_error_with_its_last_words(scene: Scene) -> None:
    failing: Shell = FailingShell()
    machine = Machine(replace(scene.cloud.parts, shell=failing), scene.stack["web-1"].facts)
    error = refuse(lambda: machine.ssh("false"))
    assert isinstance(error, Failed)
    assert error.message == "'false' on my-shop/web-1 ended with status 3"
    assert error.facts == tuple(f"line {n}" for n in range(12, 20))
    assert machine.exec(["false"]).status == 3, "exec leaves it to the caller"


def test_a_copy_names_the_machine_where_it_is_meant(scene: Scene, web: Machine) -> None:
    web.copy(["notes.txt", "more.txt"], "REMOTE:/tmp/", recursive=True)
    assert scene.shell.heard[-1][-4:] == ("-r", "notes.txt", "more.txt", "10.60.0.11:/tmp/")


# looking at a machine


def test_a_machine_that_is_gone_is_found_to_be(scene: Scene, web: Machine) -> None:
    scene.cloud.down("my-shop")
    error = refuse(web.refresh)
    assert (type(error), error.message) == (NotFound, "machine my-shop/web-1 is gone")


def test_ready_means_seen_as_far_as_wanted(stack: Stack, web: Machine) -> None:
    assert repr(web) == "<Machine my-shop/web-1 ready>"
    web.stop()
    web.start()
    assert web.refresh().state == "running"


def test_a_button_acts_on_the_machine_as_it_is_now(scene: Scene, web: Machine) -> None:
    scene.cloud.machine("web-1").stop()
    assert web.state == "ready", "as it was looked up"
    web.start()
    assert web.refresh().state == "running"
    scene.cloud.down("my-shop")
    assert refuse(web.start).message == "machine my-shop/web-1 is gone"


def test_the_serial_line_is_virshs_and_a_machine_may_have_none(scene: Scene, web: Machine) -> None:
    assert web.console_argv() == ["virsh", "-c", "fake://local", "console", "--safe", "my-shop-web-1"]
    error = refuse(scene.stack["desk-1"].console_argv)
    assert (error.message, error.hint) == ("my-shop/desk-1 has no serial line", "serial: true in its group")
    scene.host.tools.says["tail"] = "one\ntwo\n"
    assert web.serial(1) == ["two"]


def test_a_screen_has_a_place_while_the_machine_runs(scene: Scene, web: Machine) -> None:
    assert refuse(scene.stack["desk-1"].vnc).message == "my-shop/desk-1 has no screen"
    assert refuse(web.vnc).message == "my-shop/web-1 is running", "a fake host gives no port"
    live = web.xml().replace('port="-1"', 'port="5903"')
    scene.host.told._change("my-shop-web-1", live=live)
    assert web.vnc() == "127.0.0.1:5903"


def test_the_xml_and_the_command_line_are_the_hosts(web: Machine) -> None:
    assert "<name>my-shop-web-1</name>" in web.xml()
    assert web.command_line() == f"qemu-pretended -name guest=my-shop-web-1 -uuid {web.facts.mark.uuid}"


# for other programs


def test_an_ssh_config_names_every_machine_that_can_be_reached(scene: Scene) -> None:
    scene.stack["web-2"].stop()
    lines = scene.cloud.ssh_config().splitlines()
    assert [line for line in lines if line.startswith("Host ")] == ["Host my-shop-web-1 web-1.my-shop web-1"]
    assert {"  HostName 10.60.0.11", "  StrictHostKeyChecking yes", "  HostKeyAlias my-shop-web-1"} <= set(lines)


def test_a_short_name_that_two_stacks_have_is_nobodys(scene: Scene, tmp_path: Path) -> None:
    scene.cloud.up(write_stack(tmp_path, "stack: lab\nnetworks: {n: {}}\ngroups: {web: {image: nano, networks: [n]}}\n"))
    hosts = [line for line in scene.cloud.ssh_config().splitlines() if line.startswith("Host ")]
    assert hosts == ["Host lab-web-1 web-1.lab", "Host my-shop-web-1 web-1.my-shop", "Host my-shop-web-2 web-2.my-shop web-2"]


def test_a_path_with_a_blank_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "my cloud").mkdir()
    scene = Scene(tmp_path / "my cloud")
    assert f'  IdentityFile "{tmp_path}/my cloud/keys/id_ed25519"' in scene.cloud.ssh_config("web-1").splitlines()
    scene.cloud.close()


def test_ansible_gets_groups_and_how_to_connect(scene: Scene) -> None:
    told = scene.cloud.inventory()
    hosts = ["my-shop-web-1", "my-shop-web-2"]
    assert {name: group for name, group in told.items() if name != "_meta"} == {
        "my_shop": {"hosts": hosts},
        "my_shop_web": {"hosts": hosts},
    }
    facts = told["_meta"]["hostvars"]["my-shop-web-2"]
    assert (facts["ansible_host"], facts["ansible_user"], facts["tinycloud_index"]) == ("10.60.0.12", "root", 2)
    assert facts["ansible_ssh_common_args"].startswith("-F /dev/null -o ")
    assert "-o StrictHostKeyChecking=yes" in facts["ansible_ssh_common_args"]
    assert "IdentityFile" not in facts["ansible_ssh_common_args"]


def test_a_program_for_the_terminal_that_is_not_installed_is_named() -> None:
    assert run_interactively(["sh", "-c", "exit 3"]) == 3
    with pytest.raises(Missing, match=r"^xyzzy-viewer is not installed$"):
        run_interactively(["xyzzy-viewer"])
