"""Asks all hosts at once, one round trip each, for what the steady-state checks judge (stormdesk/evidence/steady.py)."""

from __future__ import annotations

from collections.abc import Mapping

from stormdesk.core.errors import HostError, StormdeskError
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.evidence import steady
from stormdesk.evidence.steady import Vitals
from stormdesk.ssh.parallel import READ_S, Run, each

# $1 the data folder or "", $2 the trader's base URL or "", $3 the guard's file or "" (its age goes before it). A leader is
# watched until its count of accepted orders grows, at most 5 s: a seeded strategy may well pause for a second.
GATHER = r"""
section() { printf '\n==stormdesk== %s\n' "$1"; }
page() { section "$1 $(curl -s -m 2 -o /dev/null -w '%{http_code}' "$base/$1")"; curl -s -m 2 "$base/$1"; }
accepted() { printf '%s\n' "$1" | awk '/^trader_orders_total\{.*state="accepted"/ {n += $NF} END {print n + 0}'; }
newline='
'
base=$2
[ -z "$1" ] || { section df; df -Pk "$1"; section inodes; df -Pi "$1"; }
if [ -n "$base" ]; then
  page ready
  page health
  first=$(curl -s -m 2 "$base/metrics")
  section "metrics $([ -z "$first" ] || echo 200)"
  printf '%s\n' "$first"
  later=$first waited=0
  case $first in *"$newline"'trader_is_leader 1'*)
    while [ "$waited" -lt 50 ] && [ "$(accepted "$later")" = "$(accepted "$first")" ]; do
      sleep 0.1
      waited=$((waited + 1))
      later=$(curl -s -m 2 "$base/metrics")
    done ;;
  esac
  section "later $waited"
  printf '%s\n' "$later"
fi
[ -z "$3" ] || { section "guard $(($(date +%s) - $(stat -c %Y "$3" || echo 0)))"; cat "$3"; }
section end
exit 0
"""


def gather(run: Run, inventory: Inventory) -> Mapping[str, Vitals]:
    """What each host said; a host that does not answer is left out."""

    def one(name: str) -> Vitals:
        host = inventory.hosts[name]
        done = run(name, ("sh", "-c", GATHER, "sh", host.paths.get("data", ""), _base(host), _guard(host)), READ_S)
        if not done.ok:
            raise HostError(f"{name}: {done.stderr.strip()}")
        return steady.parse(name, done.stdout)

    answers = each(inventory.hosts, one)
    return {name: answer for name, answer in answers.items() if not isinstance(answer, StormdeskError)}


def _base(host: InventoryHost) -> str:
    service = host.services.get("trader")
    return f"http://127.0.0.1:{service.ports['http']}" if service and "http" in service.ports else ""


def _guard(host: InventoryHost) -> str:
    """Where the host's guard tells how it is; "" when there is none."""
    return f"{host.paths['data']}/guard/health_v2.json" if "guard" in host.services and "data" in host.paths else ""
