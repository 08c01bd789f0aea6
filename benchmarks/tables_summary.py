"""What `benchmarks.tables` says of its measurements: per task, over all tasks, and pair by pair."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import common
from benchmarks.tables_measures import MEASURES, ranks
from benchmarks.tables_tasks import Task
from jaxcf.metrics import Interval
from jaxcf.metrics.bootstrap import mean_intervals

if TYPE_CHECKING:
    from benchmarks.tables import Measured

_HEADS = {"changed": "columns", "l1": "L1", "l2": "L2", "to_training": "to training"}
_ENOUGH = 0.5
_SURE = 0.9


def of_task(
    task: Task, measured: Sequence["Measured"], objections: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One record per method on a task, JSON-able but for numpy's numbers.

    Args:
        task: the table and the model.
        measured: every method's answers and scores.
        objections: why others were left out.

    Returns:
        The records: intervals of the measures over valid rows, mean ranks over all rows and over
        those where every method that is ranked is valid, and seconds per row.
    """
    ranked = {
        one.label: one.scores
        for one in measured
        if not one.many and one.scores.reached.mean() >= _ENOUGH
    }
    places = ranks(ranked)
    every = np.all([one.valid for one in ranked.values()], axis=0)
    rows = []
    for one in measured:
        scores, answers = one.scores, one.answers
        reached = scores.reached
        values = {
            name: np.where(scores.valid, scores.of(name), np.nan)[reached] for name in MEASURES
        }
        shares = {"valid": scores.valid[reached], "off_grid": scores.off_grid[reached]}
        own = places.get(one.label, {})
        count = int(answers.reached.sum())
        rows.append(
            {
                "table": task.table,
                "model": task.model,
                "label": one.label,
                "own": one.own,
                "many": one.many,
                "system": answers.info.get("system", ""),
                "rows": count,
                "of": len(answers.reached),
                **_plain(mean_intervals(shares | values)),
                "ranks": _plain(mean_intervals(own)) if own else None,
                "ranks_where_all_are_valid": (
                    _plain(mean_intervals({name: own[name][every] for name in MEASURES}))
                    if own and every.any()
                    else None
                ),
                "ranked": len(ranked),
                "rows_where_all_are_valid": int(every.sum()),
                "seconds_per_row": float(answers.seconds.sum() / max(count, 1)),
                "model_seconds_per_row": float(answers.model_seconds.sum() / max(count, 1)),
                "predictions_per_row": float(answers.predictions.sum() / max(count, 1)),
                "setup_seconds": answers.info.get("setup_seconds"),
                "reasons": answers.info["reasons"],
            }
        )
    left_out = {"table": task.table, "model": task.model, "own": False, "rows": 0}
    return rows + [
        left_out | {"label": label, "objection": reason} for label, reason in objections.items()
    ]


def _plain(intervals: Mapping[str, Interval]) -> dict[str, dict[str, float | int | None]]:
    return {
        name: {
            part: None if isinstance(value, float) and np.isnan(value) else value
            for part, value in one._asdict().items()
        }
        for name, one in intervals.items()
    }


def show_task(task: Task, rows: Sequence[dict[str, Any]]) -> None:
    """Print what was measured on one task, and who was left out."""
    there = [row for row in rows if row["rows"]]
    common.print_table(
        f"{task.name}: means over valid rows, 95 % intervals",
        ("", "rows", "valid", *_HEADS.values()),
        [
            (
                row["label"],
                str(row["rows"]),
                f"{row['valid']['mean']:.2f}",
                *(_text(row[name]) for name in MEASURES),
            )
            for row in there
        ],
    )
    first = there[0]
    common.print_table(
        f"{task.name}: mean rank among {first['ranked']}, invalid last (among the "
        f"{first['rows_where_all_are_valid']} rows where all are valid); processor time",
        ("", *_HEADS.values(), "own ms/row", "rows/s", "model ms/row", "asked/row"),
        [
            (
                row["label"],
                *(_ranks(row, name) for name in MEASURES),
                common.text(1e3 * row["seconds_per_row"]),
                common.text(1 / row["seconds_per_row"] if row["seconds_per_row"] else None),
                common.text(1e3 * row["model_seconds_per_row"]),
                f"{row['predictions_per_row']:.0f}",
            )
            for row in there
        ],
    )
    for row in rows:
        if not row["rows"]:
            print(f"{row['label']}: {row.get('objection', 'came to no row in its time')}")


