"""What the model of a trial takes where it is deployed: parameters, operations, size, and time for one image."""

from __future__ import annotations

from yolosweep.records.record import Number, Record

__all__ = ["FOOTPRINTS", "Footprint"]


class Footprint(Record):
    """The footprint of a checkpoint as it is deployed, with its layers fused; None for what was not measured."""

    params_m: Number = None
    """Millions of parameters."""
    gflops: Number = None
    """Billions of floating-point operations for one image of the trial's size."""
    size_mb: Number = None
    """Size of ``best.pt``, MB."""
    latency_ms: Number = None
    """Median time of a forward pass of one image of the trial's size, without reading, resizing and NMS."""
    latency_spread_ms: Number = None
    """Between the quartiles of the passes: large on a machine that is busy."""
    passes: int = 0
    """Timed passes, after those that warm up."""
    device: str | None = None
    """What they ran on: ``cpu`` or the GPU's name."""
    threads: int | None = None
    """CPU threads of torch."""
    imgsz: int | None = None

    def value(self, name: str) -> float | None:
        """Return the value of an objective."""
        found: float | None = getattr(self, name)
        return found

    @property
    def how(self) -> str | None:
        """How the latency was measured, as a sentence; None where it was not."""
        if self.latency_ms is None:
            return None
        size = f" of {self.imgsz} x {self.imgsz}" if self.imgsz else ""
        threads = f", {self.threads} torch threads" if self.threads else ""
        return (
            f"latency_ms {self.latency_ms:.4g} is the median of {self.passes} forward passes of one image{size} on "
            f"{self.device}{threads}; the middle half of them is {self.latency_spread_ms or 0:.2g} ms wide."
        )


FOOTPRINTS = {
    "latency_ms": "ms for one image, measured on the trial's device",
    "params_m": "million parameters",
    "gflops": "billion floating-point operations for one image",
    "size_mb": "MB of best.pt",
}
"""Values of a footprint that can be an objective; less of each is better."""
