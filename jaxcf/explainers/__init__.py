"""The entry: options, `fit`, `explain`, and all that one call does before and after the search."""
