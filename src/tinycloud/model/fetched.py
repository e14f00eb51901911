"""What an image was made from, by the sum of the file as it came: on its card, source is ``ADDRESS#sha256=SUM``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tinycloud.model.world import Image


def make_source(source: str, algorithm: str, digits: str) -> str:
    """How a card says what an image was made from: an address or a file's name, and the sum of that file."""
    return f"{source}#{algorithm}={digits}"


def find_fetched(images: Iterable[Image], algorithm: str, digits: str) -> Image | None:
    """The image that a file with this sum is, or was made from."""
    if not digits:
        return None
    end = f"#{algorithm}={digits.lower()}"
    found = [image for image in images if image.source.endswith(end) or (algorithm == "sha256" and image.sha == digits.lower())]
    return min(found, key=lambda image: image.sha, default=None)


def list_known(images: Iterable[Image]) -> set[str]:
    """ALGORITHM=SUM of every file that is in the store, or that an image in it was made from."""
    found = set()
    for image in images:
        found |= {f"sha256={image.sha}", *filter(None, [image.source.rpartition("#")[2] if "#sha" in image.source else ""])}
    return found
