"""Foundations of the library: errors, options, random streams, estimates, files, processes, threads."""
