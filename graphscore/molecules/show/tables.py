"""Terminal tables of conformer reports, benchmarks and audits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console

from graphscore.experiment.evaluation.tables import number, percent, show_rows, with_interval

AUDITED = {
    "molecules": "molecules",
    "failed": "second search without an ensemble of the same stereoisomer",
    "new_lowest": "share with a new conformer below the lowest stored one",
    "new_low": "share with a new conformer within 1 kcal/mol of the lowest",
    "known": "share of the second search's conformers that are stored",
    "impossible": "rows of the lists without a possible molecule or number",
    "stored": "median number of conformers stored, mirror images included",
    "listed": "median number of conformers listed",
    "rank_correlation": "Spearman's rank correlation of the two",
}
SHOWN_THRESHOLDS = (0.05, 0.1, 0.25)  # beside those of the protocol, in Angstrom
FILE_THRESHOLD = 1.0  # where references were chosen, as for drug-like molecules


def show_conformers(
    console: Console, reports: Mapping[str, Mapping[str, Any]], thresholds: Iterable[float] = ()
) -> None:
    """Print tables of conformer reports, with notes on the numbers, and coverage at further thresholds in Angstrom."""
    first = next(iter(reports.values()))
    shown = sorted(
        {*SHOWN_THRESHOLDS, *thresholds, *first["protocol"]["thresholds"].values()} & set(first["thresholds"])
    )
    amr, coverage, structure, physics = ({name: {} for name in reports} for _ in range(4))
    for name, report in reports.items():
        amr[name] = {
            "AMR-R": with_interval(report["amr_r"]),
            "AMR-P": with_interval(report["amr_p"]),
            "failed": f"{report['num_failed_conformers']} of {report['num_generated']}",
        }
        if "cpu_seconds" in report:
            amr[name]["CPU s"] = number(report["cpu_seconds"], 2)
        for threshold in map(str, shown):
            pair = (report[key][threshold]["mean"] for key in ("cov_r", "cov_p"))
            coverage[name][threshold] = "/".join(percent(value, unit="") for value in pair)
        for heading, kind in (("stereo", "strict"), ("or mirrored", "enantiomer_tolerant")):
            if report["stereo"][kind]["total"]:
                structure[name][heading] = percent(report["stereo"][kind]["share"])
        for kind, of in report.get("geometry", {}).items():
            structure[name][f"{kind} ({'Å' if of['unit'] == 'Angstrom' else '°'})"] = number(of["mean"], 3)
        for heading, key in (("valid", "all"), ("in structure", "geometry")):
            if "validity" in report:
                physics[name][heading] = percent(report["validity"][key]["share"])
        if "energies" in report:
            physics[name]["strain"] = number(report["energies"]["strain"]["median"], 2)
            for key, of in report["energies"]["errors"].items():
                physics[name][f"Δ {key}"] = number(of["median"], 2)
    console.print(
        f"{first['num_molecules']} molecules, {first['num_references']} reference conformers, "
        f"protocol {first['protocol']['name']}",
        highlight=False,
    )
    show_rows(console, amr, "average minimum RMSD in Å, with 95 % interval; R recall, P precision")
    show_rows(console, coverage, f"coverage R/P in %: RMSD of heavy atoms {first['protocol']['comparison']} Å")
    distances = "; bonds ...: Wasserstein distance to references" if first.get("geometry") else ""
    show_rows(console, structure, f"stereochemistry as in the SMILES{distances}")
    show_rows(console, physics, "PoseBusters; medians of strain and absolute errors Δ, kcal/mol and debye")
    for name, report in reports.items():
        for note in _notes(report):
            console.print(f"{name}: {note}", highlight=False)


def show_benchmark(console: Console, report: Mapping[str, Any]) -> None:
    """Print the tables of a benchmark, and the cost of the model's conformers."""
    show_conformers(console, report["methods"], [FILE_THRESHOLD] if report["most"] is not None else [])
    for skipped in report["skipped"][:3]:
        console.print(f"not used: {skipped['location']}: {skipped['reason']}", markup=False, highlight=False)
    costs = report["sampling"]
    console.print(
        f"model: {costs['sampler']}, {costs['evaluations_per_sample']:.0f} network evaluations each, "
        f"{costs['conformers_per_second']:.0f} conformers/s on {costs['threads']} threads",
        highlight=False,
    )


def show_bound(console: Console, report: Mapping[str, Any]) -> None:
    """Print the tables of a benchmark on bound shapes: over all ligands, and by their number of rotatable bonds."""
    rows, bins = {}, {}
    for name, by_num in report["methods"].items():
        for num, entry in by_num.items():
            low, high = entry["median_ci"] or (None, None)
            rows[f"{name}, {num}"] = {
                "median": f"{number(entry['median'], 3)} [{number(low, 3)}, {number(high, 3)}]",
                **{f"< {threshold}": percent(of["share"]) for threshold, of in entry["below"].items()},
            }
            bins[f"{name}, {num}"] = {
                "conformers": number(entry["conformers"], 1),
                "CPU s": number(entry["cpu_seconds"], 2),
                "failed": str(entry["failed"]),
                **{
                    f"{bonds} ({of['num_ligands']})": number(of["median"], 3)
                    for bonds, of in entry["by_rotatable_bonds"].items()
                },
            }
    console.print(f"{report['num_ligands']} ligands: {report['ligands']}", highlight=False)
    show_rows(console, rows, "smallest heavy-atom RMSD to the bound shape in Å, of so many conformers asked for")
    show_rows(console, bins, "for a ligand; failed ligands; median RMSD by the number of rotatable bonds (ligands)")


def show_audit(console: Console, report: Mapping[str, Any]) -> None:
    """Print the results of an audit of ensembles, one per line."""
    for name, value in report.items():
        console.print(f"{AUDITED[name]}: {number(value, 3) if isinstance(value, float) else value}", highlight=False)


def _notes(report: Mapping[str, Any]) -> list[str]:
    """Notes on a report: molecules left out, failed or short of conformers."""
    counts = {
        "molecules have fewer generated conformers than the protocol wants": report["num_short_molecules"],
        "molecules have no usable conformer; they count as uncovered, and not in AMR": report["num_failed_molecules"],
        "molecules are left out by the protocol": len(report["left_out"]),
        "molecules have too many equivalent atoms: their RMSD is an upper bound": report["num_upper_bounds"],
        "failures in the energies": report["energies"]["num_failures"] if "energies" in report else 0,
    }
    return [f"{count} {text}" for text, count in counts.items() if count]
