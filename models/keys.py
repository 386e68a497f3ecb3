"""Where the bytes of files lie in storage.  Pure.

What a project sends lies below its number, so no two projects share bytes; each file has a
folder of its own, called by its access key, so that to delete the folder is to delete the file.
"""

from uuid import UUID


def input_folder(project_id: int, access_key: str) -> str:
    """Where a picture lies that came along with a job."""
    return f"{project_id}/inputs/{_fan(access_key)}/{access_key}"


def upload_folder(project_id: int, access_key: str) -> str:
    """Where a file lies that a project keeps here."""
    return f"{project_id}/uploads/{_fan(access_key)}/{access_key}"


def outputs_folder(job_uuid: UUID) -> str:
    """Where a job's pictures lie."""
    return f"{_fan(str(job_uuid))}/{job_uuid}"


def fetched_folder(job_uuid: UUID) -> str:
    """Where the pictures lie that a worker has fetched for a job."""
    return f"inputs/{job_uuid}"


def address(storage_key: str) -> tuple[str, str] | None:
    """The access key and the name of a picture that came along, by where it lies; None of an older kind."""
    match storage_key.split("/"):
        case [number, "inputs", _, access_key, name] if number.isdigit():
            return access_key, name
        case _:
            return None


def _fan(access_key: str) -> str:
    # Its end is chance, its beginning the time: folders fill evenly.
    return access_key[-2:]
