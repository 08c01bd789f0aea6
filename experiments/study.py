"""Put the tables of `docs/study.md` in from `results/`, so that the page says what was measured.

    python -m experiments.study [--results results] [--page docs/study.md]

`--page docs/tables.md` does the same for the page about tables. The page's own words stay; what
stands between `<!-- table NAME -->` and `<!-- end -->` is made anew from the JSON files that the
experiments wrote.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxcf.utils.files import write_atomically
from jaxcf.utils.json_files import read_json

_PLACE = re.compile(r"(<!-- table (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

_COST = {
    "found": "found",
    "n": "of",
    "steps (found)": "updates",
    "seconds (found)": "seconds",
    "processor (found)": "processor",
}
_WORTH = {
    "l1": "L1",
    "l2": "L2",
    "im1 stock": "IM1",
    "im2 stock": "IM2",
    "im1 wide": "IM1 wide",
    "im2 wide": "IM2 wide",
    "oracle": "oracle",
    "stays original": "stays original",
    "train distance": "to training",
    "high frequency": "high freq.",
    "frechet": "Fréchet",
}
_SURVIVAL = {
    "survives noise": "noise",
    "survives blur": "blur",
    "survives 8 bit": "8 bit",
    "survives jpeg": "JPEG",
    "survives autoencoder": "autoencoder",
}


@dataclass(frozen=True)
class Table:
    """Which result, and which of its columns under which heads.

    Args:
        result: the file under `results/`, without its suffix.
        columns: key of a row to head.
        rows: from the result to its rows; None takes its "rows".
        intervals: whether intervals are shown beside their means.
    """

    result: str
    columns: Mapping[str, str]
    rows: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]] | None = None
    intervals: bool = False


def _beside_the_report(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = []
    for letter, ours in result["as_the_report_counts"].items():
        line: dict[str, Any] = {"objective": letter}
        for name, values in ours.items():
            line[name] = "{:.3g} ± {:.3g}".format(*values)
        for name, values in result["report"][letter].items():
            line[f"{name} report"] = "{:.3g} ± {:.3g}".format(*values)
        lines.append(line)
    return lines


def _claims(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return result["claims"]


def _verdicts(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"claim": claim, "verdict": said} for claim, said in result["verdicts"].items()]


def _judges(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return result["judges"]


_JUDGED_BY = (
    "im1 stock",
    "im2 stock",
    "im1 wide",
    "im2 wide",
    "train distance",
    "oracle",
    "stays original",
)
_HIGHER_IS_BETTER = ("oracle",)


def _separation(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How often a metric sees that a real image is worth more than an unchanged one."""
    separation = result["separation"]
    # Of every objective, or of one search alone.
    known = [separation] if "oracle" in separation else list(separation.values())
    lines = []
    for metric in _JUDGED_BY:
        if metric not in known[0]:
            continue
        values = [one[metric]["separation"] for one in known]
        if metric in _HIGHER_IS_BETTER:
            values = [1 - value for value in values]
        least, most = min(values), max(values)
        if not all(one[metric]["informative"] for one in known):
            said = "carries no information"
        else:
            said = "tells them apart" if least > 0.5 else "wrong way round"
        lines.append({"metric": metric, "least": least, "most": most, "said": said})
    return lines


def _counterfactuals(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in result["rows"] if row["subject"] == "counterfactual"]


