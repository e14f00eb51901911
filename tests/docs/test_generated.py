"""Pages that follow from the source are as the source says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def generate(*words: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(root / "docs/generate.py"), *words], capture_output=True, text=True, check=False)


def test_generated_pages_are_fresh() -> None:
    done = generate("--check")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_page_that_was_edited_by_hand_is_told_and_written_anew(tmp_path: Path) -> None:
    copy_of_the_project(tmp_path)
    page = tmp_path / "docs/reference/errors.md"
    as_generated = page.read_text()
    page.write_text(as_generated + "by hand\n")
    done = generate("--check", root=tmp_path)
    assert (done.stdout, done.returncode) == ("stale, run make docs: errors.md\n", 1)
    assert generate(root=tmp_path).stdout == "written: errors.md\n"
    assert page.read_text() == as_generated


def test_a_code_that_nobody_explained_stops_the_generation(tmp_path: Path) -> None:
    copy_of_the_project(tmp_path)
    meanings = tmp_path / "docs/meanings.py"
    meanings.write_text(meanings.read_text().replace('"needs-cycle":', '"needs-circle":'))
    done = generate(root=tmp_path)
    assert "CODES lacks, or has for nothing: needs-cycle, needs-circle" in done.stderr
    assert done.returncode == 1


def copy_of_the_project(folder: Path) -> None:
    """What the generator reads and writes, at a place where it may be changed; the package itself is imported from where it is."""
    for part in ("docs/generate.py", "docs/meanings.py", *(f"docs/reference/{page.name}" for page in (ROOT / "docs/reference").iterdir())):
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / part).read_bytes())
    (folder / "src").symlink_to(ROOT / "src")
