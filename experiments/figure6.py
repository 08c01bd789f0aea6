"""Figure 6: CIFAR-10 with the report's method, 500 test images, with judges.

    python -m experiments.figure6 [--data-dir DIR] [--limit 500]

What is made and measured stands in `experiments/photographs.py`.
"""

from collections.abc import Sequence

from experiments import photographs


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain the photographs and measure what came out."""
    photographs.make("figure6", "cifar10", 500, __doc__, arguments)


if __name__ == "__main__":
    main()