def _sparse_settings(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The counterfactuals of each setting, then the controls, which hardly differ by setting."""
    lines = []
    for number, row in enumerate(result["rows"]):
        if row["subject"] == "counterfactual":
            sparse = ", sparsity pass" if row["sparsified"] else ""
            lines.append({"setting": row["objective"] + sparse} | row)
        elif number >= len(result["rows"]) - 3:
            lines.append({"setting": row["subject"]} | row)
    return lines


def _models(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"model": name} | record for name, record in result["models"].items()]


_CLAIM_COLUMNS = {"claim": "claim", "pair": "pair", "difference": "difference"} | {
    "verdict": "verdict"
}


def _table2(part: str) -> dict[str, Table]:
    result = f"mnist/table2-{part}"
    head = {"objective": "", "subject": ""}
    return {
        f"table2-{part}": Table(result, head | _COST | _WORTH),
        f"table2-{part}-survival": Table(result, head | _SURVIVAL),
        f"table2-{part}-verdicts": Table(
            result, {"claim": "claim", "verdict": "verdict"}, _verdicts
        ),
        f"table2-{part}-claims": Table(result, _CLAIM_COLUMNS, _claims, intervals=True),
        f"table2-{part}-separation": Table(
            result,
            {"metric": "metric", "least": "least", "most": "most", "said": ""},
            _separation,
        ),
        f"table2-{part}-mixed": Table(
            result,
            {"objective": ""}
            | {
                key: head
                for name in ("seconds", "processor", "updates", "im1", "im2")
                for key, head in ((name, name), (f"{name} report", "report"))
            },
            _beside_the_report,
        ),
    }


def _photographs(name: str, data: str) -> dict[str, Table]:
    head = {"settings": "settings", "objective": "", "subject": ""}
    worth = {key: head for key, head in _WORTH.items() if "wide" not in key}
    return {
        name: Table(f"{data}/{name}", head | _COST | worth),
        f"{name}-survival": Table(f"{data}/{name}", head | _SURVIVAL, _counterfactuals),
        f"{name}-separation": Table(
            f"{data}/{name}",
            {"metric": "metric", "least": "separation", "said": ""},
            _separation,
        ),
        f"{name}-judges": Table(
            f"{data}/{name}", {"name": "judge", "accuracy": "accuracy"}, _judges
        ),
    }


_ADULT = {"setting": "", "found": "found", "n": "of", "steps": "updates", "changed": "changed"} | {
    "l1": "L1",
    "train distance": "to training",
    "entries": "impossible",
}
_ADULT_SECONDS = {"first": "first call", "seconds": "seconds", "processor": "processor seconds"}

TABLES: dict[str, Table] = {
    **_table2("report"),
    **_table2("default"),
    **_table2("all"),
    **_table2("all-report"),
    "judges": Table("mnist/table2-all", {"name": "judge", "accuracy": "accuracy"}, _judges),
    "paper_preset": Table(
        "mnist/paper_preset",
        {"objective": "", "found": "found", "n": "of", "elastic_net": "elastic net"},
        intervals=True,
    ),
    "prototypes": Table(
        "mnist/prototypes", {"kind": "kind", "k": "K"} | _COST | _WORTH, _counterfactuals
    ),
    "figure2": Table(
        "mnist/figure2",
        {"kind": "kind", "k": "K", "prototypes": "prototypes", "purity": "purity"}
        | {"own_majority": "own class in the majority"},
        intervals=True,
    ),
    "figure3": Table(
        "mnist/figure3",
        {"pair": "", "settings": "settings", "found": "found", "n": "of", "steps": "updates"}
        | {"l1": "L1", "start": "start", "end": "end", "approach": "approach", "detour": "detour"},
    ),
    "figure4": Table(
        "mnist/figure4",
        {"settings": "settings", "objective": "", "found": "found", "n": "of", "steps": "updates"}
        | {"l1": "L1", "probability": "probability", "gap": "reconstruction gap"},
    ),
    "figure5": Table(
        "mnist/figure5",
        {"objective": "", "term": "term", "found": "rows", "at the original": "at the original"}
        | {"at the end": "at the end"},
        intervals=True,
    ),
    "figure8": Table(
        "mnist/figure8",
        {"method": "masked by", "pixels": "pixels", "changed": "changed", "flipped": "flipped"}
        | {"searched": "searched back", "found": "found", "masked_l2": "L2, masked"}
        | {"recovered_l2": "L2, recovered", "ratio_l2": "ratio", "steps": "updates"},
    ),
    "breast_cancer": Table(
        "breast_cancer/objectives",
        {"setting": "", "found": "found", "n": "of", "steps": "updates", "changed": "changed"}
        | {"l1 spans": "L1 (spans)", "l1 original": "L1 (units)", "im1": "IM1", "im2": "IM2"}
        | {"oracle": "oracle", "train distance": "to training", "violations": "violations"}
        | {"seconds": "seconds"},
        _sparse_settings,
    ),
    "adult": Table(
        "adult/settings",
        _ADULT | {"rules": "rules broken"} | _ADULT_SECONDS,
    ),
    "adult-trees": Table(
        "adult/trees",
        _ADULT | {"predictions": "predictions"} | _ADULT_SECONDS,
    ),
    "adult-models": Table(
        "adult/settings",
        {"model": "model", "test_rows": "test rows", "test_accuracy": "accuracy"},
        _models,
    ),
    **_photographs("figure6", "cifar10"),
    **_photographs("figure7", "caltech101"),
}
"""The tables that the page may ask for, by name."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Renew the page."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("--results", type=Path, default=Path("results"))
    made.add_argument("--page", type=Path, default=Path("docs/study.md"))
    options = made.parse_args(arguments)
    content = render(options.page.read_text(), options.results)
    write_atomically(options.page, lambda file: file.write(content.encode()))


def render(page: str, results: Path) -> str:
    """The page with all its tables made from the results.

    Args:
        page: Markdown with places for tables.
        results: the folder that the experiments wrote to.

    Returns:
        The page, ready to be written.

    Raises:
        ValueError: if the page asks for a table that doesn't exist.
    """

    def fill(place: re.Match[str]) -> str:
        name = place["name"]
        if name not in TABLES:
            raise ValueError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
        return f"{place[1]}\n{_markdown(TABLES[name], results)}\n{place[3]}"

    return _PLACE.sub(fill, page)


def _markdown(table: Table, results: Path) -> str:
    result = read_json(results / f"{table.result}.json")
    rows = table.rows(result) if table.rows else result["rows"]
    columns = {key: head for key, head in table.columns.items() if any(key in row for row in rows)}
    lines = [
        "| " + " | ".join(columns.values()) + " |",
        "|" + "|".join("---" for _ in columns) + "|",
    ]
    for row in rows:
        cells = (_cell(row.get(key), intervals=table.intervals) for key in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: Any, *, intervals: bool) -> str:
    if isinstance(value, Mapping):
        if value["mean"] is None:
            return "-"
        mean = f"{value['mean']:.3g}"
        return f"{mean} [{value['lower']:.3g}, {value['upper']:.3g}]" if intervals else mean
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)


if __name__ == "__main__":
    main()
