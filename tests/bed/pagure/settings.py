# What the bed wants of Pagure other than Debian's settings; appended to /etc/pagure/pagure.cfg.
import datetime
import warnings

# SQLAlchemy's warnings and a debug log would come back to everybody who pushes.
warnings.simplefilter("ignore")
LOGGING = {"version": 1, "disable_existing_loggers": True}

DB_URL = "sqlite:////var/lib/pagure/pagure.sqlite"
REDIS_HOST = "127.0.0.1"
BROKER_URL = "redis://127.0.0.1:6379/0"
SECRET_KEY = "for tests only"
SALT_EMAIL = "for tests only"

# `start` adds APP_URL and GIT_URL_GIT, which hold a port that is known only then.
GIT_URL_SSH = None
DOC_APP_URL = None

# git over HTTP, for people and for the daemon, with a token as the password; no gitolite in between.
ALLOW_HTTP_PULL_PUSH = True
ALLOW_HTTP_PUSH = True
HTTP_REPO_ACCESS_GITOLITE = None

WEBHOOK = True
# Forms that a script fills in stay valid for a whole test run; sessions are not bound to the address of a bridge.
WTF_CSRF_TIME_LIMIT = 86400
CHECK_SESSION_IP = False
ADMIN_SESSION_LIFETIME = datetime.timedelta(days=1)
