# packages: APScheduler==3.11.0
"""`from_crontab` reads crontab's five fields, but counts the days of the week from Monday, 0, where crontab counts
them from Sunday, 0: the number 1 is a Tuesday. Names are the same days in both."""
from datetime import datetime, timezone
from importlib.metadata import version

from apscheduler.triggers.cron import CronTrigger

start = datetime(2026, 11, 28, tzinfo=timezone.utc)  # a Saturday
for text, day in [("0 0 * * 1", "Tuesday"), ("0 0 * * mon", "Monday")]:
    moment = CronTrigger.from_crontab(text, timezone="UTC").get_next_fire_time(None, start)
    print(f"APScheduler {version('APScheduler')}: {text!r} comes on a {moment:%A}")
    assert f"{moment:%A}" == day, moment
