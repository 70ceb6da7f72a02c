"""Asks for a report, waits for it, and prints it.

    SERVER_URL=http://localhost:8233 python client.py [USER_ID]
"""

from __future__ import annotations

import os
import sys

from mistralai.client import Mistral


def main(user_id: str = "user-7") -> None:
    server_url = os.environ.get("SERVER_URL", "http://localhost:8233")
    # Only needed while several deployments serve the workflow.
    deployment = os.environ.get("DEPLOYMENT_NAME")
    with Mistral(server_url=server_url, api_key=os.environ.get("MISTRAL_API_KEY")) as mistral:
        started = mistral.workflows.execute_workflow(workflow_identifier="user_report", input={"user_id": user_id}, deployment_name=deployment)
        print(f"{started.execution_id} is {started.status}")
        report = mistral.workflows.wait_for_workflow_completion(started.execution_id, polling_interval=1).result
        print(*report["lines"], sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
