"""The folder that a run writes: the names of its files, and what is read from it again."""

import csv
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcf.cli.same_run import NO_PART_OF_A_RUN, differing_options
from jaxcf.cli.terminal import Terminal
from jaxcf.jobs import Job
from jaxcf.jobs.checking import CERTIFICATE_FILE
from jaxcf.report.page import RUN_MARK
from jaxcf.results import explanations as plain
from jaxcf.results.explanations import Explanations
from jaxcf.results.parts import JOB_FILE, JobFolder
from jaxcf.results.traces import Traces
from jaxcf.tabular import TableExplanations
from jaxcf.tabular import explanations as tables
from jaxcf.utils.array_files import open_arrays, read_metadata, write_arrays
from jaxcf.utils.file_checks import ArrayRule, check_arrays, check_format
from jaxcf.utils.files import check_writable
from jaxcf.utils.json_files import is_number, read_json, write_json

if TYPE_CHECKING:
    from matplotlib.artist import Artist

EXPLANATIONS_FILE = "explanations.npz"

TRACES_FILE = "details.npz"

SUMMARY_FILE = "summary.json"

CONFIG_FILE = "config.json"

EVALUATION_FILE = "evaluation.json"

GRID_FILE = "grid.png"

COLUMNS_FILE = "columns.png"

COUNTERFACTUALS_FILE = "counterfactuals.csv"

REPORT_FILE = "report.html"

TRUE_CLASSES_FILE = "true_classes.npz"
"""What the rows really are, where that is known; of a job, whichever of its processes wrote it."""

RUN_FILES = (
    EXPLANATIONS_FILE,
    TRACES_FILE,
    SUMMARY_FILE,
    CONFIG_FILE,
    EVALUATION_FILE,
    GRID_FILE,
    COLUMNS_FILE,
    COUNTERFACTUALS_FILE,
    REPORT_FILE,
    CERTIFICATE_FILE,
)
"""Every name that a file of a run may have."""

RUN = "run"
"""Under what a file says which run it is of: a key of JSON, a column, an entry of a picture."""

CONFIG_SCHEMA_VERSION = 1

TRUE_CLASSES_FORMAT = "jaxcf.true_classes"
TRUE_CLASSES_SCHEMA_VERSION = 1

TRAINED_HERE = "trained here"
"""Where the model of a table comes from that was no file."""

EXPLANATION_FORMATS = (plain.FORMAT, tables.FORMAT)
"""The formats that `read_explanations` reads."""

_CONFIG_CONTENT = {"command": dict, "data": dict, "models": str, "settings": dict}

# What may be missing, or nothing: runs of a model alone have no guide.
_TEXTS = (RUN, "guide")

SHOWN_ROWS = 2000
"""So many rows of a run that is too large for one file are shown in its pictures and its page."""

_ID_DIGITS = 16

# The mark of a page stands near its beginning, and the rest of the page may be long.
_HEAD_OF_A_PAGE = 4096


@dataclass(frozen=True)
class RunFolder:
    """What a run left behind.

    Attributes:
        config: everything that was asked for and used, as `config.json` has it.
        explanations: `TableExplanations` where the run explained a table.
        traces: a closer look at some of the rows; None where the run has none.
        shown_of: how many rows the run has, where `explanations` are some of them; else None.
        true_classes: what each row that was explained really is, -1 where that is unknown; None
            where it is of all.
    """

    config: Mapping[str, Any]
    explanations: Explanations | TableExplanations
    traces: Traces | None = None
    shown_of: int | None = None
    true_classes: np.ndarray | None = None

    @property
    def id(self) -> str | None:
        """What its files say that they are of; None of runs that were written without."""
        return self.config.get(RUN)

    @property
    def core(self) -> Explanations:
        """The explanations; of a table, those in coordinates."""
        return self.explanations.core

    @property
    def is_table(self) -> bool:
        """Whether a table in its own units was explained."""
        return isinstance(self.explanations, TableExplanations)


# --- writing -----------------------------------------------------------------------------------


