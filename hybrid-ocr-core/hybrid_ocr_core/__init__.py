"""What the API and the worker must agree on, or work is lost.

job             the Job and its parts: frozen dataclasses, pure
options         what a client may ask of a job, and how it is spelled
media           which bytes are a document we take
errors          the whole exception tree
job_store       DynamoDB: one method = one state transition = one conditional write
batch           many files of one request, under one id
batch_store     DynamoDB: batches, written once
job_queue       SQS: "look at this job"
document_store  S3: key scheme, upload, download, presigned URLs
tenant          what a tenant may be called
settings        environment -> frozen dataclass, all mistakes reported at once
aws             the boto3 clients: region, time-outs, retries
logs            JSON lines with job_id, attempt, request_id and trace_id
trace           W3C traceparent: taken, continued, carried on
metrics         what is counted of jobs, where a transition is committed
exposition      how Prometheus gets the numbers of all processes of a machine
"""
