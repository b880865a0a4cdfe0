"""The version of the installed package; a source tree that is not installed has none."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("monai-mriprep")
except PackageNotFoundError:
    __version__ = "0+unknown"
