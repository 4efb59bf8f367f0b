"""Draws the results that are text, a module a format, each written page by page, whatever their number.

plain_text.py, markdown.py           to read
page_json.py, hocr.py, alto.py,      words with boxes and confidences
  tsv.py, textract.py
layout.py, writing.py                what they share: blocks, paragraphs, lines and pixels; files and characters

The searchable PDF is drawn in the sandbox, by text_layer.py.
"""
