"""What the API and the worker must agree on, or work is lost. Each module says in its first line what it is.

Frozen, pure dataclasses have modules of their own (``job``, ``batch``, ``chunk``, ``event``, ``direct_upload``); beside
each stands its store (``job_store``), the only module that knows how they lie in DynamoDB. ``document_store`` is S3,
``job_queue`` SQS.
"""
