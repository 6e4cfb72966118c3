"""Networks and the one training loop, for methods and nuisances alike."""
