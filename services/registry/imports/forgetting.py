"""Rejected rows that must not stay: of persons who are erased, and of imports that ended long ago."""

from datetime import datetime

from services.registry.identities.traces import Traces
from services.registry.identity import Vault
from shared.db import Database, Pg


async def forget(pg: Pg, vault: Vault, traces: Traces) -> None:
    """Delete the rejected rows that name erased persons, whichever import they came with.

    Each is opened and read: what was rejected has no index to find it by. The report keeps what was wrong with the
    row, without its content. A file that is still being read is not touched: it is erased when its import ends.
    """
    jobs, rows = [], []
    async for row in pg.cursor("SELECT job_id, row_number, sealed FROM import_rejected", prefetch=500):
        if traces.in_text(vault.open(row["sealed"], f"import_rejected.{row['row_number']}", row["job_id"])):
            jobs.append(row["job_id"])
            rows.append(row["row_number"])
    await pg.execute(
        "DELETE FROM import_rejected USING unnest($1::uuid[], $2::int[]) AS given (job_id, row_number) "
        "WHERE import_rejected.job_id = given.job_id AND import_rejected.row_number = given.row_number",
        jobs,
        rows,
    )


async def purge(database: Database, before: datetime) -> None:
    """Delete rejected rows of imports that ended before an instant: nobody will correct them any more.

    A transaction an import, so that no workbook ever holds half of them.
    """
    async with database.driver() as pg:
        for job in await pg.fetch(
            "SELECT id FROM import_job WHERE ended_at < $1 "
            "AND EXISTS (SELECT FROM import_rejected WHERE job_id = import_job.id)",
            before,
        ):
            await pg.execute("DELETE FROM import_rejected WHERE job_id = $1", job["id"])
