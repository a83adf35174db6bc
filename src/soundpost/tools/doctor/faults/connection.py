"""Faults of the connection to the server: name, port, TLS."""

from __future__ import annotations

from typing import Final

from soundpost.documentation import page
from soundpost.tools.doctor.faults.fault import Fault

PORT_OF_A_PROXY: Final = "the port is a proxy's"
PORT_OF_THE_SITE: Final = "the server is embedded in a site"
FROM_PUBLIC_VARIABLES: Final = "the address comes from a variable SOUNDPOST_PUBLIC_…"
FROM_THE_SERVER: Final = "the address comes from the server's configuration"
RENEWED: Final = "a newer certificate is in its file on this machine"
_RELOAD: Final = (
    "'systemctl reload nginx': {file} on this machine has a newer certificate, until {until}, which Nginx has not "
    "read.{hook} With certbot's --deploy-hook this happens by itself."
)
_STEP: Final = "3-nginx-and-tls"
_CERTBOT: Final = "'certbot certonly --webroot -w /var/www/html -d {host}'"

FAULTS: Final = (
    Fault(
        "public-address-unknown",
        "the address for browsers is not set: {reason}{tried}",
        "Browsers reach such a server only through a proxy, which has its own port and scheme. The doctor examines "
        "the server without the proxy.",
        'Write public_url = "{guess}" under [server] in soundpost.toml (or SOUNDPOST_PUBLIC_URL), with the port if it '
        "is not the usual one; then call the doctor again.",
        "warning",
    ),
    Fault(
        "mixed-content",
        "the page is {origin}, but connects without TLS to {url}: browsers forbid this",
        "A page that came over https may only open wss:// connections. The browser blocks ws:// before it sends "
        "anything, so no server log shows it.",
        "Give the browser the https address: usually port 443 with scheme https (forceTLS: true), which Nginx serves.",
    ),
    Fault(
        "dns-unknown",
        "the name {host} does not exist",
        "The name has no DNS record: it is misspelt, not set up yet, or known only inside a network (like names of "
        "Docker services).",
        "Correct the name, or add an A record (and AAAA for IPv6) for {host} at your DNS provider. The name of a "
        "Docker service is for the backend only; browsers need the public name.",
    ),
    Fault(
        "dns-failed",
        "the name {host} could not be looked up: {reason}",
        "The name server did not answer, which says nothing about the name itself.",
        "Check this machine's network and /etc/resolv.conf, then try again.",
    ),
    Fault(
        "tcp-refused",
        "nothing listens on port {port} of {where}: connection refused",
        "The machine answered that no program has this port open. So no firewall drops the packets: the program does "
        "not run, or it listens on another port or on 127.0.0.1 only.",
        "Start the server ('soundpost start'), or correct the port. 'ss -ltnp' on the server's machine shows who "
        "listens where. A program that listens on 127.0.0.1 is not reachable from outside.",
        other_fixes={
            PORT_OF_A_PROXY: "Start the proxy (Nginx: 'systemctl start nginx'), and let it listen there: "
            "'listen {port} ssl;'. 'ss -ltnp' on its machine shows who listens where.",
            PORT_OF_THE_SITE: "Start the site, in which the server is embedded, or correct its address "
            "(SOUNDPOST_SITE_URL, in settings site_url or 'SITE_URL').",
        },
    ),
    Fault(
        "tcp-timeout",
        "port {port} of {where} did not answer within {seconds} s",
        "The packets are lost. Usually a firewall drops them (the cloud provider's security group, ufw, "
        "iptables), the address is wrong, or the machine is off or overloaded. From the server itself its own public "
        "address is sometimes not reachable (hairpin NAT) while it is for everybody else.",
        "Open port {port} for TCP in the firewall of the server and in that of the cloud provider, and check that "
        "{address} is the server's address.",
    ),
    Fault(
        "tcp-unreachable",
        "{where} cannot be reached: {reason}",
        "A router, or this machine itself, says that the address cannot be reached: no route, or a network that is "
        "down.",
        "Check the address in DNS, and this machine's network (VPN, IPv6 that is only half set up).",
    ),
    Fault(
        "address-unreachable",
        "{host} has several addresses, and {address} does not work: {reason}",
        "Browsers try one address after the other; those that try this one first connect late, or not at all. Most "
        "often it is an AAAA record for a machine that does not listen on IPv6.",
        "Let the server listen there too (Nginx: 'listen [::]:443 ssl;'), or remove the record from DNS.",
        "warning",
    ),
    Fault(
        "internal-port-in-browser",
        "browsers are sent to port {port} ({source}), where {problem}; port {open} of {host} serves this app with TLS",
        "The browser was given the port on which the server listens (8080). From outside there is only the port "
        "on which Nginx terminates TLS.",
        "Give the browser {open}: VITE_REVERB_PORT={open}, VITE_REVERB_SCHEME=https (wsPort and wssPort: {open}, "
        "forceTLS: true), and build the frontend again. The backend keeps the internal port.",
        other_fixes={
            FROM_PUBLIC_VARIABLES: "Remove the variables SOUNDPOST_PUBLIC_… ({source}), and say the whole address "
            "once: SOUNDPOST_PUBLIC_URL={right}, or public_url under [server] in soundpost.toml. Then restart the "
            "application. SOUNDPOST_PORT, for the backend, stays as it is.",
            FROM_THE_SERVER: 'Write public_url = "{right}" under [server] in soundpost.toml (or '
            "SOUNDPOST_PUBLIC_URL={right}); now the address comes from {source}. The server keeps its own port.",
        },
    ),
    Fault(
        "port-speaks-http",
        "port {port} of {host} speaks plain HTTP, but is asked for https",
        "The port has no TLS: the server's own port (8080), or 'listen 443' without 'ssl' in Nginx.",
        "Use the scheme http for this address, or the port that has TLS (443 of Nginx).",
        other_fixes={
            PORT_OF_A_PROXY: "In Nginx: 'listen {port} ssl;' with ssl_certificate and ssl_certificate_key in the "
            "server block, then 'nginx -t && systemctl reload nginx'. 'soundpost deploy nginx' prints the whole file."
        },
    ),
    Fault(
        "port-speaks-tls",
        "port {port} of {host} speaks TLS, but is asked for plain http",
        "The scheme is http (or forceTLS is false) while the port expects TLS. Nginx says to this: 400, 'The plain "
        "HTTP request was sent to HTTPS port'.",
        "Use scheme https for this address: SOUNDPOST_SCHEME=https / REVERB_SCHEME=https for a backend, "
        "forceTLS: true (VITE_REVERB_SCHEME=https) for the browser.",
    ),
    Fault(
        "port-not-http",
        "port {port} of {host} belongs to a program that is not a web server: it says {shown}",
        "The port belongs to another program: SSH, a mail server, a database, Redis.",
        "Correct the port: 443 for the public address, 8080 (SOUNDPOST_SERVER_PORT) for the server itself.",
    ),
    Fault(
        "tls-timeout",
        "port {port} of {host} accepted the connection, but did not answer the TLS handshake within {seconds} s",
        "A program accepts connections and then does nothing: an overloaded or hanging server, a load balancer "
        "without a server behind it, or a program that is not TLS and waits.",
        "Look at what listens on port {port} ('ss -ltnp'), and whether it hangs.",
    ),
    Fault(
        "tls-name-unknown",
        "the TLS server on port {port} knows no site of the name {host}",
        "It refused the handshake because of the name (SNI): no server block has it (Nginx: ssl_reject_handshake), "
        "or the address belongs to another machine.",
        "Put 'server_name {host};' into the server block that has the certificate, and reload Nginx.",
    ),
    Fault(
        "tls-too-old",
        "{host} offers only versions of TLS that browsers refuse (before 1.2)",
        "Browsers have dropped TLS 1.0 and 1.1.",
        "In Nginx: 'ssl_protocols TLSv1.2 TLSv1.3;'.",
    ),
    Fault(
        "tls-handshake-failed",
        "no TLS with {host} port {port}: {reason}",
        "Client and server have no common version or cipher, or a program between them ended the handshake.",
        "See the error log of the program that terminates TLS there (Nginx: /var/log/nginx/error.log).",
    ),
    Fault(
        "http2-only",
        "{host} port {port} speaks HTTP/2 only: browsers open WebSockets over HTTP/1.1",
        "The server offers 'h2' alone in the TLS handshake (ALPN), or speaks HTTP/2 without TLS, so a WebSocket's "
        "HTTP/1.1 upgrade is not understood.",
        "Let it speak HTTP/1.1 as well (ALPN h2 and http/1.1). In Nginx both are there with 'listen 443 ssl http2;', "
        "while 'listen' without 'ssl' needs no 'http2'; a load balancer has a switch for it.",
    ),
    Fault(
        "certificate-expired",
        "the certificate of {host} expired on {date}",
        "It was not renewed, or it was and the server still has the old one in memory.",
        "Renew it ('certbot renew') and reload what serves it ('systemctl reload nginx').",
        other_fixes={RENEWED: _RELOAD},
    ),
    Fault(
        "certificate-not-yet-valid",
        "the certificate of {host} is valid from {date} on, which is not yet",
        "The certificate is new, or a clock is wrong: this machine's, or the one of the machine that made the "
        "certificate.",
        "Check the clock here ('timedatectl'). If it is right, use a certificate that is valid now.",
    ),
    Fault(
        "certificate-name-mismatch",
        "the certificate is not for {host}, but for {names}",
        "Another site's certificate: the name has no server block of its own, or the address is used in place of "
        "the name.",
        f"Connect by a name in the certificate, or get one for {{host}} ({_CERTBOT}).",
    ),
    Fault(
        "certificate-self-signed",
        "the certificate of {host} is self-signed: browsers do not trust it",
        "No authority that browsers trust has signed it. pusher-js shows no warning page: the connection just fails.",
        "Get one from Let's Encrypt: 'soundpost deploy nginx --write' writes Nginx's file, and prints the steps to the "
        f"certificate, to its renewals (--deploy-hook) and to the reload, in their order: {page('deployment', _STEP)} "
        "For development, mkcert makes one that your own browser trusts. To look past it here: --insecure.",
    ),
    Fault(
        "certificate-untrusted",
        "the certificate of {host} was issued by {issuer}, which this machine does not trust",
        "A private certificate authority (a company's own, mkcert's), or a TLS-inspecting proxy on the way.",
        f"Get a public certificate ({_CERTBOT}), or install that authority on every client; here it "
        "is enough to set SSL_CERT_FILE to its file.",
    ),
    Fault(
        "certificate-chain-incomplete",
        "{host} sends its certificate without the intermediate certificate",
        "The intermediate certificate links the certificate to a trusted authority. Browsers may know it from other "
        "sites, so the fault is hidden; programs and phones fail.",
        "Serve the whole chain. In Nginx: ssl_certificate must name certbot's fullchain.pem, not cert.pem.",
    ),
    Fault(
        "certificate-expires-soon",
        "the certificate of {host} expires on {date}, in {days} days",
        "Automatic renewal happens 30 days before the end, so it seems to have stopped.",
        "Try 'certbot renew --dry-run', and see whether its timer runs ('systemctl list-timers').",
        "warning",
        other_fixes={RENEWED: _RELOAD},
    ),
    Fault(
        "http-timeout",
        "{host} port {port} accepted the request and did not answer within {seconds} s",
        "The server hangs, or a proxy waits for a server that hangs or is behind a firewall.",
        "Ask the server directly on its own machine ('curl -i http://127.0.0.1:8080/up'): if it answers, the proxy "
        "is at fault, if not, the server.",
    ),
    Fault(
        "http-connection-closed",
        "{host} port {port} closed the connection without an answer",
        "A proxy drops the request (Nginx: 'return 444'), the server crashed, or the port does not speak HTTP.",
        "See the error log of the program that listens there.",
    ),
)
"""Faults in the order in which a check meets them."""
