"""Networks and the one training loop, shared by methods and nuisances."""