def _text(one: Mapping[str, Any]) -> str:
    if one["mean"] is None:
        return "-"
    return f"{one['mean']:.3g} [{one['lower']:.3g}, {one['upper']:.3g}]"


def _ranks(row: Mapping[str, Any], measure: str) -> str:
    if row["ranks"] is None:
        return "-"
    both = row["ranks_where_all_are_valid"]
    inside = "" if both is None else f" ({both[measure]['mean']:.1f})"
    return f"{row['ranks'][measure]['mean']:.1f}{inside}"


def overall(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Over all tasks: for each method the means of what it reached on each.

    Args:
        rows: all records of `of_task`.

    Returns:
        One record per method: how many tasks it answered and was ranked on, means of its validity
        and ranks, and medians of its rows per second.
    """
    found = []
    for label in dict.fromkeys(row["label"] for row in rows):
        mine = [row for row in rows if row["label"] == label and row["rows"]]
        if not mine:
            continue
        placed = [row for row in mine if row["ranks"] is not None]
        found.append(
            {
                "label": label,
                "tasks": len(mine),
                "ranked_tasks": len(placed),
                "validity": float(np.mean([row["valid"]["mean"] for row in mine])),
                "least_validity": float(min(row["valid"]["mean"] for row in mine)),
                "ranks": {
                    name: float(np.mean([row["ranks"][name]["mean"] for row in placed]))
                    for name in MEASURES
                }
                if placed
                else None,
                "rows_per_second": float(
                    np.median([1 / max(row["seconds_per_row"], 1e-9) for row in mine])
                ),
            }
        )
    return found


def duels(tasks: Sequence[Sequence["Measured"]]) -> list[dict[str, Any]]:
    """Each setting of jaxcf against each peer, on the rows of all tasks where both are valid.

    Args:
        tasks: every task's methods.

    Returns:
        One record per pair: how many rows the peer came to, both validities there, how many rows
        both are valid on, and for each measure both means and how often jaxcf is better (an equal
        row is half of one), with its interval.
    """
    few = [[one for one in methods if not one.many] for methods in tasks]
    owns = dict.fromkeys(one.label for methods in few for one in methods if one.own)
    others = dict.fromkeys(one.label for methods in few for one in methods if not one.own)
    found = []
    for own in owns:
        for other in others:
            pairs = [
                (one.scores, two.scores)
                for methods in few
                for one in methods
                for two in methods
                if (one.label, two.label) == (own, other)
            ]
            reached = [two.reached for _, two in pairs]
            if not sum(int(one.sum()) for one in reached):
                continue
            valid = [
                np.concatenate([pair[side].valid[pair[1].reached] for pair in pairs])
                for side in (0, 1)
            ]
            both = [one.valid & two.valid for one, two in pairs]
            measures = {}
            for name in MEASURES:
                mine, theirs = (
                    np.concatenate(
                        [pair[side].of(name)[rows] for pair, rows in zip(pairs, both, strict=True)]
                    )
                    for side in (0, 1)
                )
                better = (np.sign(np.round(theirs - mine, 9)) + 1) / 2
                measures[name] = _plain(
                    mean_intervals({"own": mine, "peer": theirs, "better": better})
                )
            found.append(
                {
                    "own": own,
                    "peer": other,
                    "tasks": len(pairs),
                    "rows": len(valid[0]),
                    "own_validity": float(valid[0].mean()),
                    "peer_validity": float(valid[1].mean()),
                    "rows_where_both_are_valid": int(sum(one.sum() for one in both)),
                    **measures,
                }
            )
    return found


def show_all(
    methods: Sequence[dict[str, Any]],
    pairs: Sequence[dict[str, Any]],
    skipped: Mapping[str, str],
) -> None:
    """Print what holds over all tasks, and who is missing."""
    common.print_table(
        "All tasks: means of validity and of ranks over the tasks where a method is ranked",
        ("", "tasks", "ranked", "valid", "least", *_HEADS.values(), "rows/s, median"),
        [
            (
                one["label"],
                str(one["tasks"]),
                str(one["ranked_tasks"]),
                f"{one['validity']:.3f}",
                f"{one['least_validity']:.2f}",
                *(
                    "-" if one["ranks"] is None else f"{one['ranks'][name]:.2f}"
                    for name in MEASURES
                ),
                common.text(one["rows_per_second"]),
            )
            for one in methods
        ],
    )
    for own in dict.fromkeys(one["own"] for one in pairs):
        common.print_table(
            f"{own} against a peer, where both are valid: how often it is better (an equal row is "
            "half), both means",
            ("", "rows", "valid", "both", *_HEADS.values()),
            [
                (
                    one["peer"],
                    str(one["rows"]),
                    f"{one['own_validity']:.2f} : {one['peer_validity']:.2f}",
                    str(one["rows_where_both_are_valid"]),
                    *(_duel(one[name]) for name in MEASURES),
                )
                for one in pairs
                if one["own"] == own
            ],
        )
    for label, reason in skipped.items():
        print(f"{label}: left out, {reason}")


def _duel(one: Mapping[str, Mapping[str, Any]]) -> str:
    if one["better"]["mean"] is None:
        return "-"
    return f"{one['better']['mean']:.0%} ({one['own']['mean']:.2g} : {one['peer']['mean']:.2g})"


def markdown(rows: Sequence[dict[str, Any]], methods: Sequence[dict[str, Any]]) -> str:
    """All of it as tables for a page: over all tasks, measure by measure, and every task.

    Args:
        rows: all records of `of_task`.
        methods: those of `overall`.

    Returns:
        Markdown.
    """
    heads = tuple(_HEADS.values())
    lines: list[tuple[object, ...]] = []
    for one in methods:
        places = [None if one["ranks"] is None else one["ranks"][name] for name in MEASURES]
        cells = one["label"], one["tasks"], one["ranked_tasks"], f"{one['validity']:.3f}"
        least, speed = f"{one['least_validity']:.2f}", common.text(one["rows_per_second"])
        lines.append((*cells, least, *(common.text(place, ".2f") for place in places), speed))
    ranks = ("", "tasks", "ranked", "valid", "least", *heads, "rows/s, median")
    texts = [common.markdown_table(ranks, lines), *_by_measure(rows)]
    lines = []
    for row in rows:
        if row["rows"]:
            lines.append(
                (
                    f"{row['table']}, {row['model']}: {row['label']}",
                    row["rows"],
                    f"{row['valid']['mean']:.2f}",
                    *(_text(row[name]) for name in MEASURES),
                    common.text(1e3 * row["seconds_per_row"]),
                    common.text(1e3 * row["model_seconds_per_row"]),
                    f"{row['predictions_per_row']:.0f}",
                )
            )
    measured = ("", "rows", "valid", *heads, "own ms", "model ms", "asked")
    texts.append(common.markdown_table(measured, lines))
    return "\n\n".join(texts) + "\n"


def _by_measure(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A table for each measure: what every ranked method reaches on every task.

    The least of those that are sure to be valid is in bold, what isn't in brackets.
    """
    ranked = [row for row in rows if row["rows"] and row["ranks"] is not None]
    labels = list(dict.fromkeys(row["label"] for row in ranked))
    tasks: dict[str, dict[str, dict[str, Any]]] = {}
    for row in ranked:
        tasks.setdefault(f"{row['table']}, {row['model']}", {})[row["label"]] = row
    texts = []
    for name in MEASURES:
        lines = []
        for task, methods in tasks.items():
            reached = {label: f"{row[name]['mean']:.3g}" for label, row in methods.items()}
            sure = {label for label, row in methods.items() if row["valid"]["mean"] >= _SURE}
            least = min((float(reached[label]) for label in sure), default=None)
            for label, text in reached.items():
                if label not in sure:
                    reached[label] = f"({text})"
                elif float(text) == least:
                    reached[label] = f"**{text}**"
            lines.append((task, *(reached.get(label, "-") for label in labels)))
        texts.append(common.markdown_table((_HEADS[name], *labels), lines))
    return texts
