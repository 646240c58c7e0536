"""What ``script/demo`` refuses before it starts anything."""

import subprocess
import sys

import pytest

from dev.places import ROOT


@pytest.mark.parametrize("arguments", [["--calls", "0"], ["--day", "990203"], ["--report", "/nowhere/at/all.json"]])
def test_wrong_options_are_refused_at_once(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dev.demo", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"script/demo: error: {arguments[0]}" in done.stderr
