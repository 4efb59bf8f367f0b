"""The polling worker. Read ``processing.py`` first: it is the way of a job, step by step."""
