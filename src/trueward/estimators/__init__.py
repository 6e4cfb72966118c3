"""One file a method: its name is the file's name, and nothing needs to be registered."""
