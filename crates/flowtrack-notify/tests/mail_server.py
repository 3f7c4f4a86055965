"""A mail server for tests: python3 mail_server.py MODE CERT KEY.

MODE is `starttls`, `tls` or `none`; with `+login` behind it, nobody sends without logging in as
`ft` with `pass word`. Prints its port, then each mail as one line of JSON.
"""

import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


class Handler:
    async def handle_DATA(self, server, session, envelope):
        login = getattr(session, "auth_data", None)
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            "user": login.login.decode() if isinstance(login, LoginPassword) else None,
            "data": envelope.content.decode("utf-8", "replace"),
        }
        print(json.dumps(mail), flush=True)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such mail box"
        if address.startswith("later@"):
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    if isinstance(data, LoginPassword) and (data.login, data.password) == (b"ft", b"pass word"):
        return AuthResult(success=True, auth_data=data)
    return AuthResult(success=False, handled=False)


mode, certificate, key = sys.argv[1:4]
mode, _, login = mode.partition("+")
context = None
if mode != "none":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
options = {"authenticator": authenticate, "auth_required": bool(login)}
if mode == "starttls":
    options.update(tls_context=context, require_starttls=True)
else:
    options.update(auth_require_tls=False)


# Port 0 is told to the system by the socket itself.
import socket

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
port = listener.getsockname()[1]
listener.close()
controller = Controller(
    Handler(), hostname="127.0.0.1", port=port, ssl_context=context if mode == "tls" else None,
    **options,
)
controller.start()
print(port, flush=True)
sys.stdin.read()
