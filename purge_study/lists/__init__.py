"""What stands beside the policy: holds, and dates that DICOM does not know."""
