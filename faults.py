

def failed(error: Exception) -> Refused:
    """A fault of this program's own."""
    return Refused(
        500, "INTERNAL_ERROR", f"The server failed on this request: {type(error).__name__}. Its log has more."
    )
