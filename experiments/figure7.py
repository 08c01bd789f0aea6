"""Figure 7: Caltech-101 with the report's method, 200 test images, with judges.

    python -m experiments.figure7 [--data-dir DIR] [--limit 200]

What is made and measured stands in `experiments/photographs.py`.
"""

from collections.abc import Sequence

from experiments import photographs


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain the photographs and measure what came out."""
    photographs.make("figure7", "caltech101", 200, __doc__, arguments)


if __name__ == "__main__":
    main()
