"""Serve Pagure on port 5000 of the container."""

import os

os.environ["PAGURE_CONFIG"] = "/etc/pagure/pagure.cfg"

import pagure.flask_app
from werkzeug.serving import run_simple

run_simple("0.0.0.0", 5000, pagure.flask_app.create_app(), threaded=True)
