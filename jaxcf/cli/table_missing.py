"""Missing entries and labels of a table: refused, filled in or left out, as the flags say."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from jaxcf import data
from jaxcf.cli.table_rows import Rows
from jaxcf.tabular.columns import is_missing
from jaxcf.tabular.inference import lacking
from jaxcf.tabular.tables import read_columns


def keeps_missing(options: argparse.Namespace) -> bool:
    """Whether the model may fill in missing entries itself, and so gets them as they are.

    Args:
        options: of the command.
    """
    return options.model is not None and options.model_takes != "input"


def split_rows(options: argparse.Namespace, columns: dict[str, np.ndarray], origin: str) -> Rows:
    """Take the label column off, where there is one.

    Args:
        options: of the command.
        columns: of a file.
        origin: what to call it.

    Returns:
        The rows; without labels where the file has none and none need be.

    Raises:
        ValueError: if there is no such column, or rows without a label that aren't to be left out.
    """
    label, to_train_on = options.label, origin == options.data
    if label is None or (label not in columns and not to_train_on):
        return Rows(columns, None)
    rest = {name: column for name, column in columns.items() if name != label}
    given = columns.get(label, np.empty(0))
    present = np.array([not is_missing(one) for one in given.tolist()], bool)
    # Rows to be explained needn't have one.
    if not to_train_on and not present.any():
        return Rows(rest, None)
    if to_train_on and not present.all():
        if not options.drop_missing:
            raise ValueError(
                f"{int((~present).sum())} rows of {origin} have no {label!r}, the first is row "
                f"{int(np.argmin(present))} (counted from 0); leave them out of training with "
                "--drop-missing"
            )
        if not present.any():
            raise ValueError(f"no row of {origin} has a {label!r}")
    known = {name: column[present] for name, column in columns.items()} if label in columns else {}
    table = data.split_label(known or columns, label, origin)
    labels = np.full(len(present), None, object)
    labels[present] = table.labels
    return Rows(rest, labels)


def settle_missing(
    options: argparse.Namespace, train: Rows, test: Rows | None
) -> tuple[Rows, Rows | None, Rows]:
    """Do with missing entries what was asked for.

    Args:
        options: of the command.
        train: rows to train on.
        test: rows of another file, if there is one.

    Returns:
        Rows to train on and rows of the other file, to measure the model on; then all rows that are
        to be explained.

    Raises:
        ValueError: if training rows lack entries, the model doesn't take them, and nothing was
            asked for; the message names all columns.
    """
    if options.fill is not None:
        fillings = _fillings(train, options.fill)
        train = _filled(train, fillings)
        test = None if test is None else _filled(test, fillings)
    asked_for = train if test is None else test
    if options.drop_missing:
        train = _complete(train, options.data)
        test = None if test is None or test.labels is None else _complete(test, str(options.test))
        return train, test, asked_for
    gaps = train.gaps()
    if not keeps_missing(options) and lacking(gaps) is not None:
        refuse_missing(options, gaps, options.data)
    return train, None if test is None else test.take(test.labelled()), asked_for


def refuse_missing(
    options: argparse.Namespace, gaps: Mapping[str, np.ndarray], origin: str, reason: str = ""
) -> NoReturn:
    """Raise, naming all columns that lack entries and what may be done.

    Args:
        options: of the command.
        gaps: for each column the mask of the rows in which it is missing.
        origin: what to call the table.
        reason: why the model doesn't take them, if it was asked.
    """
    why = f", and {reason}" if reason else ""
    others = ""
    if options.model is not None and not reason:
        others = "; a model of the columns that fills them in itself takes --model-takes table"
    raise ValueError(
        f"{origin}: {lacking(gaps)}{why}; leave out such columns with --drop COLUMN, fill them in "
        "with --fill median or --fill mode, or leave such rows out of training with "
        f"--drop-missing (--missing TEXT says what counts as missing){others}"
    )


def _complete(rows: Rows, origin: str) -> Rows:
    whole = ~rows.lacking() & rows.labelled()
    if not whole.any():
        raise ValueError(
            f"--drop-missing leaves no row of {origin}, for each lacks something: "
            f"{lacking(rows.gaps()) or 'its label'}; leave out columns with --drop"
        )
    kept = rows.take(whole)
    columns = {
        name: _whole(kept.columns[name]) if bool(gaps.any()) else kept.columns[name]
        for name, gaps in rows.gaps().items()
    }
    return replace(kept, columns=columns)


def _whole(column: np.ndarray) -> np.ndarray:
    """A column that lacked entries as integers, if it is one of floats for its gaps alone."""
    whole = column.dtype.kind == "f" and bool((column == np.round(column)).all())
    return column.astype(np.int64) if whole else column


def _fillings(train: Rows, fill: str) -> dict[str, Any]:
    """What stands in for a missing entry of each column."""
    found = {}
    for name, entries in read_columns(train.columns).items():
        present = entries.entries[~entries.missing()]
        if not len(present):
            raise ValueError(
                f"every entry of {name!r} is missing, so that there is nothing to fill in; leave "
                f"it out with --drop {name!r}"
            )
        if entries.is_number and fill == "median":
            # One of them, so that whole numbers stay whole.
            found[name] = np.sort(present)[(len(present) - 1) // 2]
        else:
            values, counts = np.unique(present, return_counts=True)
            found[name] = values[counts.argmax()]
    return found


def _filled(rows: Rows, fillings: Mapping[str, Any]) -> Rows:
    columns = dict(rows.columns)
    for name, gaps in rows.gaps().items():
        if gaps.any() and name in fillings:
            column = columns[name].copy()
            column[gaps] = fillings[name]
            columns[name] = _whole(column)
    return replace(rows, columns=columns)
