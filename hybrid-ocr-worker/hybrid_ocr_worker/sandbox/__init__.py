"""Isolation: foreign bytes are parsed in a child process only, with limits that the child sets on itself.

limits    what the child may use: memory, files, CPU; no network, no signals, no new privileges
landlock  which files the child may read and write
child     the child's main: limits first, then the parsers, then one request at a time
warm      the worker's side: starts, calls, times out, kills and replaces the child
"""
