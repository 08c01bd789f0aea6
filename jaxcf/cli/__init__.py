"""The command line: the only part of jaxcf that speaks of flags, folders and terminals."""
