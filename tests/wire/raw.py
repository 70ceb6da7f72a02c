"""A hand-driven client and worker over raw gRPC, so that a test says exactly what goes over the wire.

`Raw` calls any RPC by its name. `Run` is one workflow run as a client sees it. `WorkflowTask` and `ActivityTask` are
what a poll gave to the worker, with the ways to answer. Commands are built by the functions at the end.

Nothing in here retries or waits on its own: what a server answers is what a test gets.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import grpc
import temporalio.api.errordetails.v1 as errordetails
import temporalio.api.failure.v1 as failure
import temporalio.api.operatorservice.v1 as operatorservice
import temporalio.api.workflowservice.v1 as workflowservice
from google.protobuf import any_pb2
from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import GrpcStatus, Memo, Payload, Payloads, SearchAttributes
from temporalio.api.enums.v1 import CommandType, EventType, WorkflowExecutionStatus, WorkflowTaskFailedCause
from temporalio.api.protocol.v1 import Message
from temporalio.api.update.v1 import Acceptance, Outcome, Rejection, Request, Response

IDENTITY = "wire-test"
MIB = 1024 * 1024


def new_id(prefix: str = "w") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def secs(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


# --- calls -------------------------------------------------------------------------------------------------------


class Raw:
    """Any RPC of the workflow or operator service, by name: `raw("SignalWorkflowExecution", signal_name="s", …)`."""

    def __init__(self, address: str, namespace: str = "default", metadata: dict[str, str] | None = None) -> None:
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.address = address
        self.channel = grpc.insecure_channel(address, options=unlimited)
        self.namespace = namespace
        # Without this feature the reference shows the close of a retried run as if it had continued as new.
        self._metadata = list(({"supported-features": "follows-next-run-id"} | (metadata or {})).items())
        self._stubs = {
            workflowservice: workflowservice.WorkflowServiceStub(self.channel),
            operatorservice: operatorservice.OperatorServiceStub(self.channel),
        }

    def __call__(self, method: str, *, timeout: float = 10, **fields: Any) -> Any:
        return self.later(method, timeout=timeout, **fields).result()

    def later(self, method: str, *, timeout: float = 10, **fields: Any) -> grpc.Future:
        """Sends the call; `.result()` waits for its reply. For calls that wait for something the test does next."""
        package = workflowservice if hasattr(workflowservice, f"{method}Request") else operatorservice
        request_type = getattr(package, f"{method}Request")
        if "namespace" in request_type.DESCRIPTOR.fields_by_name and method != "RegisterNamespace":
            fields.setdefault("namespace", self.namespace)
        if "identity" in request_type.DESCRIPTOR.fields_by_name:
            fields.setdefault("identity", IDENTITY)
        call = getattr(self._stubs[package], method)
        return call.future(request_type(**fields), timeout=timeout, metadata=self._metadata)

    def start(self, *, queue: str | None = None, workflow_id: str | None = None, **fields: Any) -> Run:
        """Starts a workflow, by default of type `T` on a queue and with an id of its own."""
        workflow_id, queue = workflow_id or new_id(), queue or new_id("q")
        reply = self("StartWorkflowExecution", **start_fields(workflow_id, queue, **fields))
        return Run(self, workflow_id, reply.run_id, queue, reply)

    def run(self, workflow_id: str, run_id: str = "", queue: str = "") -> Run:
        return Run(self, workflow_id, run_id, queue)

    def poll(self, queue: str, timeout: float = 10, **fields: Any) -> WorkflowTask | None:
        """One long poll for a workflow task; None if the server answered with no task."""
        reply = self("PollWorkflowTaskQueue", timeout=timeout, task_queue={"name": queue, **fields})
        return WorkflowTask(self, reply) if reply.task_token else None

    def poll_sticky(self, sticky: str, normal: str, timeout: float = 10) -> Callable[[], WorkflowTask | None]:
        """Starts a poll of a sticky queue and waits until it is there; the result gives the task.

        A sticky queue that nobody has polled is passed over, so this poll has to come before the task.
        """
        queue = {"name": sticky, "kind": "TASK_QUEUE_KIND_STICKY", "normal_name": normal}
        poll = self.later("PollWorkflowTaskQueue", timeout=timeout, task_queue=queue)
        time.sleep(0.2)

        def result() -> WorkflowTask | None:
            reply = poll.result()
            return WorkflowTask(self, reply) if reply.task_token else None

        return result

    def poll_activity(self, queue: str, timeout: float = 10, **fields: Any) -> ActivityTask | None:
        reply = self("PollActivityTaskQueue", timeout=timeout, task_queue={"name": queue}, **fields)
        return ActivityTask(self, reply) if reply.task_token else None


def start_fields(workflow_id: str, queue: str, **fields: Any) -> dict[str, Any]:
    return {
        "workflow_id": workflow_id,
        "workflow_type": {"name": "T"},
        "task_queue": {"name": queue},
        "request_id": str(uuid.uuid4()),
        **fields,
    }


# A poll has to leave the server a second or more; this one is the shortest useful.
SHORT_POLL = 2.2


class Run:
    """One run, seen by a client."""

    def __init__(self, raw: Raw, workflow_id: str, run_id: str, queue: str, reply: Any = None) -> None:
        self.raw, self.workflow_id, self.run_id, self.queue, self.reply = raw, workflow_id, run_id, queue, reply

    @property
    def ref(self) -> dict[str, str]:
        return {"workflow_id": self.workflow_id, "run_id": self.run_id}

    @property
    def latest(self) -> Run:
        """The run that the workflow id names at this moment."""
        return Run(
            self.raw, self.workflow_id, self.raw.run(self.workflow_id).describe_info().execution.run_id, self.queue
        )

    # -- as a client

    def signal(self, name: str = "s", **fields: Any) -> Any:
        return self.raw("SignalWorkflowExecution", workflow_execution=self.ref, signal_name=name, **fields)

    def cancel(self, **fields: Any) -> Any:
        return self.raw("RequestCancelWorkflowExecution", workflow_execution=self.ref, **fields)

    def terminate(self, **fields: Any) -> Any:
        return self.raw("TerminateWorkflowExecution", workflow_execution=self.ref, **fields)

    def query(self, name: str = "q", timeout: float = 10, **fields: Any) -> grpc.Future:
        return self.raw.later(
            "QueryWorkflow", timeout=timeout, execution=self.ref, query={"query_type": name}, **fields
        )

    def update(self, update_id: str, stage: str = "COMPLETED", timeout: float = 10, name: str = "u", **fields: Any):
        return self.raw.later(
            "UpdateWorkflowExecution",
            timeout=timeout,
            workflow_execution=self.ref,
            **update_fields(update_id, stage, name),
            **fields,
        )

    def poll_update(self, update_id: str, stage: str = "UNSPECIFIED", timeout: float = 10) -> grpc.Future:
        return self.raw.later(
            "PollWorkflowExecutionUpdate",
            timeout=timeout,
            update_ref={"workflow_execution": self.ref, "update_id": update_id},
            wait_policy={"lifecycle_stage": update_stage(stage)},
        )

    def describe(self) -> Any:
        return self.raw("DescribeWorkflowExecution", execution=self.ref)

    def describe_info(self) -> Any:
        return self.describe().workflow_execution_info

    @property
    def status(self) -> str:
        return WorkflowExecutionStatus.Name(self.describe_info().status).removeprefix("WORKFLOW_EXECUTION_STATUS_")

    def pending_activity(self, activity_id: str | None = None) -> Any:
        pending = self.describe().pending_activities
        return next(a for a in pending if activity_id in (None, a.activity_id))

    def history(self, **fields: Any) -> list[Any]:
        events, token = [], b""
        while True:
            page = self.raw(
                "GetWorkflowExecutionHistory", execution=self.ref, next_page_token=token, timeout=25, **fields
            )
            events += page.history.events
            token = page.next_page_token
            if not token:
                return events

    def names(self) -> list[str]:
        return [event_name(event) for event in self.history()]

    def event(self, name: str, nth: int = -1) -> Any:
        """The attributes of the last (or nth) event of that name."""
        return attributes([event for event in self.history() if event_name(event) == name][nth])

    def closing_event(self) -> Any:
        """The attributes of the last event, waiting until the run has closed."""
        return attributes(self.wait_closed())

    def wait_closed(self) -> Any:
        (last,) = self.history(wait_new_event=True, history_event_filter_type="HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT")
        return last

    def expect(self, *names: str) -> None:
        """Compares the event names of the history. One string may hold several; a leading `…` stands for any start."""
        wanted = " ".join(names).split()
        actual = self.names()
        shown = actual[len(actual) - len(wanted) + 1 :] if wanted[0] == "…" else actual
        assert shown == [name for name in wanted if name != "…"], f"history is: {' '.join(actual)}"

    # -- as its worker

    def poll(self, timeout: float = 10) -> WorkflowTask:
        task = self.raw.poll(self.queue, timeout)
        assert task, f"no workflow task on {self.queue}"
        return task

    def no_workflow_task(self) -> None:
        task = self.raw.poll(self.queue, SHORT_POLL)
        assert task is None, f"an unexpected workflow task: {task and task.names()}"

    def complete_task(self, *commands: Command, **fields: Any) -> Any:
        """Polls the next workflow task and completes it with these commands."""
        return self.poll().complete(*commands, **fields)

    def poll_activity(self, timeout: float = 10) -> ActivityTask:
        task = self.raw.poll_activity(self.queue, timeout)
        assert task, f"no activity task on {self.queue}"
        return task


class WorkflowTask:
    def __init__(self, raw: Raw, reply: Any) -> None:
        self.raw, self.reply, self.token = raw, reply, reply.task_token

    @property
    def events(self) -> list[Any]:
        return list(self.reply.history.events)

    def names(self) -> list[str]:
        return [event_name(event) for event in self.events]

    def complete(self, *commands: Command, sticky: str | None = None, sticky_s: float = 10, **fields: Any) -> Any:
        if sticky:
            fields["sticky_attributes"] = {
                "worker_task_queue": {"name": sticky, "kind": "TASK_QUEUE_KIND_STICKY"},
                "schedule_to_start_timeout": secs(sticky_s),
            }
        return self.raw("RespondWorkflowTaskCompleted", task_token=self.token, commands=commands, **fields)

    def fail(self, cause: str = "WORKFLOW_WORKER_UNHANDLED_FAILURE", message: str = "bad code") -> Any:
        return self.raw(
            "RespondWorkflowTaskFailed",
            task_token=self.token,
            cause=f"WORKFLOW_TASK_FAILED_CAUSE_{cause}",
            failure={"message": message},
        )

    def answer_query(self, result: Any = None, **fields: Any) -> Any:
        if result is not None:
            fields |= {"completed_type": "QUERY_RESULT_TYPE_ANSWERED", "query_result": payloads(result)}
        return self.raw("RespondQueryTaskCompleted", task_token=self.token, **fields)

    # -- updates that came with the task

    def accept(self, index: int = 0) -> Message:
        request = self.reply.messages[index]
        return self._message(index, "accept", Acceptance(
            accepted_request_message_id=request.id,
            accepted_request_sequencing_event_id=request.event_id,
            accepted_request=update_request(request),
        ))  # fmt: skip

    def respond(self, result: Any = "done", index: int = 0) -> Message:
        meta = update_request(self.reply.messages[index]).meta
        return self._message(index, "complete", Response(meta=meta, outcome=Outcome(success=payloads(result))))

    def reject(self, why: str = "rejected", index: int = 0) -> Message:
        request = self.reply.messages[index]
        return self._message(index, "reject", Rejection(
            rejected_request_message_id=request.id,
            rejected_request_sequencing_event_id=request.event_id,
            rejected_request=update_request(request),
            failure={"message": why},
        ))  # fmt: skip

    def _message(self, index: int, what: str, body: Any) -> Message:
        instance = self.reply.messages[index].protocol_instance_id
        packed = any_pb2.Any()
        packed.Pack(body)
        return Message(id=f"{instance}/{what}", protocol_instance_id=instance, body=packed)

    def complete_with_messages(self, *parts: Command | Message, **fields: Any) -> Any:
        """Completes with commands and messages in the order given; what is not a rejection gets its own command."""
        commands, messages = [], []
        for part in parts:
            if isinstance(part, Message):
                messages.append(part)
                if not part.id.endswith("/reject"):
                    commands.append(command("PROTOCOL_MESSAGE", message_id=part.id))
            else:
                commands.append(part)
        return self.complete(*commands, messages=messages, **fields)


class ActivityTask:
    def __init__(self, raw: Raw, reply: Any) -> None:
        self.raw, self.reply, self.token = raw, reply, reply.task_token

    def complete(self, result: Any = "ok") -> Any:
        return self.raw("RespondActivityTaskCompleted", task_token=self.token, result=payloads(result))

    def fail(self, message: str = "boom", kind: str = "Boom", **info: Any) -> Any:
        failure = {"message": message, "application_failure_info": {"type": kind, **info}}
        return self.raw("RespondActivityTaskFailed", task_token=self.token, failure=failure)

    def heartbeat(self, details: Any = None) -> Any:
        return self.raw("RecordActivityTaskHeartbeat", task_token=self.token, details=payloads(details))

    def cancel(self, details: Any = None) -> Any:
        return self.raw("RespondActivityTaskCanceled", task_token=self.token, details=payloads(details))


# --- values ------------------------------------------------------------------------------------------------------


def payload(value: Any, **metadata: str) -> Payload:
    fields = {"encoding": b"json/plain"} | {key: text.encode() for key, text in metadata.items()}
    return Payload(metadata=fields, data=json.dumps(value).encode())


def payloads(*values: Any) -> Payloads:
    return Payloads(payloads=[payload(value) for value in values if value is not None])


def big_payloads(size: int) -> Payloads:
    return Payloads(payloads=[Payload(metadata={"encoding": b"binary/plain"}, data=b"x" * size)])


def value(message: Any) -> Any:
    """The JSON value in a `Payload` or in the first payload of a `Payloads`."""
    if isinstance(message, Payloads):
        message = message.payloads[0]
    return json.loads(message.data)


def memo(**fields: Any) -> Memo:
    return Memo(fields={key: payload(item) if item is not None else null_payload() for key, item in fields.items()})


def search_attributes(**fields: tuple[str, Any]) -> SearchAttributes:
    return SearchAttributes(
        indexed_fields={
            key: payload(item, type=kind) if item is not None else null_payload()
            for key, (kind, item) in fields.items()
        }
    )


def null_payload() -> Payload:
    return Payload(metadata={"encoding": b"binary/null"})


def event_name(event: Any) -> str:
    return "".join(word.capitalize() for word in EventType.Name(event.event_type).split("_")[2:])


def attributes(event: Any) -> Any:
    return getattr(event, event.WhichOneof("attributes"))


def cause_name(event: Any) -> str:
    return WorkflowTaskFailedCause.Name(event.cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")


def update_stage(name: str) -> str:
    return f"UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_{name}"


def update_fields(update_id: str, stage: str = "COMPLETED", name: str = "u") -> dict[str, Any]:
    return {
        "wait_policy": {"lifecycle_stage": update_stage(stage)},
        "request": {"meta": {"update_id": update_id, "identity": IDENTITY}, "input": {"name": name}},
    }


def update_request(message: Message) -> Any:
    """The update request in a message of a workflow task."""
    request = Request()
    assert message.body.Unpack(request)
    return request


# --- refusals ----------------------------------------------------------------------------------------------------


class Refusal:
    """What a refused call said: set once the `with refused(…)` block has ended."""

    message: str
    detail: Any


@contextlib.contextmanager
def refused(
    code: str, text: str | None = None, detail: str | None = None, pattern: str | None = None
) -> Iterator[Refusal]:
    """The block must end in this gRPC error. `text` is the whole message, `pattern` a regular expression for it.

    Where the text names a limit, the number and the limit may follow: a server that gives them says more, not less.

    `detail` names the single error detail; None means that there must not be one.
    """
    refusal = Refusal()
    try:
        yield refusal
    except grpc.RpcError as error:
        refusal.message = error.details() or ""
        assert error.code().name == code, f"{error.code().name}: {refusal.message}"
        if text is not None:
            assert says(refusal.message, text)
        if pattern is not None:
            assert re.search(pattern, refusal.message), refusal.message
        details = _error_details(error)
        assert [type(item).__name__ for item in details] == ([detail] if detail else [])
        refusal.detail = details[0] if details else None
    else:
        raise AssertionError(f"the call succeeded, but {code} was due")


def says(message: str, text: str) -> bool:
    """Whether the message is the text; one about a limit may go on with the number and the limit."""
    about_a_limit = "exceed" in text or "limit" in text or "full" in text
    return message == text or (about_a_limit and message.startswith(text))


@contextlib.contextmanager
def past_its_deadline() -> Iterator[None]:
    """The block must end because the deadline passed; whether the client or the server noticed first is chance."""
    try:
        yield
    except grpc.RpcError as error:
        assert error.code().name in ("DEADLINE_EXCEEDED", "CANCELLED"), f"{error.code().name}: {error.details()}"
    else:
        raise AssertionError("the call succeeded, but its deadline should have passed")


def _error_details(error: grpc.RpcError) -> list[Any]:
    found = []
    for key, packed in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for item in GrpcStatus.FromString(packed).details:
                name = item.TypeName().rsplit(".", 1)[1]
                message = getattr(errordetails, name, None) or getattr(failure, name)
                found.append(message.FromString(item.value))
    return found


# --- commands ----------------------------------------------------------------------------------------------------


def command(kind: str, **fields: Any) -> Command:
    attribute = f"{kind.lower()}_command_attributes"
    return Command(command_type=f"COMMAND_TYPE_{kind}", **{attribute: fields})


def bare_command(kind: str) -> Command:
    """A command without its attributes."""
    return Command(command_type=CommandType.Value(f"COMMAND_TYPE_{kind}"))


def start_timer(timer_id: str = "t", seconds: float = 60) -> Command:
    return command("START_TIMER", timer_id=timer_id, start_to_fire_timeout=secs(seconds))


def cancel_timer(timer_id: str = "t") -> Command:
    return command("CANCEL_TIMER", timer_id=timer_id)


def schedule_activity(queue: str, activity_id: str = "a", **fields: Any) -> Command:
    """By default: 10 s start-to-close, retried after 0.2 s, without end. Durations are given in seconds."""
    fields = {
        "activity_id": activity_id,
        "activity_type": {"name": "A"},
        "task_queue": {"name": queue},
        "start_to_close_timeout": 10,
        "retry_policy": {"initial_interval": secs(0.2), "backoff_coefficient": 1.0},
    } | fields
    return command("SCHEDULE_ACTIVITY_TASK", **_durations(fields))


def cancel_activity(scheduled_event_id: int) -> Command:
    return command("REQUEST_CANCEL_ACTIVITY_TASK", scheduled_event_id=scheduled_event_id)


def complete_workflow(result: Any = "done") -> Command:
    return command("COMPLETE_WORKFLOW_EXECUTION", result=payloads(result))


def fail_workflow(message: str = "failed", kind: str = "Failed", **info: Any) -> Command:
    failure = {"message": message, "application_failure_info": {"type": kind, **info}}
    return command("FAIL_WORKFLOW_EXECUTION", failure=failure)


def cancel_workflow() -> Command:
    return command("CANCEL_WORKFLOW_EXECUTION")


def continue_as_new(queue: str, **fields: Any) -> Command:
    fields = {"workflow_type": {"name": "T"}, "task_queue": {"name": queue}} | fields
    return command("CONTINUE_AS_NEW_WORKFLOW_EXECUTION", **_durations(fields))


def start_child(workflow_id: str, queue: str, **fields: Any) -> Command:
    fields = {
        "workflow_id": workflow_id,
        "workflow_type": {"name": "C"},
        "task_queue": {"name": queue},
        "namespace": "default",
    } | fields
    return command("START_CHILD_WORKFLOW_EXECUTION", **_durations(fields))


def signal_external(workflow_id: str, run_id: str = "", name: str = "s", **fields: Any) -> Command:
    return command(
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION",
        namespace="default",
        execution={"workflow_id": workflow_id, "run_id": run_id},
        signal_name=name,
        **fields,
    )


def cancel_external(workflow_id: str, run_id: str = "", **fields: Any) -> Command:
    return command(
        "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION",
        **({"namespace": "default", "workflow_id": workflow_id, "run_id": run_id} | fields),
    )


def record_marker(name: str = "m", **fields: Any) -> Command:
    return command("RECORD_MARKER", marker_name=name, **fields)


def upsert_memo(**fields: Any) -> Command:
    return command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo=memo(**fields))


def upsert_search_attributes(**fields: tuple[str, Any]) -> Command:
    return command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", search_attributes=search_attributes(**fields))


def _durations(fields: dict[str, Any]) -> dict[str, Any]:
    is_duration = lambda key: key.endswith("_timeout") or key == "backoff_start_interval"  # noqa: E731
    return {key: secs(item) if is_duration(key) and item is not None else item for key, item in fields.items()}
