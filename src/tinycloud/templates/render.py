"""Templates → XML text: Jinja2, sandboxed, strict about what is undefined, escaping for XML."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from tinycloud.errors import WrongInput, make_did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Environment


@cache
def _environment() -> Environment:
    from jinja2 import FunctionLoader, StrictUndefined  # 45 ms of import
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        loader=FunctionLoader(_load),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=False,
        keep_trailing_newline=False,
    )


def _load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
    """A shipped template under a file name of its own, which tells its lines from those of the user's."""
    text = find_shipped(name)
    return None if text is None else (text, name, lambda: True)


def find_shipped(name: str) -> str | None:
    """The text of a shipped template such as ``domain/kvm.xml.j2``, or None."""
    folder = resources.files("tinycloud.templates")
    for word in name.split("/"):
        if word in ("", ".", ".."):
            return None
        folder = folder / word
    return folder.read_text() if name.endswith(".j2") and folder.is_file() else None


def list_shipped() -> list[str]:
    """Names of all shipped templates."""
    root = resources.files("tinycloud.templates")
    folders = [("", root), ("domain/", root / "domain"), ("pool/", root / "pool")]
    return sorted(f"{base}{item.name}" for base, folder in folders for item in folder.iterdir() if item.name.endswith(".j2"))


def render(template: str, values: Mapping[str, Any]) -> str:
    """The XML of a shipped template."""
    return _environment().get_template(template).render(**values)


def render_text(text: str, values: Mapping[str, Any], name: str) -> str:
    """The XML of a template given as text; raises WrongInput with the line for any mistake in it."""
    from jinja2 import TemplateError, TemplateNotFound

    try:
        return _environment().from_string(text).render(**values)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as err:
        line = getattr(err, "lineno", None) or _find_line(err)
        missing = str(err.name) if isinstance(err, TemplateNotFound) else ""
        said = f"there is no shipped template {missing}" if missing else str(err)
        hint = make_did_you_mean(missing, list_shipped())
        raise WrongInput(f"template {name}: {said}", code="template", facts=[f"{name}:{line}" if line else name], hint=hint) from err


def _find_line(err: BaseException) -> int | None:
    """The template line a runtime error came from: Jinja2 rewrites the traceback to template lines."""
    line, trace = None, err.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":  # what Jinja2 calls a template without a file
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
