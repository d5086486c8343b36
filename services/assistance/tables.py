"""Every table of the service, for migrations to compare against: importing a slice's models describes its tables."""

from services.assistance import importing
from services.assistance.actions import models as actions
from services.assistance.actors import models as actors
from services.assistance.catalogue import models as catalogue
from services.assistance.intake import models as intake
from services.assistance.metadata import metadata
from services.assistance.mirror import models as mirror
from services.assistance.targets import models as targets

__all__ = ["actions", "actors", "catalogue", "importing", "intake", "metadata", "mirror", "targets"]
