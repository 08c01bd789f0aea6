"""A run as one HTML file, which opens anywhere and loads nothing."""

from jaxcf.report.writing import write

__all__ = ["write"]
