"""Foundations that every other package may use: errors, random streams, atomic files, options, threads."""
