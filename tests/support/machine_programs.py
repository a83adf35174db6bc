"""Programs and files of a fresh machine: an authority, and stand-ins for apt, pip and systemctl."""

from __future__ import annotations

from typing import Final

ACME: Final = """\
{
	admin off
	skip_install_trust
	auto_https disable_redirects
	storage file_system /machine/acme
	https_port 14000
}
https://acme.example.com:14000 {
	tls internal
	acme_server
}
"""
# What the page's commands need of Debian's archive, of PyPI, and of systemd.
APT: Final = """\
#!/bin/sh
shift 2  # install -y
for package; do [ "$package" = python3-venv ] || dpkg-query --show "$package" || exit; done
"""
PYTHON: Final = """\
#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
{python} "$@" --without-pip || exit
cat > "$3/bin/pip" <<'END'
#!/bin/sh
here=$(dirname "$(dirname "$0")")
for folder in "$here"/lib/python*/site-packages; do printf '%s\\n' {sources} > "$folder/checkout.pth"; done
printf '#!%s\\nfrom soundpost.tools.cli.app import main\\nmain()\\n' "$here/bin/python" > "$here/bin/soundpost"
chmod 755 "$here/bin/soundpost"
END
chmod 755 "$3/bin/pip"
"""
SYSTEMCTL: Final = """\
#!/bin/sh
case "$*" in
    "reload nginx") exec nginx -s reload ;;
    "reload caddy") exec caddy reload --config /etc/caddy/Caddyfile ;;
    "restart redis-server")
        [ -e /run/redis/redis-server.pid ] && kill "$(cat /run/redis/redis-server.pid)"
        while redis-cli ping >/dev/null 2>&1; do sleep 0.1; done
        exec redis-server /etc/redis/redis.conf ;;
    "restart supervisor")
        supervisorctl pid >/dev/null 2>&1 && supervisorctl shutdown >/dev/null
        while [ -S /var/run/supervisor.sock ]; do sleep 0.1; done
        exec supervisord -c /etc/supervisor/supervisord.conf ;;
esac
echo "systemctl $*: no such service on this machine" >&2
exit 1
"""
