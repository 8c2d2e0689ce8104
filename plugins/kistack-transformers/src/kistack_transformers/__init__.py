"""Where models come from, and the eager runtime that opens them."""
