"""The contract of a method, its losses and samplers, and the nuisances that methods share."""
