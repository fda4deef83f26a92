"""What is the same in every installation: names of containers, defaults that the host needs, the longest run."""

from __future__ import annotations

# Of all settings the host reads these itself, when it indexes the functions: they must be right at import.
STORAGE_CONNECTION = "DICOM_STORAGE"
DEFAULT_INBOX = "dicom-inbox"
DEFAULT_PURGE_SCHEDULE = "0 0 3 * * *"
DEFAULT_SWEEP_SCHEDULE = "0 */5 * * * *"

# The folders of functions, in the order in which they are registered.
FUNCTION_FOLDERS = ("store_on_upload", "query_api", "purge_study")

# The app's other containers have fixed names: whoever is on call finds them in every installation.
RECEIPTS = "dicom-receipts"
QUARANTINE = "dicom-quarantine"
QUARANTINE_REASONS = "dicom-quarantine-reasons"
REPLACED = "dicom-replaced"  # written by the app alone: what other content has taken the place of
ARCHIVE = "dicom-archive"
CONTROL = "dicom-control"
RETENTION_RECORDS = "retention-records"  # what is in it is written once: it may be immutable, as the next one
ACCESS_AUDIT = "access-audit"
RETENTION_STATE = "retention-state"
RETENTION_POLICY = "retention-policy"  # what is in it is written by people alone
VAULT = "dicom-vault"
DEAD_LETTERS = "event-grid-dead-letters"  # written by Event Grid alone
OWN_CONTAINERS = frozenset(
    {
        RECEIPTS,
        QUARANTINE,
        QUARANTINE_REASONS,
        REPLACED,
        ARCHIVE,
        CONTROL,
        RETENTION_POLICY,
        RETENTION_RECORDS,
        RETENTION_STATE,
        VAULT,
        ACCESS_AUDIT,
        DEAD_LETTERS,
    }
)
# The longest that a run may take, but for a lookup and a night of retention, which has a budget of its own. The sweep
# never doubts a blob that is younger. It is no matter of the host's `functionTimeout`: that counts an answer until its
# last byte, and restarts the process of a slow one.
LONGEST_RUN_SECONDS = 900
