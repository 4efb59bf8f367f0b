"""Entry point of the worker: ``aws_worker.py consume`` or ``aws_worker.py sweep``; ``--help`` tells more."""

import os
import sys
from pathlib import Path

from dotenv import load_dotenv

from hybrid_ocr_worker.main import main

if __name__ == "__main__":
    # Never over what the environment sets.
    load_dotenv(Path(__file__).resolve().parent.parent / ".env", override=False)
    sys.exit(main(sys.argv[1:], os.environ))
