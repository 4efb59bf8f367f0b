"""``make bench``: how fast the service is, beside other ways to the same text, on the same files and cores."""
