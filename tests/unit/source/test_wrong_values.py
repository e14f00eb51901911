"""Keys and values that no stack file has: what was found, what was expected, and the nearest right name."""

from __future__ import annotations

import pytest

from tests.unit.source.wrong import check, complain, wrong
from tinycloud.source.complaints import WrongFile

SECTIONS = "known here: stack, description, inputs, images, networks, policies, groups, forwards, floating, outputs"
NAME = "expected a small letter, then small letters, digits and single dashes, at most 31 characters"
NOT_YET = "which is not known before the machines are placed"


def group(body: str) -> str:
    return f"stack: a\nnetworks: {{n: {{}}}}\ngroups:\n  web: {{image: nano, {body}}}\n"


def value(key: str, found: str, message: str) -> object:
    """A wrong value of one key of a group; ``found`` is as written in the file."""
    return wrong(group(f"{key}: ►{found}"), "wrong-value", f'{key} of group "web": {message}')


def guest(key: str, body: str, message: str) -> object:
    return wrong(group(f"guest: {{{body}}}"), "wrong-value", f'guest.{key} of group "web": {message}')


@pytest.mark.parametrize(
    ("text", "code", "message", "facts", "hint"),
    [
        wrong("stack: a\n►groop: {}\n", "unknown-key", 'unknown key "groop"', SECTIONS, hint='did you mean "groups"?'),
        wrong("stack: a\n►xyz: 1\n", "unknown-key", 'unknown key "xyz"', SECTIONS),
        wrong(group("►memry: 1 GiB"), "unknown-key", 'unknown key "memry" in group "web"', hint='did you mean "memory"?'),
        wrong(
            group("cpus: {►cout: 2}"),
            "unknown-key",
            'unknown key "cout" in cpus of group "web"',
            "known here: count, max, sockets, cores, threads, model",
            hint='did you mean "count"?',
        ),
        wrong(
            group("networks: [{network: n, ►modle: e1000}]"),
            "unknown-key",
            'unknown key "modle" in networks[0] of group "web"',
            hint='did you mean "model"?',
        ),
        wrong(group("guest: {►user: []}"), "unknown-key", 'unknown key "user" in guest of group "web"', hint='did you mean "users"?'),
        wrong(
            group("guest: {users: [{name: a, ►passwd: x}]}"),
            "unknown-key",
            'unknown key "passwd" in guest.users[0] of group "web"',
            "known here: name, password, ssh_keys, groups, shell, sudo",
            hint='did you mean "password"?',
        ),
        wrong(
            group("volumes: [{name: d, size: 1 GiB, ►sise: 2 GiB}]"),
            "unknown-key",
            'unknown key "sise" in volumes[0] of group "web"',
            "known here: name, size, keep, bus, encrypt, pool, readonly, serial, cache, io, discard, detect_zeroes, limits, image, template",
            hint='did you mean "size"?',
        ),
        wrong(
            group("ready: {►levle: ssh}"),
            "unknown-key",
            'unknown key "levle" in ready of group "web"',
            "known here: level, timeout",
            hint='did you mean "level"?',
        ),
        wrong(
            group("xml: [{at: //disk, ►delete: true}]"),
            "unknown-key",
            'unknown key "delete" in xml[0] of group "web"',
            "known here: at, set, text, add, replace, remove",
        ),
        wrong(
            "stack: a\npolicies:\n  p: {inbound: [{►tpc: 80}]}\n",
            "unknown-key",
            'unknown key "tpc" in inbound[0] of policy "p"',
            "known here: tcp, udp, icmp, any, from, to, log",
            hint='did you mean "tcp"?',
        ),
        wrong(
            "stack: a\nnetworks:\n  n: {►subnett: auto}\n",
            "unknown-key",
            'unknown key "subnett" in network "n"',
            "known here: subnet, subnet6, access, mtu, dhcp, records, template, values, vlan, external, name",
            hint='did you mean "subnet"?',
        ),
        wrong(
            "stack: a\nimages:\n  d: {source: x, ►usr: root}\n",
            "unknown-key",
            'unknown key "usr" in image "d"',
            "known here: source, sha256, user",
            hint='did you mean "user"?',
        ),
        wrong(
            "stack: a\ninputs:\n  x: {►typ: string}\n",
            "unknown-key",
            'unknown key "typ" in input "x"',
            "known here: type, default, description, choices, length",
            hint='did you mean "type"?',
        ),
        wrong(group("volumes: [►{name: d}]"), "missing-key", '"size" is missing in volumes[0] of group "web"'),
        wrong("stack: a\nimages:\n  ►d: {user: x}\n", "missing-key", '"source" is missing in image "d"'),
        wrong(group("xml: [►{remove: true}]"), "missing-key", '"at" is missing in xml[0] of group "web"'),
        wrong("stack: ►5\n", "wrong-value", "stack: found 5, expected text"),
        wrong("stack: ►true\n", "wrong-value", "stack: found true, expected text"),
        wrong("►stack:\n", "wrong-value", "stack: found nothing, expected text"),
        wrong("stack: ►My Shop\n", "wrong-value", f"stack: found 'My Shop', {NAME}"),
        wrong("stack: ►a--b\n", "wrong-value", f"stack: found 'a--b', {NAME}"),
        wrong("inputs: {x: {default: shop}}\nstack: ►${inputs.x}\n", "wrong-value", "stack: found '${inputs.x}', " + NAME),
        wrong("stack: a\n►groups:\n", "wrong-value", "groups: found nothing, expected a mapping"),
        wrong("stack: a\ngroups: ►[web]\n", "wrong-value", "groups: found a list, expected a mapping"),
        wrong("stack: a\ngroups:\n  ►web:\n", "wrong-value", "groups.web: found nothing, expected a mapping"),
        wrong("stack: a\ngroups:\n  web: ►nano\n", "wrong-value", "groups.web: found 'nano', expected a mapping"),
        wrong("stack: a\ninputs: ►[x]\n", "wrong-value", "inputs: found a list, expected a mapping"),
        wrong("stack: a\ninputs:\n  ►x:\n", "wrong-value", "inputs.x: found nothing, expected a mapping"),
        wrong(
            "stack: a\ninputs: {x: {type: ►int}}\n",
            "wrong-value",
            "type of input \"x\": found 'int', expected one of string, integer, number, boolean, size, list, secret",
        ),
        wrong("stack: a\nimages: {d: ►5}\n", "wrong-value", "images.d: found 5, expected a name or a mapping"),
        wrong("stack: a\ngroups:\n  ►Web: {image: nano}\n", "wrong-name", f"wrong name in groups: found 'Web', {NAME}"),
        wrong("stack: a\ngroups:\n  ►1: {image: nano}\n", "wrong-name", f"wrong name in groups: found '1', {NAME}"),
        wrong("stack: a\ngroups:\n  ►'${stack}': {image: nano}\n", "wrong-name", f"wrong name in groups: found '${{stack}}', {NAME}"),
        wrong("stack: a\nnetworks:\n  ►front_1: {}\n", "wrong-name", f"wrong name in networks: found 'front_1', {NAME}"),
        wrong("stack: a\npolicies:\n  ►web.in: {}\n", "wrong-name", f"wrong name in policies: found 'web.in', {NAME}"),
        wrong(
            "stack: a\noutputs:\n  ►a b: 1\n",
            "wrong-name",
            "wrong name in outputs: found 'a b', expected text like ^[A-Za-z_][A-Za-z0-9_-]{0,62}$",
        ),
        value("count", "two", "found 'two', expected a whole number"),
        value("count", "1.5", "found 1.5, expected a whole number"),
        value("count", "true", "found true, expected a whole number"),
        value("count", "-1", "found -1, expected 0 or more"),
        value("count", "100001", "found 100001, expected 100000 or less"),
        value("count", "'${groups.web.count}'", f"found ${{groups.web.count}}, {NOT_YET}, expected a whole number"),
        value("memory", "512", 'a size needs a unit: found 512, expected for example "512 MiB"'),
        value("memory", "512 MB/s", "found '512 MB/s', expected a size such as \"512 MiB\""),
        value("memory", "[1 GiB]", 'found a list, expected a size such as "512 MiB"'),
        value("memory", "'${networks.n.subnet}'", f'found ${{networks.n.subnet}}, {NOT_YET}, expected a size such as "512 MiB"'),
        value("disk", "9999999 PiB", "found '9999999 PiB', expected at most 1024 PiB"),
        value("cpus", "two", "found 'two', expected a whole number or a mapping"),
        value("cpus", "0", "found 0, expected 1 or more"),
        value("cpus", "true", "found true, expected a whole number or a mapping"),
        wrong(group("cpus: {cores: ►100000}"), "wrong-value", 'cpus.cores of group "web": found 100000, expected 4096 or less'),
        value("networks", "n", "found 'n', expected a list"),
        wrong(group("networks: [n, ►5]"), "wrong-value", 'networks[1] of group "web": found 5, expected a name or a mapping'),
        wrong(
            group("networks: [{network: n, model: ►E1000}]"),
            "wrong-value",
            "networks[0].model of group \"web\": found 'E1000', expected text like ^[a-z0-9_-]+$",
        ),
        value("disk_bus", "nvme", "found 'nvme', expected one of virtio, scsi, sata, ide, usb"),
        value("firmware", "efi", "found 'efi', expected one of bios, uefi"),
        value("hypervisor", "xen", "found 'xen', expected one of auto, kvm, qemu"),
        value("graphics", "spice", "found 'spice', expected one of vnc, none"),
        value("boot", "[]", "found a list, expected at least 1 item"),
        wrong(
            group("boot: [disk, ►floppy]"), "wrong-value", "boot[1] of group \"web\": found 'floppy', expected one of disk, network, cdrom"
        ),
        value("serial", "yes", "found 'yes', expected true or false"),
        value("autostart", "1", "found 1, expected true or false"),
        value("ready", "up", "found 'up', expected one of started, address, ssh, done"),
        wrong(
            group("ready: {timeout: ►5}"),
            "wrong-value",
            'ready.timeout of group "web": a time needs a unit: found 5, expected for example "90 s"',
        ),
        value("stop_timeout", "soon", "found 'soon', expected a time such as \"90 s\""),
        wrong("stack: a\ngroups: {web: {image: ►[nano]}}\n", "wrong-value", 'image of group "web": found a list, expected text'),
        guest("users[0].name", "users: [{name: ►Bob}]", "found 'Bob', expected text like ^[a-z_][a-z0-9_-]{0,31}$"),
        guest("users[0].password", "users: [{name: a, password: ►[hunter2]}]", "found a list, expected text"),
        guest("files[0].path", "files: [{path: ►etc/motd, content: x}]", "found 'etc/motd', expected text like ^/"),
        guest("files[0].mode", "files: [{path: /a, content: x, mode: ►644}]", "found 644, expected text"),
        guest("files[0].mode", 'files: [{path: /a, content: x, mode: ►"999"}]', "found '999', expected text like ^0?[0-7]{3,4}$"),
        guest("run[0]", "run: [►{a: b}]", "found a mapping, expected text"),
        guest("packages[0]", "packages: [►5]", "found 5, expected text"),
        guest("user_data", "user_data: ►[a]", "found a list, expected a mapping"),
    ],
)
def test_the_value_is_quoted_with_its_place_and_what_was_expected(
    text: str, code: str, message: str, facts: tuple[str, ...], hint: str
) -> None:
    check(text, code, message, facts, hint)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("subnet: ►10.0.0.1/24", "found '10.0.0.1/24', expected a subnet such as 10.60.0.0/24 (10.0.0.1/24 has host bits set)"),
        ("subnet: ►10.0.0.0", "found '10.0.0.0', expected a subnet such as 10.60.0.0/24, or \"auto\""),
        ("subnet: ►10.0.0.0/31", "found a /31, expected /8 to /30"),
        ("subnet: ►0.0.0.0/0", "found a /0, expected /8 to /30"),
        ("subnet: ►fd00::/64", "found 'fd00::/64', expected a subnet such as 10.60.0.0/24 (Expected 4 octets in 'fd00::')"),
        ("subnet: ►127.0.0.0/8", "found '127.0.0.0/8', expected addresses that machines may have"),
        ("subnet: ►224.0.0.0/24", "found '224.0.0.0/24', expected addresses that machines may have"),
        ("subnet: ►169.254.7.0/24", "found '169.254.7.0/24', expected addresses that machines may have"),
        ("►subnet: ", 'found nothing, expected a subnet such as 10.60.0.0/24, or "auto"'),
        ("access: ►natt", "found 'natt', expected nat, isolated, routed, {bridge: NAME} or {direct: INTERFACE}"),
        ("access: ►{brige: br0}", "found a mapping, expected nat, isolated, routed, {bridge: NAME} or {direct: INTERFACE}"),
        ("access: ►{bridge: br0/../x}", "found a mapping, expected nat, isolated, routed, {bridge: NAME} or {direct: INTERFACE}"),
        (
            "access: ►{bridge: a-name-that-is-longer}",
            "found a mapping, expected nat, isolated, routed, {bridge: NAME} or {direct: INTERFACE}",
        ),
        ("mtu: ►10", "found 10, expected 576 or more"),
        ("mtu: ►70000", "found 70000, expected 65521 or less"),
    ],
)
def test_a_network_has_addresses_and_access_that_exist(body: str, message: str) -> None:
    key = body.replace("►", "").split(":")[0]
    check(f"stack: a\nnetworks:\n  n: {{{body}}}\n", "wrong-value", f'{key} of network "n": {message}', (), "")


