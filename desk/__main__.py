"""Serves the desk: python3 -m desk. Its settings are in settings.py and docs/desk.md."""

import waitress

from .app import create_app
from .settings import Settings


def main():
    settings = Settings.from_environment()
    proxy = {}
    if settings.trusted_proxy:
        proxy = {"trusted_proxy": settings.trusted_proxy, "trusted_proxy_count": 1,
                 "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}}
    # One process: sessions, and the passwords in them, are in its memory and nowhere else.
    waitress.serve(create_app(settings), host=settings.listen, port=settings.listen_port, threads=settings.threads,
                   url_prefix=settings.prefix, ident=None, clear_untrusted_proxy_headers=True,
                   max_request_body_size=1 << 20, **proxy)


if __name__ == "__main__":
    main()
