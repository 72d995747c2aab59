"""Make the users of the bed, each with a password and a token; prints their names and tokens. Runs in the build."""

import datetime
import os

os.environ["PAGURE_CONFIG"] = "/etc/pagure/pagure.cfg"

import pagure.flask_app  # sets Redis up, which adding a user asks for
import pagure.lib.login
import pagure.lib.query
from pagure.config import config
from pagure.lib import model_base

USERS = ("alice", "bot", "mallory")


def main():
    session = model_base.create_session(config["DB_URL"])
    rights = [acl.name for acl in pagure.lib.query.get_acls(session)]
    # Pagure wants tokens to end within two years; the image lives for a month.
    end = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=300)).date()
    for name in USERS:
        pagure.lib.query.set_up_user(
            session=session,
            username=name,
            fullname=name.title(),
            default_email=f"{name}@example.org",
            keydir=None,
            ssh_key=None,
        )
        user = pagure.lib.query.get_user(session, name)
        user.password = pagure.lib.login.generate_hashed_value(f"password-of-{name}")
        # A user with this kind of token has not confirmed the address yet, and may not log in.
        user.token = None
        session.add(user)
        session.commit()
        pagure.lib.query.add_token_to_user(session, None, rights, name, expiration_date=end)
        session.commit()
        print(name, pagure.lib.query.get_user(session, name).tokens[-1].id)


main()
