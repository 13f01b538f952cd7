"""Options, the network namespace, one run, the ledger."""

import argparse
import os
import random
import sys
import traceback

import faults
import network
import report

EPILOG = """
faults of the long form, in this order (* in the short form too):
  {faults}

something always moves: the whole herd is migrated back and forth by one batch after the other, and a tenth as many instances
beside it by small batches that are suspended, activated, deleted and retried, while callers complete tasks, set variables and
delete instances. At the end the ledger: every accepted instance has exactly one end, no effect is there twice (job log,
revisions, tokens), counts equal a recount, batches completed once, nothing is stuck, no message is left, and after each fault
the batch moved again within 10 s of the moment at which what was hit answered again. The last line is the verdict; the exit
code is 1 when anything is off.

against a test fleet of your own (not the one that people work with: it gets definitions, instances and batches):
  ./chaos --base http://test:8080 --instances 2000 \\
      --hook kill-worker='kubectl delete pod -l app=exec-worker --grace-period 0 --force' \\
      --hook restart-broker='kubectl rollout restart statefulset/rabbitmq'
each hook is run in turn while batches move; the ledger then is what REST can tell (batches, job log, instances, history).
--base and --hook need nothing on this machine but python3.

a fleet of two builds: --other-build FOLDER has the binaries of another commit (cargo build there, same schema); processes
with even numbers run from it. --other-commit REV builds one into target/chaos-other first.
"""


def arguments():
    names = "\n  ".join(f"{'*' if f.short else ' '} {f.name:<34} {f.hits}" for f in faults.FAULTS)
    parser = argparse.ArgumentParser("./chaos", description="A real fleet, a large batch, faults while it runs, and a ledger.",
                                     epilog=EPILOG.replace("{faults}", names), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="10,000 instances, a few faults, at most five minutes (CI)")
    parser.add_argument("--instances", type=int, help="of the herd (default 100,000; --short 10,000; --base 1,000)")
    parser.add_argument("--seed", type=int, help="of all choices (default: drawn, and printed)")
    parser.add_argument("--scale", type=float, default=1.0, help="how long the long form's faults last, 0.1 to 1")
    parser.add_argument("--only", type=lambda text: text.split(","), help="these faults, by name, with commas between")
    parser.add_argument("--broker", choices=["distribution", "4"], default="distribution", help="RabbitMQ: the machine's own, or version 4 (debootstrap, as root)")
    parser.add_argument("--broker4-root", default="/var/tmp/drover-rabbitmq4", help="where RabbitMQ 4 is kept")
    parser.add_argument("--profile", default=os.environ.get("FLEET_PROFILE", "release"), help="of the binaries (FLEET_PROFILE)")
    parser.add_argument("--no-build", action="store_true", help="the binaries are there")
    parser.add_argument("--other-build", metavar="FOLDER", help="binaries of another build, run beside")
    parser.add_argument("--other-commit", metavar="REV", help="build that commit, and run it beside")
    parser.add_argument("--allow-missing", action="store_true", help="faults that this machine cannot have do not spoil the verdict")
    parser.add_argument("--json", metavar="FILE", help="the ledger as JSON")
    parser.add_argument("--keep", action="store_true", help="keep data and logs (kept anyway when anything is off)")
    parser.add_argument("--self-test", action="store_true", help="doctored databases: the ledger must see every one of them")
    parser.add_argument("--base", metavar="URL", help="a test fleet of your own, by its API's root")
    parser.add_argument("--hook", action="append", default=[], metavar="NAME=COMMAND", help="with --base: a fault of yours, a shell command")
    parser.add_argument("--hook-pause", type=float, default=20, help="seconds that batches move after each hook (20)")
    return parser


def main():
    parser = arguments()
    options = parser.parse_args()
    if options.self_test:
        import selftest
        return selftest.run()
    options.seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    if options.base:
        import remote
        options.instances = options.instances or 1000
        return remote.run(options)
    options.instances = options.instances or (10_000 if options.short else 100_000)
    faults.choose(options.only, not options.short)
    if not network.is_inside():
        why = network.can_have_namespace()
        if why is None:
            network.enter([sys.executable, *sys.argv, *([] if "--seed" in sys.argv else ["--seed", str(options.seed)])])
        print(f"no network namespace ({why}): networks are cut by the proxy", flush=True)
    print(f"seed {options.seed}: ./chaos {' '.join(a for a in sys.argv[1:])}", flush=True)
    from chaos import Chaos
    chaos = Chaos(options)
    try:
        chaos.run()
    except Exception as error:  # noqa: BLE001 — without a ledger nothing is shown.
        traceback.print_exc()
        print(f"verdict: NOT clean: no ledger: {error} (logs: {chaos.folder}/fleet/log)", flush=True)
        return 1
    print(report.text(chaos), flush=True)
    if options.json:
        report.write_json(chaos, options.json)
    return 0 if report.is_clean(chaos) else 1


import poison  # noqa: E402, F401 — adds its faults
import servers  # noqa: E402, F401

sys.exit(main())