def test_a_misspelt_key_is_told_before_the_one_that_is_missing() -> None:
    told = complain(group("networks: [{netwrk: n}]"))
    assert [(one.kind, one.message) for one in told] == [
        ("unknown-key", 'unknown key "netwrk" in networks[0] of group "web"'),
        ("missing-key", '"network" is missing in networks[0] of group "web"'),
    ]
    assert told[0].hint == 'did you mean "network"?'


def test_a_list_that_is_short_because_its_items_are_wrong_is_told_once() -> None:
    assert [one.message for one in complain(group("boot: [floppy]"))] == [
        "boot[0] of group \"web\": found 'floppy', expected one of disk, network, cdrom"
    ]


def test_a_value_of_a_megabyte_is_told_in_part() -> None:
    (told,) = complain(group(f"memory: {'x' * 1_000_000}"))
    assert len(told.message) < 200
    assert max(map(len, told.facts)) < 200


def test_ten_complaints_are_told_and_the_rest_counted() -> None:
    rows = "".join(f"  w{n}: {{count: -{n}}}\n" for n in range(1, 15))
    (first, *others) = complain(f"stack: a\ngroups:\n{rows}")
    assert first.message == 'count of group "w1": found -1, expected 0 or more'
    assert [one.facts[0] for one in others] == [f"stack.yaml:{line}:{16 if line > 11 else 15}" for line in range(4, 13)]
    assert isinstance(first, WrongFile)
    assert first.more == 4
