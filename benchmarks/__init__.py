"""Speed, measured: `python -m benchmarks.NAME [--quick] [--json FILE]`."""
