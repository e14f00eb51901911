"""A file that is whole, or as it was."""

import contextlib
import os


def write(path: str, text: str) -> None:
    """A file, whole or as it was; one that says this already is left alone."""
    with contextlib.suppress(FileNotFoundError), open(path) as file:
        if file.read() == text:
            return
    part = f"{path}.part"
    with open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)
