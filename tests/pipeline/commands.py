"""What the tests of whole runs give to the command line."""

from pathlib import Path

from pocketgan.cli import main

TINY = ["--size", "16", "--steps", "3", "--batch", "2", "--device", "cpu", "data.workers=0", "data.limit=6"]
TINY += ['evaluation.runtimes=["torch"]', "evaluation.repeats=2", "evaluation.images=3"]
NETS = ['arch_options={"ngf":8,"blocks":2}', 'discriminator_options={"ndf":4,"layers":1}']


def command(*arguments: object) -> None:
    """A command that has to succeed."""
    assert main([str(argument) for argument in arguments]) == 0


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
