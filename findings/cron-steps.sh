#!/usr/bin/env bash
# croniter 6.0.0 and APScheduler 3.11.0 (PyPI): a step of 90 in the minutes is no way to say every 90 minutes. One library
# takes it for every hour, the other refuses it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check croniter==6.0.0 APScheduler==3.11.0
"$folder/venv/bin/python" - <<'END'
from datetime import datetime, timezone
from importlib.metadata import version

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter

TEXT = "*/90 * * * *"
start = datetime(2026, 11, 30, 12, 0, tzinfo=timezone.utc)

cron = croniter(TEXT, start)
hours = [cron.get_next(datetime) for _ in range(3)]
print(f"croniter {version('croniter')}: {TEXT!r} comes at", ", ".join(moment.strftime("%H:%M") for moment in hours))
assert [(moment.hour, moment.minute) for moment in hours] == [(13, 0), (14, 0), (15, 0)], hours

try:
    CronTrigger.from_crontab(TEXT)
except ValueError as error:
    print(f"APScheduler {version('APScheduler')}: {error}")
    assert "step value (90) is higher" in str(error), error
else:
    raise SystemExit("APScheduler takes it now")
END
