"""What the services stand on: CloudFormation for AWS, and the launcher that runs the same on one machine."""
