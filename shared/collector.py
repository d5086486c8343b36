"""How often Python looks for garbage in cycles.

A batch of a few thousand events is a hundred thousand objects that all live until the batch is done. With the
interpreter's defaults the collector walks over them again and again and takes a third of a consumer's time
(measured with B3); memory is freed by reference counts in any case, cycles only wait a little longer.
"""

import gc


def collect_less_often() -> None:
    """Called once by a process that serves, when everything it keeps has been made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