@contextmanager
def claimed_folder(
    out: Path | None,
    name: str,
    *,
    overwrite: bool,
    command: Mapping[str, Any] | None = None,
    passed_over: Collection[Path] = (),
) -> Iterator[Path]:
    """A folder for a run, before any work: it can be written, and no other run lies in it.

    Args:
        out: where it shall be; None for `runs/NAME`, with a number behind it if that exists, but
            for one in which the same command hasn't come to its end.
        name: of the folder if nobody says where.
        overwrite: whether another run may lie there.
        command: every option that was given; a run of the same is gone on with.
        passed_over: folders where that turned out to be a run of other data, if nobody says where.

    Yields:
        The folder. Afterwards it is removed again if nothing was written to it.

    Raises:
        FileExistsError: if a run lies there and may not be overwritten.
        OSError: if it can't be written.
    """
    folder = Path("runs") / name if out is None else out
    check_writable(folder, folder=True)
    if out is not None and not overwrite:
        _check_free_or_same(folder, command)
    if out is None and not overwrite:
        unfinished = _unfinished(name, command, passed_over)
        if unfinished is not None:
            yield unfinished
            return
    made = [one for one in folder.parents if not one.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        try:
            folder.mkdir()
            made.insert(0, folder)
            break
        except FileExistsError:
            # Two that begin at once take two folders.
            if out is not None or overwrite:
                break
            number += 1
            folder = Path("runs") / f"{name}-{number}"
    try:
        yield folder
    finally:
        for one in made:
            with suppress(OSError):  # only what is empty can be removed
                one.rmdir()


def _check_free_or_same(folder: Path, command: Mapping[str, Any] | None) -> None:
    present = [one for one in (*RUN_FILES, JOB_FILE) if os.path.lexists(folder / one)]
    differing = ""
    if JOB_FILE in present and command is not None:
        known = _command_in(folder)
        others = [] if known is None else differing_options(command, known)
        if not others:
            return  # whether it is the same model and the same data, the job knows
        differing = f", of another command: {', '.join(others)}"
    if present:
        raise FileExistsError(
            f"{folder} holds a run already ({', '.join(present)}){differing}; pass --overwrite to "
            "replace it, or another --out"
        )


def _unfinished(
    name: str, command: Mapping[str, Any] | None, passed_over: Collection[Path]
) -> Path | None:
    """The folder in which the same command hasn't come to its end, if nobody said where."""
    number, folder = 1, Path("runs") / name
    while command is not None and folder.is_dir():
        unread = folder in passed_over or not (folder / JOB_FILE).is_file()
        known = None if unread else _command_in(folder)
        if known is not None and known.get("out") is None and not differing_options(command, known):
            return folder
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return None


def _command_in(folder: Path) -> Mapping[str, Any] | None:
    config = JobFolder.open(folder).job["notes"].get("config")
    command = config.get("command") if isinstance(config, dict) else None
    return command if isinstance(command, dict) else None


@dataclass(frozen=True)
class NewRun:
    """A run that is being written, file by file; each says which run it is of.

    Attributes:
        folder: where to.
        id: of the run.
        files: the names of those written so far.
    """

    folder: Path
    id: str
    files: list[str] = field(default_factory=list)

    @classmethod
    def begin(
        cls,
        folder: Path,
        explanations: Explanations | TableExplanations,
        command: Mapping[str, Any],
    ) -> "NewRun":
        """Write the explanations, and take away what is left of another run.

        Args:
            folder: where to.
            explanations: what was found.
            command: every option that was given.

        Returns:
            The run, its explanations written.
        """
        run = cls(folder, _id(explanations.core, command))
        # First, so that where they can't be written the other run is still whole.
        run.write(EXPLANATIONS_FILE, lambda path: explanations.save(path, run=run.id))
        for name in RUN_FILES:
            if name != EXPLANATIONS_FILE:
                (folder / name).unlink(missing_ok=True)
        return run

    @classmethod
    def of_parts(cls, folder: Path, job: Job) -> "NewRun":
        """Begin the files of a run whose rows stay in parts, and take away those of another run.

        Args:
            folder: where to.
            job: complete.

        Returns:
            The run, whose id follows from its parts.
        """
        parts = sorted(piece.part.name for piece in job.folder.pieces())
        digest = hashlib.sha256(" ".join([job.folder.job["id"], *parts]).encode())
        for name in RUN_FILES:
            (folder / name).unlink(missing_ok=True)
        return cls(folder, digest.hexdigest()[:_ID_DIGITS])

    def write(self, name: str, write: Callable[[Path], Any]) -> None:
        """Have `write(path)` write a file of that name."""
        write(self.folder / name)
        if name not in self.files:
            self.files.append(name)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write content as JSON, with the id of the run."""
        self.write(name, lambda path: write_json(path, {RUN: self.id, **content}))

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write `config.json`, with the version of its schema."""
        self.write_json(CONFIG_FILE, {"schema_version": CONFIG_SCHEMA_VERSION, **config})

    def write_picture(self, name: str, draw: Callable[[], "Artist"]) -> None:
        """Write what `draw` draws, with the id of the run; no name of the caller's is a formula."""
        from matplotlib import rc_context

        from jaxcf import plots

        with rc_context({"text.parse_math": False}):
            axes = draw()
            self.write(name, lambda path: plots.save(axes, path, notes={RUN: self.id}))

    def write_traces(self, num_rows: int, trace: Callable[..., Traces], terminal: Terminal) -> None:
        """Write `details.npz` beside the other files: whoever interrupts this keeps them.

        Args:
            num_rows: how many rows; 0 for no file.
            trace: called with `num_rows`; gives their traces.
            terminal: for progress.
        """
        if num_rows:
            terminal.say(f"looking closely at up to {num_rows} rows")
            traces = trace(num_rows=num_rows)
            self.write(TRACES_FILE, lambda path: traces.save(path, run=self.id))


def _id(explanations: Explanations, command: Mapping[str, Any]) -> str:
    """An id that follows from what was asked for and found: the same run again has the same."""
    asked_for = {name: one for name, one in command.items() if name not in NO_PART_OF_A_RUN}
    settings = dict(explanations.settings)
    digest = hashlib.sha256(json.dumps([asked_for, settings], sort_keys=True).encode())
    for name, array in plain.pack(explanations).items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:_ID_DIGITS]


