"""`./bangfu import`: a file to registry over its public interface, with a progress bar, a receipt and rejected rows."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.terminal import say

POLL_SECONDS = 0.5
OPEN = ("queued", "running", "undoing")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_SHOWN = 20
Job = Mapping[str, Any]


class ImportRefusedError(Exception):
    """Registry did not take the file; the message says why."""


@dataclass(frozen=True, slots=True)
class Importing:
    """One file on its way."""

    client: httpx.Client
    file: Path

    def run(self, options: Mapping[str, str]) -> bool:
        """Send the file and see it through; whether every row was taken in. Raises ``ImportRefusedError``.

        The receipt is written beside the file, and so are the rows that were not taken in.
        """
        job = self._followed(self._sent(options))
        receipt = self.file.with_name(f"{self.file.name}.receipt.json")
        receipt.write_text(json.dumps(job, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        if job["status"] == "refused":
            said = "; ".join(f"{each['column']} {each['message']}".strip() for each in job["refusals"])
            raise ImportRefusedError(f"{self.file.name} was refused: {said}")
        self._tell(job)
        say(f"receipt: {receipt}")
        if job["rejected_rows"]:
            say(f"rejected rows: {self._rejected(job)}")
        return not job["report"]["counts"]["rejected"]

    def _sent(self, options: Mapping[str, str]) -> Job:
        with self.file.open("rb") as content:
            files = {"file": (self.file.name, content, "application/octet-stream")}
            answer = self.client.post("/v1/imports", data=dict(options), files=files)
        if answer.is_client_error:
            problem = answer.json()
            faults = "; ".join(f"{each['pointer']} {each['message']}" for each in problem.get("errors", ()))
            raise ImportRefusedError(f"{problem['title']}{': ' + faults if faults else ''}")
        answer.raise_for_status()
        job: Job = answer.json()
        return job

    def _followed(self, job: Job) -> Job:
        """The job at its end; meanwhile a bar shows how far it is."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(self.file.name, total=None)
            while job["status"] in OPEN:
                done = job["progress"]
                progress.update(task, completed=done["rows"], total=done["expected_rows"])
                time.sleep(POLL_SECONDS)
                answer = self.client.get(f"/v1/imports/{job['id']}")
                answer.raise_for_status()
                job = answer.json()
            progress.update(task, completed=job["progress"]["rows"], total=job["progress"]["rows"])
        return job

    def _tell(self, job: Job) -> None:
        counts = job["report"]["counts"]
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        say(f"{job['status']}{' (dry run)' if job['dry_run'] else ''}: households {told}")
        errors = [each for each in job["report"]["errors"] if each["severity"] == "error"]
        for each in errors[:_SHOWN]:
            say(f"row {each['row']} {each['column']}: {each['message']}")
        if len(errors) > _SHOWN:
            say(f"and more, {len(errors)} in the receipt")

    def _rejected(self, job: Job) -> Path:
        answer = self.client.get(f"/v1/imports/{job['id']}/rejected.xlsx")
        answer.raise_for_status()
        file = self.file.with_name(f"{self.file.stem}.rejected.xlsx")
        file.write_bytes(answer.content)
        return file
