"""Check what `python -m build` made: `python .ci/check_dist.py DIST WHEEL_OF_THE_TREE`."""

import sys
import tarfile
import zipfile
from pathlib import Path


def main(dist: Path, of_the_tree: Path) -> None:
    """Fail with an AssertionError if a wheel or the sdist lacks something.

    Args:
        dist: where one sdist and the wheel built from it lie.
        of_the_tree: the wheel built without an sdist in between.
    """
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    assert wheel.name == of_the_tree.name
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(of_the_tree) as other:
        packed = set(one.namelist())
        assert packed == set(other.namelist()), packed ^ set(other.namelist())
        differ = [name for name in packed if one.read(name) != other.read(name)]
    assert not differ, f"the wheel of the sdist has other contents: {differ}"

    tree = {
        path.as_posix()
        for path in Path("jaxcf").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"jaxcf/py.typed", "jaxcf/models/weights/digits.npz"} <= tree
    assert tree == {name for name in packed if ".dist-info/" not in name}

    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    assert tree <= sources
    needed = {"pyproject.toml", "constraints.txt", ".ci/run", "docs/tables.md", "tests/conftest.py"}
    assert needed <= sources, needed - sources
    print(f"{wheel.name}: {len(packed)} files, the same from the tree; {len(sources)} in the sdist")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
