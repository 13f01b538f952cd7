"""Cut networks, one pair of role and service at a time, in one or both directions.

Where the kernel lets us, all of chaos runs in a network namespace of its own and nftables drops the packets, so that both
sides hear nothing and nobody is told. Where it does not, the proxy stops forwarding: a weaker fault, and the ledger says so.
"""

import os
import subprocess

INSIDE = "CHAOS_NETWORK_NAMESPACE"


def is_inside():
    return os.environ.get(INSIDE) == "1"


def can_have_namespace():
    if os.geteuid() != 0:
        return "not root"
    for command in (["unshare", "--net", "true"], ["unshare", "--net", "nft", "add", "table", "inet", "probe"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError as error:
            return str(error)
        if done.returncode != 0:
            return f"{' '.join(command)}: {done.stderr.strip()[:100]}"
    return None


def enter(command):
    """Becomes the command, in a namespace with nothing but a loopback."""
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command])


class Network:
    """`addresses`: of each role; `ports`: of each service, that of the proxy first, then those of the servers."""

    def __init__(self, proxy, addresses, ports):
        self.proxy, self.addresses, self.ports = proxy, addresses, ports
        self.kernel = is_inside()
        if self.kernel:
            self.nft("add table inet chaos")
            self.nft("add chain inet chaos input { type filter hook input priority 0; }")

    def nft(self, rule):
        subprocess.run(["nft", *rule.split(" ")], check=True, capture_output=True, text=True)

    def cut(self, role, service, direction="both"):
        """direction: `to` the service, `from` it, or `both`."""
        if not self.kernel:
            self.proxy.order(do="stalled", link=f"{service}.{role}", value=direction)
            return
        address, (own, *servers) = self.addresses[role], self.ports[service]
        rules = []
        if direction in ("to", "both"):
            rules += [f"ip daddr {address} tcp dport {own}", *(f"ip saddr {address} tcp dport {port}" for port in servers)]
        if direction in ("from", "both"):
            rules += [f"ip saddr {address} tcp sport {own}", *(f"ip daddr {address} tcp sport {port}" for port in servers)]
        for rule in rules:
            self.nft(f"add rule inet chaos input {rule} drop")

    def mend(self):
        if self.kernel:
            self.nft("flush chain inet chaos input")
        else:
            for service in self.ports:
                for role in self.addresses:
                    self.proxy.order(do="stalled", link=f"{service}.{role}", value=None)
