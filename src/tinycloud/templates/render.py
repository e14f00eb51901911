"""Templates → XML text: Jinja2, sandboxed, strict about what is undefined, escaping for XML."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from tinycloud.errors import WrongInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

_OWN = "user-template"


@cache
def _environment() -> Environment:
    from jinja2 import FunctionLoader, StrictUndefined  # 45 ms of import
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        loader=FunctionLoader(find_shipped),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=False,
        keep_trailing_newline=False,
    )


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
    folders = [("", root), ("domain/", root / "domain")]
    return sorted(f"{base}{item.name}" for base, folder in folders for item in folder.iterdir() if item.name.endswith(".j2"))


def render(template: str, values: Mapping[str, Any]) -> str:
    """The XML of a shipped template."""
    return _environment().get_template(template).render(**values)


def render_text(text: str, values: Mapping[str, Any], name: str) -> str:
    """The XML of a template given as text; raises WrongInput with the line for any mistake in it."""
    from jinja2 import TemplateError

    try:
        return _environment().from_string(text).render(**values)
    except TemplateError as err:
        line = getattr(err, "lineno", None) or _find_line(err)
        where = f"{name}:{line}" if line else name
        raise WrongInput(f"template {name}: {err.message or err}", code="template", facts=[where]) from err
    except (TypeError, ValueError, ArithmeticError, LookupError) as err:
        raise WrongInput(f"template {name}: {err}", code="template", facts=[name]) from err


def _find_line(err: BaseException) -> int | None:
    """The template line a runtime error came from: Jinja2 rewrites the traceback to template lines."""
    line, trace = None, err.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
