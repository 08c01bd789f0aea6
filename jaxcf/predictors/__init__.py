"""The caller's functions: called in one way, asked in batches, inside JAX or out of it."""
