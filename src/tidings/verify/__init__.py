"""`tidings verify`: reads all that a data folder holds, and tells what is damaged."""

from tidings.verify.folder import verify_folder
from tidings.verify.report import Report

__all__ = ["Report", "verify_folder"]
