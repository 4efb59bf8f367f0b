"""Entry point of the API: ``app.py serve`` (gunicorn, with this as ``app:app``) or ``app.py keys``; see ``--help``."""

import os
import sys
from pathlib import Path

from dotenv import load_dotenv

from hybrid_ocr_api import commands, create_app
from hybrid_ocr_api.settings import ApiSettings
from hybrid_ocr_core import logs
from hybrid_ocr_core.errors import SettingsError

# Never over what the environment sets.
load_dotenv(Path(__file__).resolve().parent.parent / ".env", override=False)
if __name__ == "__main__":
    sys.exit(commands.main(sys.argv[1:], os.environ))
try:
    settings = ApiSettings.from_env(os.environ)
except SettingsError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
logs.configure(settings.log_level)
app = create_app(settings)
