"""Asks whether USER may use tokens, does the work, and reports the used tokens until the report is accepted.

pip install "psycopg[binary]"; python usage.py USER [ID]
Set DATABASE_URL, USAGE_URL (https://your-host/v1/usage) and USAGE_TOKEN. Without an ID a new one is made.
"""

import json, os, sys, time, urllib.request, uuid
from datetime import datetime, timezone

import psycopg

MAY_USE = """SELECT EXISTS (SELECT FROM billing.balances
             WHERE user_id = %s AND meter = %s AND (available IS NULL OR available > 0))"""


def may_use(user, meter):
    with psycopg.connect(os.environ["DATABASE_URL"]) as database:
        return database.execute(MAY_USE, (user, meter)).fetchone()[0]


def report(event):
    request = urllib.request.Request(os.environ["USAGE_URL"], json.dumps(event).encode())
    request.add_header("Authorization", "Bearer " + os.environ["USAGE_TOKEN"])
    request.add_header("Content-Type", "application/cloudevents+json")
    pause_s = 0.5
    while True:
        try:
            return urllib.request.urlopen(request, timeout=10).close()
        except OSError as error:  # also urllib's HTTPError, which has a code
            if getattr(error, "code", 503) < 500 and error.code not in (408, 429):
                sys.exit(f"a defect: {error.code} {error.read().decode()}")
            print(f"not reported yet ({error}), again in {pause_s} s", file=sys.stderr)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 30)


if len(sys.argv) not in (2, 3):
    print("usage: python usage.py USER [ID]", file=sys.stderr)
    sys.exit(2)
user, id = (sys.argv[1:] + [str(uuid.uuid4())])[:2]
if may_use(user, "tokens"):
    used = {"input": 600, "output": 100}  # the work
    now = datetime.now(timezone.utc).isoformat()
    data = {"meter": "tokens", "quantities": used}
    report({"specversion": "1.0", "type": "usage", "source": "/python", "subject": user,
            "id": id, "time": now, "data": data})
    print(f"{user} used {used['input']} + {used['output']} tokens, reported as {id}")
else:
    print(f"{user} may not use tokens")
