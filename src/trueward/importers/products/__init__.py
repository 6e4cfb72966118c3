"""One module per product whose exports can be imported; each defines `SOURCE`."""