def write_true_classes(folder: Path, true_classes: np.ndarray | None) -> None:
    """Write what the rows of a run really are; where it isn't known, take away what lies there.

    Args:
        folder: of the run.
        true_classes: `[n]`, one per row that is explained, -1 where unknown; None for all.
    """
    path = folder / TRUE_CLASSES_FILE
    if true_classes is None:
        path.unlink(missing_ok=True)
        return
    described = {"format": TRUE_CLASSES_FORMAT, "schema_version": TRUE_CLASSES_SCHEMA_VERSION}
    write_arrays(path, {"true_classes": true_classes}, described)


# --- reading -----------------------------------------------------------------------------------


def read_config(path: Path) -> Mapping[str, Any]:
    """Read what `NewRun.write_config` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is something else, damaged, or of another schema version.
    """
    config = read_json(path)
    if not isinstance(config, dict) or "schema_version" not in config:
        raise ValueError(
            f"{path} is no {CONFIG_FILE} of this version of jaxcf: it has no schema_version; "
            "pass one that `jaxcf explain` wrote, or run it again"
        )
    if config["schema_version"] != CONFIG_SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {config['schema_version']!r}; this version of jaxcf reads "
            f"{CONFIG_SCHEMA_VERSION}: run `jaxcf explain` again, or use the version that wrote it"
        )
    for name, kind in _CONFIG_CONTENT.items():
        if not isinstance(config.get(name), kind):
            wanted = "an object" if kind is dict else "a text"
            raise ValueError(f"{path} is damaged: {name!r} must be {wanted}")
    _check_leaves(path, config)
    return config


