"""Bandwidths that the kernel would refuse, or round to nothing."""

from __future__ import annotations

import pytest

from tests.unit.source.wrong import check, wrong


def group(bandwidth: str) -> str:
    return f"stack: s\nnetworks: {{n: {{}}}}\ngroups:\n  web: {{image: nano, networks: [{{network: n, bandwidth: {bandwidth}}}]}}\n"


@pytest.mark.parametrize(
    ("text", "code", "message", "facts", "hint"),
    [
        wrong(group("►{in: 512 B}"), "wrong-value", 'bandwidth in of group "web" is 512 B a second, expected 1 KiB to 512 GiB'),
        wrong(group("►{out: 2 PiB}"), "wrong-value", 'bandwidth out of group "web" is 2 PiB a second, expected 1 KiB to 512 GiB'),
        wrong(
            group("►{in: {average: 2 MiB, peak: 1 MiB}}"),
            "wrong-value",
            'bandwidth in of group "web" peaks at 1 MiB, its average is 2 MiB',
        ),
        wrong(
            group("{in: ►5}"),
            "wrong-value",
            'networks[0].bandwidth.in of group "web": found 5, expected a size such as 10 MiB, or a mapping',
        ),
    ],
)
def test_a_bandwidth_that_cannot_be_is_refused(text: str, code: str, message: str, facts: tuple[str, ...], hint: str) -> None:
    check(text, code, message, facts, hint)
