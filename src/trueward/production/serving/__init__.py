"""The scoring server: one model over HTTP, in batches across requests, in the protocols of its clients."""
