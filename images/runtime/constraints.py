"""Prints what an application may install beside the runtime, as a constraints file: the runtime itself, and
the bounds of what it needs. Within them an application decides; what is installed stays unless it asks for
another.
"""

from importlib.metadata import requires, version

print("# The bounds of lgs-runtime: pip and uv take this file by PIP_CONSTRAINT and UV_CONSTRAINT.")
print(f"lgs-runtime=={version('lgs-runtime')}")
for requirement in requires("lgs-runtime") or ():
    name, bracket, rest = requirement.partition("[")
    # A constraint has no extras.
    print(name + rest.partition("]")[2] if bracket else requirement)
