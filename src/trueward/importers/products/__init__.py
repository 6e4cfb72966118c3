"""One module per product whose exports can be imported."""
