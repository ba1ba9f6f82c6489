"""What a repository says about its application: `langgraph.json`, read completely with all its problems, and
what can be found out besides. Reads files, and imports nothing of the application.
"""

from lgs_operator.application.check import read
from lgs_operator.application.model import Application, ImageSection, UvSource

__all__ = ["Application", "ImageSection", "UvSource", "read"]
