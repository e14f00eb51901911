"""Files whose parts are right one by one and do not fit together: names, circles, addresses, sizes, rules, references."""

from __future__ import annotations

import pytest

from tests.builders import load
from tests.unit.source.wrong import check, complain, wrong

PEERS = "expected: anywhere, network, host, a CIDR such as 10.0.0.0/8, or {group: NAME}"
PATCHES = "expected: set, text, add; or replace alone; or remove alone"


def groups(rows: str) -> str:
    return f"stack: a\nnetworks: {{front: {{}}, back: {{}}}}\npolicies: {{web: {{}}}}\ngroups:\n{rows}\n"


def group(body: str) -> str:
    return groups(f"  web: {{image: nano, {body}}}")


def late(text: str) -> str:
    return group(f'guest: {{run: [►"echo {text}"]}}')


def policy(rules: str) -> str:
    return f"stack: a\ngroups: {{web: {{image: nano}}}}\npolicies:\n  p: {{{rules}}}\n"


@pytest.mark.parametrize(
    ("text", "code", "message", "facts", "hint"),
    [
        wrong(
            group("networks: [►fron]"),
            "unknown-name",
            'unknown network "fron" in group "web"',
            "networks declared here: front, back",
            hint='did you mean "front"?',
        ),
        wrong(
            group("networks: [►{network: lan}]"),
            "unknown-name",
            'unknown network "lan" in group "web"',
            "networks declared here: front, back",
        ),
        wrong(
            "stack: a\nnetworks: {lan: {records: {db: ►wbe}}}\ngroups: {web: {image: nano}}\n",
            "unknown-name",
            'record "db" of network "lan" means "wbe"',
            "expected: an address such as 10.60.0.5, a machine such as web-1, or a group",
            hint='did you mean "web"?',
        ),
        wrong(
            "stack: a\nnetworks: {lan: {records: {web-1: ►10.0.0.5}}}\ngroups: {web: {image: nano}}\n",
            "duplicate-name",
            'record "web-1" of network "lan" is the name of a machine or a group',
        ),
        wrong(
            "stack: a\nnetworks: {lan: {access: {bridge: br0}, records: ►{printer: 10.0.0.5}}}\n",
            "wrong-key",
            'network "lan" is bridge br0 of the host, whose name server is not ours',
            hint='take records: out of network "lan"',
        ),
        wrong(
            "stack: a\ngroups: {web: {image: nano, networks: [►lan]}}\n",
            "unknown-name",
            'unknown network "lan" in group "web"',
            "networks declared here: none",
        ),
        wrong(
            group("policies: [►wep]"),
            "unknown-name",
            'unknown policy "wep" in group "web"',
            "policies declared here: web",
            hint='did you mean "web"?',
        ),
        wrong(
            group("needs: [►wbe]"),
            "unknown-name",
            'unknown group "wbe" in group "web"',
            "groups declared here: web",
            hint='did you mean "web"?',
        ),
        wrong(group("needs: ►[web]"), "needs-cycle", "groups need each other in a circle: web → web"),
        wrong(
            groups(
                "  z: {image: nano, needs: [b]}\n  a: {image: nano, needs: ►[b]}\n  b: {image: nano, needs: [c]}\n  c: {image: nano, needs: [a]}"
            ),
            "needs-cycle",
            "groups need each other in a circle: a → b → c → a",
        ),
        wrong(
            "stack: a\nnetworks:\n  n: {subnet: 10.0.0.0/16}\n  m: {subnet: ►10.0.1.0/24}\n  o: {subnet: 10.1.0.0/24}\n",
            "overlap",
            'networks "n" and "m" overlap',
            "n: 10.0.0.0/16",
            "m: 10.0.1.0/24",
        ),
        wrong(
            "stack: a\nnetworks: {n: {subnet: ►10.0.0.0/29}}\ngroups: {w: {image: nano, count: 6, networks: [n]}}\n",
            "subnet-too-small",
            'network "n" is too small: 6 NICs, room for 5',
            hint="a /28 has room",
        ),
        wrong(
            "stack: a\nnetworks: {n: {subnet: ►10.0.0.0/24}}\ngroups: {w: {image: nano, count: 200, networks: [n]}, x: {image: nano, count: 54, networks: [n]}}\n",
            "subnet-too-small",
            'network "n" is too small: 254 NICs, room for 253',
            hint="a /23 has room",
        ),
        wrong(
            "stack: a\ngroups: {web: ►{}}\n",
            "missing-key",
            'group "web" has neither an image nor a disk',
            "expected: image: NAME, or disk: SIZE with boot: [network]",
        ),
        wrong(group("memory: ►1 KiB"), "wrong-value", 'memory of group "web" is 1 KiB, expected at least 1 MiB'),
        wrong(group("disk: ►0 GiB"), "wrong-value", 'disk of group "web" is 0 B, expected at least 1 MiB'),
        wrong(group("memory: 2 GiB, memory_max: ►1 GiB"), "wrong-value", 'memory_max of group "web" is 1 GiB, memory is 2 GiB'),
        wrong(group("cpus: ►{count: 4, max: 2}"), "wrong-value", 'cpus of group "web": count is 4, max is 2'),
        wrong(
            group("cpus: ►{count: 9, sockets: 2, cores: 2, threads: 2}"),
            "wrong-value",
            'cpus of group "web": 2 x 2 x 2 is room for 8, not for 9',
        ),
        wrong(
            group("cpus: ►{count: 2, max: 9, sockets: 2, cores: 4}"),
            "wrong-value",
            'cpus of group "web": 2 x 4 x 1 is room for 8, not for 9',
        ),
        wrong(group("boot: ►[disk, network, disk]"), "wrong-value", 'boot of group "web" names a device twice'),
        wrong(group("volumes: [{name: d, size: ►0 GiB}]"), "wrong-value", 'size of volume "d" is 0 B, expected at least 1 MiB'),
        wrong(group("volumes: [{name: d, size: 1 GiB}, {name: ►d, size: 2 GiB}]"), "duplicate-name", 'group "web" has two volumes "d"'),
        wrong(
            group("volumes: [{name: abcdefghijklmnopqrst-1, size: 1 GiB}, {name: ►abcdefghijklmnopqrst-2, size: 1 GiB}]"),
            "duplicate-name",
            'group "web" has volumes "abcdefghijklmnopqrst-1" and "abcdefghijklmnopqrst-2"',
            "both would have the serial number abcdefghijklmnopqrst",
        ),
        wrong(group("volumes: [{name: ►seed, size: 1 GiB}]"), "wrong-name", 'group "web" has a volume "seed", as its own disks are called'),
        wrong(group("volumes: [{name: ►root, size: 1 GiB}]"), "wrong-name", 'group "web" has a volume "root", as its own disks are called'),
        wrong(
            group(f"volumes: ►[{', '.join(f'{{name: d{n}, size: 1 GiB}}' for n in range(25))}]"),
            "wrong-value",
            'group "web" has 25 volumes, expected at most 24',
        ),
        wrong(
            group(f"disk_bus: ide, volumes: ►[{', '.join(f'{{name: d{n}, size: 1 GiB, bus: ide}}' for n in range(3))}]"),
            "wrong-value",
            'group "web" has more than 3 disks on ide',
        ),
        wrong(group("guest: {users: [{name: bob}, {name: ►bob}]}"), "duplicate-name", 'group "web" has two users "bob"'),
        wrong(group("guest: {files: [►{path: /a}]}"), "wrong-value", 'file "/a" needs either content or source'),
        wrong(group("guest: {files: [►{path: /a, content: x, source: y}]}"), "wrong-value", 'file "/a" needs either content or source'),
        wrong(
            group("guest: {users: [{name: a, password: ►'x${machine.name}'}]}"), "wrong-value", "a password cannot refer to ${machine.name}"
        ),
        wrong(group("xml: [►{at: //disk}]"), "wrong-value", 'xml[0] of group "web" says nothing to do', PATCHES),
        wrong(group("xml: [►{at: //disk, remove: true, add: <a/>}]"), "wrong-value", 'xml[0] of group "web" says add and remove', PATCHES),
        wrong(
            group("xml: [►{at: //disk, replace: <a/>, set: {a: b}}]"), "wrong-value", 'xml[0] of group "web" says set and replace', PATCHES
        ),
        wrong(policy("inbound: [{tcp: ►0}]"), "wrong-value", 'policy "p": found tcp port 0, expected 1 to 65535'),
        wrong(policy("inbound: [{tcp: ►-1}]"), "wrong-value", 'policy "p": found tcp port -1, expected 1 to 65535'),
        wrong(policy("inbound: [{tcp: ►[80, '1-65536']}]"), "wrong-value", 'policy "p": found tcp port 1-65536, expected 1 to 65535'),
        wrong(policy("outbound: [{udp: ►'10-5'}]"), "wrong-value", 'policy "p": found udp port 10-5, expected 1 to 65535'),
        wrong(
            policy("inbound: [{from: ►anywher}]"),
            "wrong-value",
            "policy \"p\": found 'anywher'",
            PEERS,
            hint='did you mean "anywhere"?',
        ),
        wrong(
            policy("inbound: [{from: ►10.0.0.1/8}]"),
            "wrong-value",
            "policy \"p\": found '10.0.0.1/8'",
            PEERS,
            hint='the network is "10.0.0.0/8"',
        ),
        wrong(policy("inbound: [{from: ►'fd00::1/64x'}]"), "wrong-value", "policy \"p\": found 'fd00::1/64x'", PEERS),
        wrong(
            policy("inbound: [{from: ►{group: web, stack: b}}]"),
            "wrong-value",
            'policy "p": found group and stack',
            "expected: group, policy or stack, one of them",
        ),
        wrong(
            policy("inbound: [{from: ►{grp: web}}]"),
            "unknown-key",
            'unknown peer "grp" in policy "p"',
            "expected: group, policy or stack",
            hint='did you mean "group"?',
        ),
        wrong(policy("inbound: [►{any: true, tcp: 80}]"), "wrong-value", 'policy "p": a rule has any and tcp', "expected: one of them"),
        wrong(policy("inbound: [{udp: ►[]}]"), "wrong-value", 'policy "p": found no udp port', "expected: ports, or 1-65535 for all"),
        wrong(policy("inbound: [{from: ►{}}]"), "wrong-value", 'policy "p": found nothing', "expected: group, policy or stack"),
        wrong(
            policy("inbound: [{from: ►{mine: web}}]"),
            "unknown-key",
            'unknown peer "mine" in policy "p"',
            "expected: group, policy or stack",
        ),
        wrong(
            policy("outbound: [{to: ►{group: wbe}}]"),
            "unknown-name",
            'unknown group "wbe" in policy "p"',
            "groups declared here: web",
            hint='did you mean "web"?',
        ),
        wrong(policy("outbound: [{to: ►{policy: q}}]"), "unknown-name", 'unknown policy "q" in policy "p"', "policies declared here: p"),
        wrong(policy("inbound: [►{to: anywhere}]"), "wrong-key", 'inbound rule of policy "p" has "to"', 'expected: "from"'),
        wrong(policy("outbound: [►{from: network}]"), "wrong-key", 'outbound rule of policy "p" has "from"', 'expected: "to"'),
        wrong(
            late("${groups.wbe.address}"),
            "unknown-name",
            'unknown group "wbe" in ${groups.wbe.address}',
            "groups declared here: web",
            hint='did you mean "web"?',
        ),
        wrong(
            late("${networks.fornt.subnet}"),
            "unknown-name",
            'unknown network "fornt" in ${networks.fornt.subnet}',
            "networks declared here: front, back",
            hint='did you mean "front"?',
        ),
        wrong(
            late("${groups.web.adress}"),
            "unknown-reference",
            "unknown reference ${groups.web.adress}",
            "known words: address, addresses, names, count",
            hint='did you mean "address"?',
        ),
        wrong(
            late("${networks.front.gatway}"),
            "unknown-reference",
            "unknown reference ${networks.front.gatway}",
            "known words: subnet, gateway, bridge",
            hint='did you mean "gateway"?',
        ),
        wrong(
            late("${machine.nam}"),
            "unknown-reference",
            "unknown reference ${machine.nam}",
            "known words: name, index, address, group, stack",
            hint='did you mean "name"?',
        ),
        wrong(late("${groups.web}"), "unknown-reference", "unknown reference ${groups.web}", "expected: ${groups.NAME.WORD}"),
        wrong(late("${machine.name.first}"), "unknown-reference", "unknown reference ${machine.name.first}", "expected: ${machine.WORD}"),
        wrong(
            group("values: {a: {b: [►'${groups.nope.count}']}}"),
            "unknown-name",
            'unknown group "nope" in ${groups.nope.count}',
            "groups declared here: web",
        ),
        wrong(
            group("guest: {user_data: {a: ►'${machine.nam}'}}"),
            "unknown-reference",
            "unknown reference ${machine.nam}",
            hint='did you mean "name"?',
        ),
        wrong(
            "stack: a\noutputs: {o: ►'${machine.name}'}\n",
            "unknown-reference",
            "${machine.name} means one machine; an output belongs to the stack",
        ),
        wrong(
            "stack: a\noutputs: {o: ['${stack}', ►'${groups.db.address}']}\n",
            "unknown-name",
            'unknown group "db" in ${groups.db.address}',
            "groups declared here: none",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_with_its_place(text: str, code: str, message: str, facts: tuple[str, ...], hint: str) -> None:
    check(text, code, message, facts, hint)


def test_each_circle_is_told_once_and_who_waits_for_it_is_not() -> None:
    rows = "  a: {image: n, needs: [b]}\n  b: {image: n, needs: [a]}\n  c: {image: n, needs: [a]}\n  d: {image: n, needs: [d]}"
    assert [one.message for one in complain(groups(rows))] == [
        "groups need each other in a circle: a → b → a",
        "groups need each other in a circle: d → d",
    ]


def test_a_chain_of_a_thousand_groups_is_no_circle_and_a_ring_of_them_is_one() -> None:
    chain = "\n".join(f"  g{n}: {{image: n, needs: [g{n + 1}]}}" for n in range(1100))
    assert len(load(groups(f"{chain}\n  g1100: {{image: n}}")).stack.groups) == 1101
    (told,) = complain(groups(f"{chain}\n  g1100: {{image: n, needs: [g0]}}"))
    assert told.kind == "needs-cycle"


def test_all_that_does_not_fit_is_told_at_once() -> None:
    text = group("networks: [lan], needs: [db], memory: 1 KiB")
    assert [one.kind for one in complain(text)] == ["unknown-name", "unknown-name", "wrong-value"]


def test_a_bridge_of_the_host_is_as_large_as_the_site_makes_it() -> None:
    text = "stack: a\nnetworks: {n: {access: {bridge: br0}}}\ngroups: {web: {image: nano, count: 500, networks: [n]}}\n"
    assert load(text).stack.networks["n"].bridge == "br0"


def test_a_subnet_that_is_just_large_enough_is_taken() -> None:
    text = "stack: a\nnetworks: {n: {subnet: 10.0.0.0/29}}\ngroups: {w: {image: nano, count: 5, networks: [n]}}\n"
    assert str(load(text).stack.networks["n"].subnet) == "10.0.0.0/29"
