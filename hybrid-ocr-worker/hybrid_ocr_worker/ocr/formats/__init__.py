"""Draws the results that are text, a module a format, each written page by page, whatever their number.

Each ``write_`` function hands on the pages that it writes, so that a page is read once and passes through all of them;
whoever pulls at the last one sets the pace. A file is whole when the pages have come to their end.

plain_text.py, markdown.py           to read
page_json.py, hocr.py, alto.py,      words with boxes and confidences
  tsv.py, textract.py
layout.py, writing.py                what they share: blocks, paragraphs, lines and pixels; files and characters

The searchable PDF is drawn in the sandbox, by text_layer.py.
"""
