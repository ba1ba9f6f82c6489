"""What a repository says of its application: `langgraph.json`, read whole with every problem of it, and what
can be found out beside it. Reads files, imports nothing of the application.
"""

from lgs_operator.application.check import read
from lgs_operator.application.model import Application, ImageSection, UvSource

__all__ = ["Application", "ImageSection", "UvSource", "read"]
