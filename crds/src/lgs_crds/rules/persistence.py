"""Rules of `spec.persistence`: a single source of the database, and what can't change later."""

from __future__ import annotations

from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.persistence import ManagedPostgres
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Rule, exactly_one, exactly_one_rule

POSTGRES_SOURCES = ("uriSecret", "cloudNativePG", "managed")
BACKUP_DESTINATIONS = ("volume", "s3")
ONE_CLAIM = "must be absent with claimName, whose claim has a size and a class already"
NO_MANAGED_POOLER = "must be absent with managed, whose server has no pooler before it"
_BACKUP = "spec.persistence.postgres.managed.backup"
_RESTORE = "spec.persistence.postgres.managed.restoreFrom"
_MOVED = "sessions would be left behind; delete this service and create another, or keep the source"


def _one_postgres(spec: Spec) -> Problem | None:
    postgres = spec.persistence.postgres
    if postgres is None:
        return None
    given = [
        name
        for name, value in zip(
            POSTGRES_SOURCES, (postgres.uri_secret, postgres.cloud_native_pg, postgres.managed), strict=True
        )
        if value is not None
    ]
    return exactly_one("spec.persistence.postgres", given, POSTGRES_SOURCES)


def _pooler_not_managed(spec: Spec) -> Problem | None:
    postgres = spec.persistence.postgres
    if postgres is None or postgres.pooler is None or postgres.managed is None:
        return None
    return Problem("spec.persistence.postgres.pooler", NO_MANAGED_POOLER, postgres.pooler)


def _managed(spec: Spec) -> ManagedPostgres | None:
    return spec.persistence.postgres.managed if spec.persistence.postgres else None


def _one_backup_destination(spec: Spec) -> Problem | None:
    managed = _managed(spec)
    if managed is None or managed.backup is None:
        return None
    values = zip(BACKUP_DESTINATIONS, (managed.backup.volume, managed.backup.s3), strict=True)
    given = [name for name, value in values if value is not None]
    return exactly_one(_BACKUP, given, BACKUP_DESTINATIONS)


def _one_backup_claim(spec: Spec) -> Problem | None:
    managed = _managed(spec)
    volume = managed.backup.volume if managed and managed.backup else None
    if volume is None or volume.claim_name is None:
        return None
    given = [
        name
        for name, value in (("size", volume.size), ("storageClassName", volume.storage_class_name))
        if value
    ]
    return Problem(f"{_BACKUP}.volume.{given[0]}", ONE_CLAIM) if given else None


def _one_restore_source(spec: Spec) -> Problem | None:
    managed = _managed(spec)
    source = managed.restore_from if managed else None
    if source is None or source.volume is None or source.s3 is None:
        return None
    return Problem(_RESTORE, f"must have at most one of {', '.join(BACKUP_DESTINATIONS)}", "volume s3")


RULES: Final = (
    exactly_one_rule("persistence.postgres", POSTGRES_SOURCES, _one_postgres),
    Rule(
        "persistence.postgres",
        "!has(self.pooler) || !has(self.managed)",
        f"'spec.persistence.postgres.pooler: ' + self.pooler + ': {NO_MANAGED_POOLER}'",
        _pooler_not_managed,
    ),
    exactly_one_rule("persistence.postgres.managed.backup", BACKUP_DESTINATIONS, _one_backup_destination),
    Rule(
        "persistence.postgres.managed.backup.volume",
        "!has(self.claimName) || !(has(self.size) || has(self.storageClassName))",
        f"'{_BACKUP}.volume.' + (has(self.size) ? 'size' : 'storageClassName') + ': {ONE_CLAIM}'",
        _one_backup_claim,
    ),
    Rule(
        "persistence.postgres.managed.restoreFrom",
        "!(has(self.volume) && has(self.s3))",
        f"'{_RESTORE}: volume s3: must have at most one of {', '.join(BACKUP_DESTINATIONS)}'",
        _one_restore_source,
    ),
    Rule(
        "persistence",
        "!has(oldSelf.postgres) || !has(oldSelf.postgres.managed) ||"
        " (has(self.postgres) && has(self.postgres.managed))",
        f"'spec.persistence.postgres.managed: removed: the managed database can\\'t be taken away: {_MOVED}'",
    ),
    Rule(
        "persistence.postgres",
        "!has(self.managed) || has(oldSelf.managed)",
        f"'spec.persistence.postgres.managed: added: the database can\\'t be exchanged for a managed one: "
        f"{_MOVED}'",
    ),
    Rule(
        "persistence.postgres.managed",
        "has(self.storageClassName) == has(oldSelf.storageClassName) &&"
        " (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "'spec.persistence.postgres.managed.storageClassName: ' +"
        " (has(self.storageClassName) ? self.storageClassName : 'not set') +"
        " ': can\\'t be changed, it was ' +"
        " (has(oldSelf.storageClassName) ? oldSelf.storageClassName : 'not set')",
    ),
)