def _check_leaves(path: Path, config: Mapping[str, Any]) -> None:
    """What is read of a config: names, texts and numbers, and no nulls in their place."""
    data = config["data"]
    leaves: dict[str, tuple[Any, bool]] = {
        **{name: (config.get(name), isinstance(config.get(name), str | None)) for name in _TEXTS},
        "data.name": (data.get("name"), isinstance(data.get("name", ""), str)),
    }
    data_dir = config["command"].get("data_dir")
    leaves["command.data_dir"] = (data_dir, isinstance(data_dir, str | None))
    for name in ("classes", "features"):
        given = data.get(name, [])
        texts = isinstance(given, list) and all(isinstance(one, str) for one in given)
        leaves[f"data.{name}"] = (given, texts)
    for name in ("rules", "relations"):
        given = config.get(name, [])
        texts = isinstance(given, list) and all(isinstance(one, str) for one in given)
        leaves[name] = (given, texts)
    leaves["model"] = (config.get("model"), _is_record(config.get("model")))
    for name in ("offset", "scale"):
        given = data.get(name, [])
        numbers = isinstance(given, list) and all(map(is_number, given))
        leaves[f"data.{name}"] = (given, numbers)
    for name, (given, right) in leaves.items():
        if not right:
            raise ValueError(f"{path} is damaged: {name} is {given!r}")


def _is_record(model: Any) -> bool:
    """Whether something says where a table's model comes from, and how good it is, if it does."""
    if not isinstance(model, dict) or model.get("accuracy") is None:
        return model is None or isinstance(model, dict)
    return (
        isinstance(model.get("source"), str)
        and is_number(model["accuracy"])
        and is_number(model.get("accuracy_rows"))
        and isinstance(model.get("accuracy_on"), str)
    )


def read_run(folder: str | os.PathLike[str], *, some_rows: bool = False) -> RunFolder:
    """Read the folder of a run, of whatever kind.

    Args:
        folder: as `jaxcf explain` wrote it.
        some_rows: whether some of the rows will do, of a run that is too large for one file.

    Returns:
        What it holds.

    Raises:
        FileNotFoundError: if it is no such folder.
        ValueError: if one of its files is damaged, or of another run than the others.
    """
    folder = Path(folder)
    config_file = folder / CONFIG_FILE
    if not config_file.is_file():
        raise FileNotFoundError(
            f"{folder} is no run: it has no {CONFIG_FILE}; pass a folder written by `jaxcf explain`"
        )
    config = read_config(config_file)
    _check_one_run(folder, config.get(RUN))
    traces_file = folder / TRACES_FILE
    in_parts = (folder / JOB_FILE).is_file() and not (folder / EXPLANATIONS_FILE).is_file()
    if in_parts:
        job = Job.open(folder)
        if not some_rows:
            raise ValueError(
                f"{folder} holds {job.num_rows} rows in parts, too many for one file: `jaxcf "
                "report` shows some of them, jaxcf.jobs.Job reads them part by part"
            )
        run = RunFolder(config, job.sample(SHOWN_ROWS), None, job.num_rows)
    else:
        run = RunFolder(
            config,
            read_explanations(folder / EXPLANATIONS_FILE),
            Traces.load(traces_file) if traces_file.is_file() else None,
        )
    _check_data(config_file, config["data"], run)
    if run.traces is not None:
        _check_traces(traces_file, run.traces, run.core)
    return replace(run, true_classes=_read_true_classes(folder / TRUE_CLASSES_FILE, run.core))


def _read_true_classes(path: Path, core: Explanations) -> np.ndarray | None:
    if not path.is_file():
        return None
    highest = core.probabilities.shape[1] - 1
    rules = {"true_classes": ArrayRule("iu", 1, lowest=-1, highest=highest)}
    with open_arrays(path) as file:
        check_format(path, file.metadata, TRUE_CLASSES_FORMAT, TRUE_CLASSES_SCHEMA_VERSION)
        found = file.read(check_arrays(path, file.headers, rules))["true_classes"]
    if len(found) <= core.source_row.max(initial=-1):
        raise ValueError(
            f"{path} is of {len(found)} rows; {EXPLANATIONS_FILE} has a row {core.source_row.max()}"
        )
    return found


