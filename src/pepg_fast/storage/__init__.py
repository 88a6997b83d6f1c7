"""Files: written whole or not at all, read as data, and the contents that searches store in them."""
