"""Which folders the app runs, and the DICOM service and the storage accounts that it reaches."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from . import rules
from .fixed import FUNCTION_FOLDERS
from .kinds import Address, ConnectionString, Folders, ServiceAddress, SomeSettings

ACCOUNTS = (
    "dicom_storage",
    "dicom_storage_blob_service_uri",
    "records_storage",
    "records_storage_blob_service_uri",
)


class PlaceSettings(SomeSettings):
    """The app's own place among others: what it runs, and whom it talks to."""

    enabled_functions: Folders = Field(
        default=FUNCTION_FOLDERS,
        description="Which of the folders `store_on_upload`, `query_api` and `purge_study` this app runs, separated by "
        "spaces. Several apps of the same package, each with the rights of its own folder, make a hole "
        "in one harmless to the others.",
    )
    dicom_service_url: ServiceAddress = Field(
        description="Address of the DICOM service with its version, "
        "`https://<workspace>-<service>.dicom.azurehealthcareapis.com/v2`. "
        "Must be https; http is allowed only for this machine."
    )
    dicom_token_scope: str = Field(
        default="https://dicom.healthcareapis.azure.com/.default",
        description="Scope of the token sent to the DICOM service.",
    )
    dicom_storage: ConnectionString | None = Field(
        default=None,
        description="Connection string of the storage account that holds the inbox; for Azurite. "
        "In Azure leave it out and set the next one.",
    )
    dicom_storage_blob_service_uri: str | None = Field(
        default=None,
        alias="DICOM_STORAGE__blobServiceUri",
        validate_default=True,
        description="Address of the storage account's blob service, reached by managed identity. `query_api` alone, "
        "without `AUDIT`, needs no storage.",
    )
    dicom_storage_queue_service_uri: str | None = Field(
        default=None,
        alias="DICOM_STORAGE__queueServiceUri",
        validate_default=True,
        description="Address of the same account's queue service; set it with the one before.",
    )
    dicom_storage_table_service_uri: Address | None = Field(
        default=None,
        alias="DICOM_STORAGE__tableServiceUri",
        description="Address of the same account's table service, which retention keeps its ledger in; set it with "
        "`LEDGER_KEY`.",
    )
    records_storage: ConnectionString | None = Field(
        default=None,
        description="Connection string of another storage account for `retention-records` and `access-audit`; for "
        "Azurite.",
    )
    records_storage_blob_service_uri: str | None = Field(
        default=None,
        alias="RECORDS_STORAGE__blobServiceUri",
        validate_default=True,
        description="Address of the blob service of another storage account, reached by managed identity, that holds "
        "`retention-records` and `access-audit`: one with SFTP cannot make them immutable. Not set: the inbox's "
        "account holds them.",
    )

    # A validator of the model would not run, and so not tell, while another field is wrong.
    @field_validator("dicom_storage_blob_service_uri")
    @classmethod
    def _is_the_one_storage(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "dicom_storage" in info.data and "enabled_functions" in info.data:  # neither is wrong itself
            given = [one for one in (info.data["dicom_storage"], value) if one is not None]
            needed = info.data["enabled_functions"] != ("query_api",)
            if len(given) > 1 or (needed and not given):
                raise ValueError("set exactly one of this and DICOM_STORAGE")
        return None if value is None else rules.address(value)

    @field_validator("records_storage_blob_service_uri")
    @classmethod
    def _is_the_one_for_records(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("records_storage") is not None:
            raise ValueError("set at most one of this and RECORDS_STORAGE")
        return None if value is None else rules.address(value)

    @field_validator("dicom_storage_queue_service_uri")
    @classmethod
    def _goes_with_blob_service(cls, value: str | None, info: ValidationInfo) -> str | None:
        blob_service = info.data.get("dicom_storage_blob_service_uri")
        if blob_service is not None and value is None:
            raise ValueError("must be set where DICOM_STORAGE__blobServiceUri is")
        return None if value is None else rules.address(value)
