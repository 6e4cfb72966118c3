"""The findings of `inspect`; every function `find` in these modules is run on a log."""
