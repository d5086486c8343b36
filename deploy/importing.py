"""`./bangfu import`: a file to registry over its public interface, with a progress bar, a receipt and rejected rows."""

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.terminal import say

POLL_SECONDS = 0.5
OPEN = ("queued", "running", "undoing")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_ERRORS_SHOWN, _WARNINGS_SHOWN = 20, 10
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

        The receipt is written beside the file, and so are the rows that were not taken in; false, too, when they
        cannot be.
        """
        job = self._watched(self._sent(options))
        self._tell(job)
        kept = all([self._keep_receipt(job), self._keep_rejected(job)])
        if job["status"] == "refused":
            said = "; ".join(f"{each['column']} {each['message']}".strip() for each in job["refusals"])
            raise ImportRefusedError(f"{self.file.name} was refused: {said}")
        return kept and not job["report"]["counts"]["rejected"]

    def _sent(self, options: Mapping[str, str]) -> Job:
        try:
            with self.file.open("rb") as content:
                files = {"file": (self.file.name, content, "application/octet-stream")}
                answer = self.client.post("/v1/imports", data=dict(options), files=files)
        except KeyboardInterrupt:
            say("stopped while the file was being sent; send it again: what arrived is not taken in twice")
            raise
        job = self._answered(answer)
        if answer.headers.get("Idempotency-Replayed") == "true":
            self._tell_replayed(job)
        return job

    def _answered(self, answer: httpx.Response) -> Job:
        """The job in an answer. Raises ``ImportRefusedError`` when it is a refusal, or not registry's at all."""
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if media_type not in ("application/json", "application/problem+json"):
            advice = "split the file" if answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE else "check --url"
            told = f"{answer.status_code} {answer.reason_phrase}".strip()
            raise ImportRefusedError(f"{self.client.base_url} answered {told}, and not as registry does; {advice}")
        if answer.is_client_error:
            problem = answer.json()
            faults = "; ".join(f"{each['pointer']} {each['message']}" for each in problem.get("errors", ()))
            raise ImportRefusedError(f"{problem['title']}{': ' + faults if faults else ''}")
        answer.raise_for_status()
        job: Job = answer.json()
        return job

    def _tell_replayed(self, job: Job) -> None:
        sent = datetime.fromisoformat(job["recorded_at"]).astimezone()
        how = "it is still at work" if job["status"] in OPEN else "nothing was done now; it ended so"
        say(f"{self.file.name} was sent before, on {sent:%Y-%m-%d at %H:%M}, as import {job['id']}: {how}")

    def _watched(self, job: Job) -> Job:
        """The job at its end. What ends the watching does not end the job."""
        try:
            return self._followed(job)
        except (KeyboardInterrupt, httpx.HTTPError, ImportRefusedError):
            later = "it writes nothing" if job["dry_run"] else "the same command again shows how it ended"
            say(f"no longer watched, it goes on at the server as import {job['id']}; {later}")
            raise

    def _followed(self, job: Job) -> Job:
        """The job at its end; meanwhile a bar shows how far it is."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(self.file.name, total=None)
            waits = False
            while job["status"] in OPEN:
                done = job["progress"]
                progress.update(task, completed=done["rows"], total=done["expected_rows"])
                time.sleep(POLL_SECONDS)
                job = self._answered(self.client.get(f"/v1/imports/{job['id']}"))
                if job["status"] == "queued" and not waits:
                    say(f"{self.file.name} waits its turn at the server: imports sent before come first")
                    waits = True
            progress.update(task, completed=job["progress"]["rows"], total=job["progress"]["rows"])
        return job

    def _tell(self, job: Job) -> None:
        """The outcome, and what is wrong with which rows: errors, then what was taken in but wants a look."""
        counts, remarks = job["report"]["counts"], job["report"]["errors"]
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        say(f"{job['status']}{' (dry run)' if job['dry_run'] else ''}: households {told}")
        unknown = [each["column"] for each in remarks if each["code"] == "column_unknown"]
        if unknown:
            say(f"warning: columns not taken in, their names are unknown: {', '.join(unknown)}")
        errors = [each for each in remarks if each["severity"] == "error"]
        warnings = [each for each in remarks if each["severity"] != "error" and each["code"] != "column_unknown"]
        _tell_rows(errors, "", _ERRORS_SHOWN)
        _tell_rows(warnings, "warning: ", _WARNINGS_SHOWN)

    def _keep_receipt(self, job: Job) -> bool:
        receipt = self.file.with_name(f"{self.file.name}.receipt.json")
        text = json.dumps(job, ensure_ascii=False, indent=2) + "\n"
        return _kept("receipt", receipt, text.encode())

    def _keep_rejected(self, job: Job) -> bool:
        """The rows that were not taken in; a file of them from before is left, for a clerk may be correcting it."""
        file = self.file.with_name(f"{self.file.stem}.rejected.xlsx")
        if file.exists():
            stays = " and stays as it is" if job["rejected_rows"] else ", not of this one"
            say(f"{file} is of an earlier import{stays}")
        if not job["rejected_rows"]:
            return True
        answer = self.client.get(f"/v1/imports/{job['id']}/rejected.xlsx")
        answer.raise_for_status()
        numbers = itertools.count(2)
        while file.exists():
            file = self.file.with_name(f"{self.file.stem}.rejected-{next(numbers)}.xlsx")
        return _kept("rejected rows", file, answer.content)


def _tell_rows(remarks: Sequence[Mapping[str, Any]], mark: str, shown: int) -> None:
    for each in remarks[:shown]:
        place = f"row {each['row']} {each['column']}".strip()
        say(f"{mark}{place}: {each['message']}")
    if len(remarks) > shown:
        say(f"{mark}and more, {len(remarks)} in the receipt")


def _kept(what: str, file: Path, content: bytes) -> bool:
    """Write a file beside the imported one; says where it is, or why not: the import has been done all the same."""
    try:
        file.write_bytes(content)
    except OSError as error:
        say(f"{what} not written to {file}: {error.strerror}; mend that and run the same command again")
        return False
    say(f"{what}: {file}")
    return True
