"""The HTML report of a run: its size, and how soon it opens and how smoothly it scrolls.

    python -m benchmarks.report [RUN] [--quick] [--json FILE] [--repeats 5]

RUN is a folder that `jaxcf explain` wrote; without one, digits are explained and repeated until
there are 10,000 rows. Needs playwright and a Chromium on the PATH, which runs headless and without
a GPU. Times are medians over `--repeats` fresh pages, counted from the start of the navigation.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from jaxcf import Explainer, data, presets, report
from jaxcf.cli.run_folder import read_run

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FIRST_PICTURE = """
    new MutationObserver((changes, observer) => {
        if (!document.querySelector("[data-drawn]")) return;
        window.firstPicture = performance.now();
        observer.disconnect();
    }).observe(document, {subtree: true, attributes: true, attributeFilter: ["data-drawn"]});
"""
_SCROLL = """
    (frames) => new Promise((done) => {
        const times = [];
        let before = performance.now();
        const step = (now) => {
            times.push(now - before);
            before = now;
            if (times.length > frames) return done(times.slice(1));
            window.scrollBy({top: 150, behavior: "instant"});
            requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
    })
"""
_SORT_AND_FILTER = """
    () => {
        const began = performance.now();
        choose({sort: "l2", descending: true});
        const sorted = performance.now();
        choose({outcome: "found", original: columns.originalClass[0]});
        return [sorted - began, performance.now() - sorted];
    }
"""


def main() -> None:
    """Measure, print, write."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        row = _write(options, page) | _open(page, options.repeats)
    _print(row)
    if options.json is not None:
        common.write(options.json, [row])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rows, opened twice")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the row")
    parser.add_argument("run", nargs="?", type=Path, help="folder written by `jaxcf explain`")
    parser.add_argument("--n", type=int, default=10_000, help="rows, where no run is given")
    parser.add_argument("--repeats", type=int, default=5)
    return common.quickly(parser.parse_args(), n=1000, repeats=2)


def _write(options: argparse.Namespace, page: Path) -> dict[str, Any]:
    if options.run is not None:
        folder = read_run(options.run)
        explanations, name = folder.explanations, folder.config["data"]["name"]
    else:
        dataset = data.load("digits")
        functions = common.load_models("digits", None).functions()
        fitted = Explainer(**functions, **presets.named(None, "D"), feature_range=(0.0, 1.0))
        explained = fitted.fit(dataset.x_train).explain(dataset.x_test)
        explanations = explained[np.arange(options.n) % len(explained)]
        name = "digits, repeated"
    began = time.perf_counter()
    report.write(page, explanations)
    seconds = time.perf_counter() - began
    return {
        "data": name,
        "n": len(explanations),
        "write_seconds": seconds,
        "megabytes": page.stat().st_size / 1e6,
    }


def _open(page: Path, repeats: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if executable is None:
        raise FileNotFoundError(f"no browser: none of {', '.join(_BROWSERS)} is on the PATH")
    opened = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        version = browser.version
        for _ in range(repeats):
            opened.append(_measure(browser, page))
        browser.close()
    columns = {name: float(np.median([one[name] for one in opened])) for name in opened[0]}
    return {"browser": version, "repeats": repeats, **columns}


def _measure(browser: Any, page: Path) -> dict[str, float]:
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.add_init_script(_FIRST_PICTURE)
    tab.goto(f"{page.as_uri()}#gallery")
    # Not wait_for_function, which needs eval: the page forbids it.
    tab.wait_for_selector("[data-drawn]", state="attached")
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    measured = {
        "first_paint_seconds": tab.evaluate(paint) / 1e3,
        "first_picture_seconds": tab.evaluate("window.firstPicture") / 1e3,
    }
    frames = np.array(tab.evaluate(_SCROLL, 200))
    measured |= {
        "frame_median_ms": float(np.median(frames)),
        "frame_p95_ms": float(np.percentile(frames, 95)),
        "frame_most_ms": float(frames.max()),
    }
    sort, filtering = tab.evaluate(_SORT_AND_FILTER)
    tab.close()
    return measured | {"sort_ms": sort, "filter_ms": filtering}


def _print(row: dict[str, Any]) -> None:
    common.print_table(
        f"{row['data']}, n = {row['n']:,}, Chromium {row['browser']}, median of {row['repeats']}",
        ("", ""),
        [
            ("file", f"{row['megabytes']:.1f} MB, written in {row['write_seconds']:.1f} s"),
            ("first paint", f"{row['first_paint_seconds']:.2f} s"),
            ("first picture", f"{row['first_picture_seconds']:.2f} s"),
            (
                "a frame while scrolling",
                f"median {row['frame_median_ms']:.0f} ms, 95 % within {row['frame_p95_ms']:.0f} "
                f"ms, at most {row['frame_most_ms']:.0f} ms",
            ),
            ("sort, filter", f"{row['sort_ms']:.0f} ms, {row['filter_ms']:.0f} ms"),
        ],
    )


if __name__ == "__main__":
    main()
