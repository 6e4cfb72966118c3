"""Methods, one per file. The file's name is the method's name; nothing needs to be registered."""
