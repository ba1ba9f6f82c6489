"""The script by which the managed database takes over the passwords in its Secret.

It is the server's startup and readiness check, which runs every few seconds anyway, in the container that has
the server's programs and socket. So no second container is needed, which a quota would count, and no program
outside of the pod needs access to it. A Secret that can't be taken over is reported in the server's log, and
does not make a working server unready.
"""

from __future__ import annotations

from typing import Final

from lgs_operator.desired.credentials import ROLES

_OWNER, _TURN = ROLES

SQL: Final = f"""\
\\set role `cat username`
\\set password `cat password`
\\set previous_role `cat previous-username 2>/dev/null || true`
\\set previous_password `cat previous-password 2>/dev/null || true`
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
BEGIN;
SELECT 'CREATE ROLE {_TURN} LOGIN IN ROLE {_OWNER}'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{_TURN}')
\\gexec
ALTER ROLE {_TURN} SET role = '{_OWNER}';
SELECT format('ALTER ROLE %I PASSWORD %L', name,
    CASE name WHEN :'role' THEN :'password' WHEN :'previous_role' THEN :'previous_password' END)
FROM (VALUES ('{_OWNER}'), ('{_TURN}')) AS role (name)
\\gexec
COMMIT;
"""


def passwords_script(*, database: str, folder: str, socket: str, marker: str) -> str:
    """The shell script. `folder` is where the Secret is mounted, `marker` a file that names what
    was taken over last."""
    return f"""\
pg_isready -q -h 127.0.0.1 -U {_OWNER} -d {database} || exit 1
cd {folder} && new=$(readlink ..data) && [ -s password ] || exit 0
[ "$new" = "$(cat {marker} 2>/dev/null)" ] && exit 0
if psql -X -q -t -A -v ON_ERROR_STOP=1 -h {socket} -U {_OWNER} -d {database} >{marker}.said 2>&1 <<'SQL'
{SQL}SQL
then echo "$new" >{marker}
else ( echo "the password of the Secret can't be taken over: $(cat {marker}.said)" >/proc/1/fd/2 ) 2>/dev/null
fi
exit 0
"""
