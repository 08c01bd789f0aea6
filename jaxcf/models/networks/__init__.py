"""The architectures, from their layers to the registry that builds one from its description."""
