"""Prints the versions of ``uv.lock`` as constraints for pip. Needs nothing but the standard library."""

import sys
import tomllib
from collections import Counter
from pathlib import Path


def constraints(lock: Path) -> list[str]:
    """``name==version`` of everything that comes from an index.

    What is locked in several versions, for several kinds of machine, is left to pip.
    """
    packages = tomllib.loads(lock.read_text())["package"]
    locked = [(package["name"], package["version"]) for package in packages if "registry" in package["source"]]
    times = Counter(name for name, _ in locked)
    return [f"{name}=={version}" for name, version in locked if times[name] == 1]


if __name__ == "__main__":
    print("\n".join(constraints(Path(sys.argv[1]))))
