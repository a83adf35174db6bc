"""Faults of programs in front of the server: Nginx, another proxy, a CDN, another web site."""

from __future__ import annotations

from typing import Final

from soundpost.tools.doctor.faults.fault import Fault

_THREE_LINES: Final = (
    "Put into the location of Nginx: 'proxy_http_version 1.1;', 'proxy_set_header Upgrade $http_upgrade;' and "
    "'proxy_set_header Connection \"upgrade\";', then 'nginx -t && systemctl reload nginx'. "
    "'soundpost deploy nginx' prints the whole file."
)

NO_PATH: Final = "the right path is none"
FILE_OF_ANOTHER_PATH: Final = "Nginx has the file that 'soundpost deploy nginx' wrote for another path"

FAULTS: Final = (
    Fault(
        "upgrade-header-lost",
        "the proxy in front of the server removes the Upgrade header: the WebSocket request arrives as an ordinary one",
        "Nginx does not forward the headers Upgrade and Connection by default.",
        _THREE_LINES,
    ),
    Fault(
        "connection-header-lost",
        "the proxy forwards the header Upgrade, but not 'Connection: Upgrade'",
        "Nginx writes 'Connection: close' by default; a WebSocket needs both headers.",
        _THREE_LINES,
    ),
    Fault(
        "proxy-http-1.0",
        "the proxy speaks HTTP/1.0 to the server, which knows no WebSockets",
        "HTTP/1.0 is what Nginx speaks to servers behind it when the location has no 'proxy_http_version'.",
        _THREE_LINES,
    ),
    Fault(
        "path-prefix-wrong",
        "the WebSocket is not at {asked}, but at {right}",
        "The path in front of /app differs between the browser's settings, the proxy and the server.",
        "Use the path '{prefix}' in the address: wsPath: '{prefix}' in laravel-echo, SOUNDPOST_PATH={prefix} for the "
        "backend, SOUNDPOST_SERVER_PATH if the proxy does not take it away.",
        other_fixes={
            NO_PATH: "Leave the path out: no wsPath in laravel-echo, no path in public_url (SOUNDPOST_PUBLIC_URL), no "
            "SOUNDPOST_PUBLIC_PATH; no SOUNDPOST_PATH for the backend."
        },
    ),
    Fault(
        "path-changed",
        "the proxy changes the path: {asked} arrives at the server as {arrived}",
        "In Nginx, a path behind the address in proxy_pass, be it '/' alone, takes the place of the location's path.",
        "In the location of Nginx: 'proxy_pass http://127.0.0.1:8080;', with nothing behind the port, or behind the "
        "name of the upstream; then 'nginx -t && systemctl reload nginx'.",
    ),
    Fault(
        "path-not-forwarded",
        "Nginx itself answers {asked} with 404: it does not forward this path to the server",
        "The site has no location for /app, or the name belongs to another server block than the one that was edited.",
        "Add 'location /app { proxy_pass http://127.0.0.1:8080; … }' to the server block with this server_name "
        "('soundpost deploy nginx' prints it), then 'nginx -t && systemctl reload nginx'.",
        other_fixes={
            FILE_OF_ANOTHER_PATH: "Write Nginx's file again, for the path that is configured now: 'soundpost deploy "
            "nginx --write --force && nginx -t && systemctl reload nginx'."
        },
    ),
    Fault(
        "answered-by-web-page",
        "a web page answers at {asked} ({page}), not the WebSocket server",
        "The host or the path leads to the web application: the site has this name, and no rule forwards /app to "
        "Soundpost.",
        "Forward /app (and /apps, if applications publish over this address) to Soundpost in front of the "
        "application's own rules, or use a host name of its own for it.",
    ),
    Fault(
        "redirect-to-https",
        "{url} redirects to https ({location}): browsers do not follow redirects of WebSockets",
        "Nginx sends all of port 80 to https. A page follows, a WebSocket fails, and a POST becomes a GET.",
        "Use the https address with port {port} at once.",
    ),
    Fault(
        "redirected",
        "{url} redirects to {location}: browsers do not follow redirects of WebSockets",
        "A rule for pages (another name, a slash at the end, a login) also catches /app.",
        "Use the address it leads to, or except /app from the rule.",
    ),
    Fault(
        "login-required",
        "the proxy asks for a user name and password (401) before it lets the WebSocket through",
        "Browsers do not ask for a password for a WebSocket: it just fails.",
        "Except /app from it. In Nginx: 'auth_basic off;' in its location.",
    ),
    Fault(
        "forbidden",
        "{author} forbids {asked} (403)",
        "The proxy has a rule: allow/deny by address, a firewall for web applications, hotlink protection.",
        "Allow /app for everybody; the server itself checks key and origin.",
    ),
    Fault(
        "rate-limited",
        "{author} refuses with 429: too many requests",
        "A limit on requests in front of the server. A page with many tabs, or an office behind one address, meets "
        "it quickly.",
        "Raise the limit for /app (Nginx: limit_req, limit_conn), or except it: the server has limits of its own.",
    ),
    Fault(
        "bad-gateway",
        "{author} answers 502: it gets no answer from the server behind it",
        "The server does not run, or Nginx has a wrong port for it (in the 'upstream' block, or in 'proxy_pass'), or "
        "the wrong one of http:// and https://.",
        "On the server: does 'curl -i http://127.0.0.1:8080/up' answer? If not, start Soundpost. If so, correct Nginx: "
        "'server 127.0.0.1:8080;' in the block 'upstream soundpost', or 'proxy_pass http://127.0.0.1:8080;' without "
        "such a block. Nginx's reason is in /var/log/nginx/error.log.",
    ),
    Fault(
        "proxy-wrong-upstream",
        "{author} answers 502, while the server runs well at {inside}",
        "Nginx has another port for the server than the server's own: in the 'upstream' block, which 'soundpost deploy "
        "nginx' writes, or in 'proxy_pass' itself. Or it says https:// to a server without TLS; or Nginx is in a "
        "container in which 127.0.0.1 is itself.",
        "In Nginx: 'server {address};' in the block 'upstream soundpost' (without such a block 'proxy_pass {passed};') "
        "and 'proxy_pass {scheme}://…'; then 'nginx -t && systemctl reload nginx'. In a container: the service's name "
        "in place of {host}.{seen}",
    ),
    Fault(
        "unix-socket-closed",
        "{author} answers 502: it runs as the user {user}, who may not reach the server's socket {socket}: {closed}",
        "Nginx opens the Unix socket as the user of its workers, who needs the right to pass every folder above the "
        "socket, and to write to the socket.",
        "'{command}'. Where systemd makes the folder: 'RuntimeDirectoryMode=0755' in the server's service. To let in "
        "Nginx alone: 'chgrp {user}' and 'chmod g+x' for the folder. Nginx's reason is in /var/log/nginx/error.log "
        "('Permission denied').",
    ),
    Fault(
        "proxy-http-to-tls-server",
        "the proxy speaks plain HTTP to the server behind it, which speaks TLS",
        "Soundpost was given a certificate of its own (server.tls.certificate), while 'proxy_pass' says http://.",
        "Let Nginx alone do TLS: remove SOUNDPOST_SERVER_TLS_CERTIFICATE (and tls.certificate), restart Soundpost. Or "
        "write 'proxy_pass https://…'.",
    ),
    Fault(
        "service-unavailable",
        "{author} answers 503: it has no server for this request",
        "All servers behind the proxy are down or overloaded, a maintenance page is on, or a limit was reached "
        "(limit_conn, limit_req).",
        "Check that Soundpost runs, and the proxy's error log.",
    ),
    Fault(
        "gateway-timeout",
        "{author} answers 504: the server behind it does not answer in time",
        "The server hangs, or a firewall between the proxy and it drops packets.",
        "Ask it from the proxy's own machine ('curl -i http://ADDRESS:8080/up'). No answer at all: open the port "
        "between the two. Restart a server that hangs, and look into its log.",
    ),
    Fault(
        "cloudflare-challenge",
        "Cloudflare answers with a challenge page for people: a program cannot pass it",
        "Bot protection sits in front of this address. Backends that publish always meet it, WebSockets often.",
        "Let the backend publish inside (http://127.0.0.1:8080), not through Cloudflare. For browsers: a rule that "
        "skips the challenge for /app, or a name that is 'DNS only'.",
    ),
    Fault(
        "cloudflare-error",
        "Cloudflare answers {status}: {meaning}",
        "Cloudflare was reached, but had trouble with the server behind it.",
        "Check that the server is reachable from Cloudflare's addresses on the port and scheme of 'SSL/TLS' mode "
        "(Full needs TLS on 443), and that WebSockets are on under 'Network'.",
    ),
    Fault(
        "upgrade-ignored",
        "{asked} was answered with {status} as if no WebSocket had been asked for: {shown}",
        "The answer is not from a Pusher server, or a proxy removed the header Upgrade.",
        "Check host, port and path. If they are right: " + _THREE_LINES,
    ),
    Fault(
        "upgrade-refused",
        "{author} refuses the WebSocket with {status}: {shown}",
        "This answer has no usual cause.",
        "See the log of the program that answered at {asked}.",
    ),
    Fault(
        "upgrade-invalid",
        "the WebSocket handshake was answered wrongly: {reason}",
        "A proxy answered in the server's place, or changed its answer.",
        "Check the programs between client and server: a cache, a CDN without WebSockets, a security product.",
    ),
    Fault(
        "proxy-idle-timeout",
        "an idle connection was cut after {seconds:.0f} s, without a close frame, before the first ping at {ping} s",
        "A proxy or load balancer closes idle connections after a time that is shorter than the time between two "
        "pings. Clients reconnect all the time and miss events.",
        "Nginx: 'proxy_read_timeout 120s;' and 'proxy_send_timeout 120s;' in the location. Load balancers call it "
        "idle timeout. If it cannot be raised: a smaller ping_interval and activity_timeout of the app.",
    ),
)
"""Faults read from the response to a WebSocket request."""
