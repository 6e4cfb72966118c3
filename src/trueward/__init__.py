"""trueward."""