def run_of(file: Path) -> str | None:
    """Which run a file says that it is of; None where it says nothing.

    Args:
        file: one that a run wrote.

    Raises:
        OSError: if it can't be read.
        ValueError: if it is damaged.
    """
    found: Any = None
    if file.suffix == ".npz":
        found = read_metadata(file).get(RUN)
    elif file.suffix == ".json":
        content = read_json(file)
        found = content.get(RUN) if isinstance(content, dict) else None
    elif file.suffix == ".csv":
        found = _run_of_table(file)
    elif file.suffix == ".png":
        from PIL import Image

        try:
            with Image.open(file) as picture:
                found = picture.info.get(RUN)
        except (OSError, SyntaxError) as error:  # the latter is PIL's for PNG
            raise ValueError(f"{file} is damaged: {error}") from error
    elif file.suffix == ".html":
        with file.open(encoding="utf-8", errors="replace") as page:
            mark = re.search(RUN_MARK.format(r"(\w+)"), page.read(_HEAD_OF_A_PAGE))
        found = mark and mark[1]
    return found if isinstance(found, str) else None


def _run_of_table(file: Path) -> str | None:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            reader = csv.reader(lines)
            heads, first = next(reader, []), next(reader, [])
    except csv.Error as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    # It comes last, and is called otherwise where the table has a column of that name.
    return first[-1] if heads and first and heads[-1] in (RUN, f"jaxcf_{RUN}") else None


def _check_one_run(folder: Path, run: str | None) -> None:
    """Raise where a file says that it is of another run than `config.json`."""
    others = []
    for name in RUN_FILES:
        # A certificate says itself what it is of.
        if name == CERTIFICATE_FILE or not (folder / name).is_file():
            continue
        found = run_of(folder / name)
        # Pictures and pages may have gone through other programs, which leave such notes out.
        if found != run and (found is not None or name.endswith((".npz", ".json"))):
            others.append(name)
    if others:
        raise ValueError(
            f"{folder} holds files of different runs: {', '.join(others)} and {CONFIG_FILE} are "
            "not of the same; take the files of the other run away, or run `jaxcf explain` again "
            "with --overwrite"
        )


def _check_data(path: Path, data: Mapping[str, Any], run: RunFolder) -> None:
    classes, shape = run.core.probabilities.shape[1], run.core.original.shape[1:]
    wanted = {"classes": (classes,)} | dict.fromkeys(("features", "offset", "scale"), shape)
    for name, lengths in wanted.items():
        if name in data and (len(data[name]),) != lengths:
            raise ValueError(
                f"{path} is damaged: it has {len(data[name])} {name} where {EXPLANATIONS_FILE} has "
                f"{', '.join(map(str, lengths))}"
            )
    if ("offset" in data) != ("scale" in data):
        raise ValueError(f"{path} is damaged: it has one of offset and scale alone")


def _check_traces(path: Path, traces: Traces, core: Explanations) -> None:
    if len(traces) and traces.rows.max() >= len(core):
        raise ValueError(
            f"{path} is of row {traces.rows.max()}; {EXPLANATIONS_FILE} has {len(core)} rows"
        )
    if traces.prototype.shape[1:] != core.original.shape[1:]:
        raise ValueError(
            f"{path} is of rows of shape {traces.prototype.shape[1:]}; those of "
            f"{EXPLANATIONS_FILE} have {core.original.shape[1:]}"
        )


def read_explanations(path: str | os.PathLike[str]) -> Explanations | TableExplanations:
    """Read explanations, whether of a table or not.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no explanations, is damaged, or of another schema version.
    """
    if read_metadata(path).get("format") == tables.FORMAT:
        return TableExplanations.load(path)
    return Explanations.load(path)
