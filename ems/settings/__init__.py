"""Configuration: YAML → validated domain, all faults at once.

``load_estate`` reads an estate file and every file that it names; ``load_profiles``
reads device profiles; ``clock`` gives processes of one estate the same time. The
domain may be imported here; services, the web and the command line import this.
"""

from ems.settings.estates import load_estate
from ems.settings.profiles import load_profiles

__all__ = ["load_estate", "load_profiles"]
