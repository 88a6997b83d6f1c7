"""Files: written whole or not at all, read as data, and what of a search goes into them."""
