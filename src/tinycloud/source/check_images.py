"""What a schema cannot say of images: where each source leads, and what proves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinycloud.model.catalogue import check_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tinycloud.model.stack import ImageUse
    from tinycloud.source.check_groups import Complain
    from tinycloud.source.complaints import Complaint


def check_images(images: Mapping[str, ImageUse], complain: Complain) -> Iterator[Complaint]:
    for name, use in images.items():
        if not use.is_address:
            continue
        try:
            check_address(use.source)
        except ValueError as err:
            yield complain("wrong-value", f'source of image "{name}": {err}', ("images", name, "source"))
        if use.sha256 is None:
            hint = "sha256: the sum that its maker publishes"
            yield complain("missing-key", f'image "{name}" comes from an address and has no sha256', ("images", name, "source"), hint=hint)
