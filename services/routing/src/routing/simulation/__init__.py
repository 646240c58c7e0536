"""What-if: the engine of production under virtual time, with callers and agents made up from a scenario.

``scenario`` is what a user writes, ``world`` plays it against ``routing.engine``, ``observations`` is what is
counted meanwhile, ``results`` turns that into figures with confidence intervals, ``staffing`` searches for the
smallest staffing that reaches a target. Nothing here does I/O but reading the scenario and writing the results.
"""
