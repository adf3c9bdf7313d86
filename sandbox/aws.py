"""AWS control planes (SNS, SSM, ...) by the moto server. S3 is not among them: `object_store` is a real one."""

import sys
from pathlib import Path
from typing import Any, Self

import boto3

from sandbox.object_store import REGION
from sandbox.parts import Part
from sandbox.processes import Child, Supervisor, answers_at

SERVICES = (
    *("acm", "autoscaling", "ce", "cloudwatch", "ec2", "ecs", "events", "guardduty", "iam", "inspector2", "logs"),
    *("rds", "route53", "secretsmanager", "securityhub", "sns", "sqs", "ssm", "sts"),
)
ACCOUNT = "123456789012"  # moto's
_TOPIC = "t-developer-maintenance"


class ControlPlanes(Part):
    """A moto server with one SNS topic. What it holds is in memory: it forgets it when it stops."""

    def __init__(self, supervisor: Supervisor, name: str = "aws", *, subscriber: str = "") -> None:
        """Have notifications of the topic posted to the address `subscriber`."""
        super().__init__(supervisor, name)
        self._subscriber = subscriber
        self.topic_arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{_TOPIC}"

    @property
    def endpoint_url(self) -> str:
        """The address for clients of all services."""
        return f"http://{self.host}:{self.port}"

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service."""
        session: Any = boto3.Session(aws_access_key_id="sandbox", aws_secret_access_key="sandbox", region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint_url)

    def start(self) -> Self:
        """Start it and make the topic."""
        super().start()
        sns = self.client("sns")
        made = sns.create_topic(Name=_TOPIC)["TopicArn"]
        self.client("securityhub").enable_security_hub()
        self.client("inspector2").enable(accountIds=[ACCOUNT], resourceTypes=["EC2", "ECR"])
        if self._subscriber:
            sns.subscribe(TopicArn=made, Protocol="http", Endpoint=self._subscriber)
        return self

    def _spawn(self) -> Child:
        return self.supervisor.spawn(
            self.name,
            [Path(sys.executable).with_name("moto_server"), "-H", self.host, "-p", str(self.port)],
            env={"AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox", "AWS_DEFAULT_REGION": REGION},
            ready=lambda: answers_at(self.port),
        )
