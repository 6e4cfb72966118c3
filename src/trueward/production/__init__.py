"""A fitted model in production: scoring server, monitor, scores written back, the pipeline that retrains."""
