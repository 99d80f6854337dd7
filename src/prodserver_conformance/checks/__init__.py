"""The checks: each function ``check_...`` is one; ``--list`` shows its docstring."""

#: The modules, in the order in which they run and are reported.
MODULES = (
    "process",
    "restrictions",
    "probe",
    "forgery",
    "secrets",
    "stop",
    "image",
)
