"""Energy that the processor says it used: Intel's and AMD's RAPL counters, as Linux shows them.

Each package has a counter of microjoules under ``/sys/class/powercap`` (Linux kernel documentation,
``power/powercap/powercap``) that starts again at ``max_energy_range_uj``. It counts everything that runs on the
package, not this process alone, and neither memory on most machines nor a graphics card: an estimate, fit to compare
two systems on one idle machine. Many kernels let only root read it, and virtual machines mostly have none.
"""

from __future__ import annotations

from pathlib import Path

#: Where Linux shows the counters.
POWERCAP = Path("/sys/class/powercap")

_JOULES_PER_COUNT = 1e-6


class EnergyMeter:
    """Joules since it was made, summed over packages; ``unavailable`` says why there is no number."""

    def __init__(self, root: Path = POWERCAP) -> None:
        self.unavailable = ""
        self._start: dict[Path, int] = {}
        # One colon is a package; two are its parts, which the package's counter has in it.
        zones = sorted(z for z in root.glob("*rapl:*") if z.name.count(":") == 1 and "mmio" not in z.name)
        if not zones:
            self.unavailable = f"this machine reports no energy ({root} has no RAPL counter)"
            return
        try:
            self._start = {zone: _read(zone / "energy_uj") for zone in zones}
        except OSError as error:
            self.unavailable = f"the energy counters cannot be read ({error.strerror or error})"
        except ValueError as error:
            self.unavailable = f"an energy counter holds no number ({error})"

    def joules(self) -> float | None:
        """What was used until now; None where it cannot be told. A counter may have started again once."""
        if self.unavailable:
            return None
        total = 0
        try:
            for zone, before in self._start.items():
                used = _read(zone / "energy_uj") - before
                total += used if used >= 0 else used + _read(zone / "max_energy_range_uj")
        except (OSError, ValueError) as error:
            self.unavailable = f"the energy counters could not be read to the end ({error})"
            return None
        return total * _JOULES_PER_COUNT


def _read(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
