"""Everything on one machine.

``make`` calls, in this order:

* ``setup.sh``: finds Python, then ``virtualenvs.py`` (pinned packages) and ``packages.py`` (Tesseract and friends by
  the system's package manager). Both do nothing, quickly, when nothing is missing.
* ``run.py``: ``make run``. Reads ``environment.py`` (what is set where, and what the children get), holds the locks
  and ports of ``claims.py``, starts ``emulator.py``, deploys by ``provision.py``, then keeps API and workers running
  by ``supervisor.py``, each started through ``tether.py`` so that none outlives the launcher.
* ``demo.py``: ``make demo``. Sends documents to a running stack, and prints what was read and why so.
* ``pins.py``: ``make pins``. requirements.in -> requirements.txt.
"""
