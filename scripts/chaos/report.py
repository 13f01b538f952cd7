"""The ledger as a person reads it, and as JSON."""

import json


def text(chaos):
    lines = ["", f"ledger of ./chaos {'(long form)' if chaos.long else '--short'}, seed {chaos.seed}, {chaos.options.instances} instances, "
             f"RabbitMQ {chaos.options.broker}, {' + '.join(f'{n} {role}' for role, n in chaos.fleet.sizes.items())}"]
    width = max([len(name) for name in chaos.figures] + [32])
    lines += [f"  {name:<{width}}  {number:>10,}" for name, number in chaos.figures.items()]
    calls = chaos.world.calls
    lines.append(f"  {'changes by callers':<{width}}  {calls['accepted']:>10,} told, {calls['refused']} refused, {calls['unknown']} answers lost")
    lines.append(f"  {'answers to submissions lost':<{width}}  {chaos.world.unknown_submissions:>10,}")
    lines.append(f"  {'slowest accepted submission':<{width}}  {chaos.load.slowest_post:>10.1f} s")
    twice = sum("twice" in finding for finding in chaos.findings)
    lines.append(f"  {'effects counted twice':<{width}}  {'SEE BELOW' if twice else 'none':>10}")
    lines.append(f"  {'counts of the API = a recount':<{width}}  {chaos.compared:>10} compared")
    lines.append(f"  {'processes started again':<{width}}  {chaos.fleet.restarts:>10}")
    lines.append("  attempts that failed, by reason:")
    lines += [f"    {count:>8,}  {reason[:120]}" for reason, count in list(chaos.reasons.items())[:10]] or ["           none"]
    lines.append("  from \"the service answers again\" to \"the batch moves again\" (asked: 10 s):")
    for name, took, hits, lasted in chaos.moves:
        shown = "never" if took is None else f"{took:.1f} s"
        lines.append(f"    {shown:>8}  {name}{f' ({hits}; lasted {lasted:.0f} s)' if hits else ''}")
    lines += [f"  note: {note}" for note in chaos.notes]
    if chaos.options.other_build:
        lines.append("  a fleet of two builds: processes with even numbers ran from another one")
    lines.append(f"  networks were cut by {'nftables in a network namespace' if chaos.network.kernel else 'the proxy'}")
    peaks = {}
    for name, peak in chaos.fleet.peaks.items():
        role = name.rsplit("-", 1)[0] if name != "rabbitmq" else name
        peaks[role] = max(peaks.get(role, 0), peak)
    lines.append("  memory peaks: " + ", ".join(f"{role} {peak // 1024} MB" for role, peak in sorted(peaks.items())))
    lines += [f"  not run: {name}: {why}" for name, why in chaos.not_run]
    lines += [f"  OFF: {finding}" for finding in chaos.findings]
    return "\n".join([*lines, verdict(chaos)])


def is_clean(chaos):
    return not chaos.findings and (not chaos.not_run or chaos.options.allow_missing)


def verdict(chaos):
    missing = len(chaos.not_run)
    if is_clean(chaos):
        return "verdict: clean" + (f" ({missing} faults not run)" if missing else "")
    return f"verdict: NOT clean: {len(chaos.findings)} off, {missing} faults not run (logs: {chaos.folder}/fleet/log)"


def write_json(chaos, path):
    what = {
        "clean": is_clean(chaos), "seed": chaos.seed, "instances": chaos.options.instances, "long": chaos.long,
        "figures": chaos.figures, "reasons": chaos.reasons, "moves": [list(move) for move in chaos.moves], "notes": chaos.notes,
        "not_run": chaos.not_run, "findings": chaos.findings, "peaks_kb": chaos.fleet.peaks, "calls": chaos.world.calls,
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(what, file, indent=1)
