"""A fitted model in production: a scoring server, a monitor, scores written back, and the pipeline that retrains."""
