"""A discrete-event model of the service, to plan past one machine. From the inside out:

distributions.py   what a duration is drawn from
service_times.py   the measured ones, as ``bench/service_times.json`` holds them
workload.py        who submits what, and when
requests.py        the AWS requests of every step, and their units
lanes.py           three lanes with weights, and the places of a tenant in a lane
fleet.py           workers, jobs, chunks, leases, kills
autoscaling.py     how many workers there are
costs.py           what that costs, at list prices
scenarios.py       all of it put together, for a plan
stack_run.py       the real service under a trace, and what its logs tell
checking.py        the model beside a measured run
"""
