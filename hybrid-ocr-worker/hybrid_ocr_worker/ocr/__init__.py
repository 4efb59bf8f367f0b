"""Recognition: from a document's bytes to pages of words, and from words to every output."""
