"""One module per result: `python -m experiments.NAME` writes it to results/."""
