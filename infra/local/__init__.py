"""Everything on one machine.

``make`` calls, in this order:

* ``setup.sh``: finds Python, then ``virtualenvs.py`` (pinned packages) and ``packages.py`` (Tesseract and friends by
  the system's package manager). Both do nothing, quickly, when nothing is missing.
* ``run.py``: ``make run``. Reads ``environment.py`` (what is set where, and what the children get), claims data and
  ports (``claims.py``) and runs the programs of ``stack.py``: ``emulator.py``, then ``provision.py``, then API and
  workers. ``supervisor.py`` keeps them running, each started through ``tether.py`` so that none outlives the launcher.
* ``demo.py``: ``make demo``. Sends documents to a running stack, and prints what was read and why so.
* ``pins.py``: ``make pins``. requirements.in -> requirements.txt.
"""
