"""The server itself: capabilities, health, namespaces, search attributes, unknown methods."""

from __future__ import annotations

import grpc
import pytest
from raw import MIB, Raw, Run, complete_workflow, new_id, refused, search_attributes, secs

SERVICE = "temporal.api.workflowservice.v1.WorkflowService"


# --- transport ---------------------------------------------------------------------------------------------------


def health(raw: Raw, service: str) -> bytes:
    """The status field of grpc.health.v1, by hand: SERVING is 1."""
    request = bytes([0x0A, len(service)]) + service.encode()
    return raw.channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=5)


def test_the_service_is_healthy(raw: Raw):
    assert health(raw, SERVICE) == bytes([0x08, 1])


def test_the_health_of_something_unknown(raw: Raw):
    with refused("NOT_FOUND", "unknown service"):
        health(raw, "nope")


def test_an_unknown_method(raw: Raw):
    with refused("UNIMPLEMENTED"):
        raw.channel.unary_unary(f"/{SERVICE}/Nope")(b"", timeout=5)


def test_reflection_lists_the_services(raw: Raw):
    call = raw.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    list_services = b"\x3a\x00"
    listed = next(call(iter([list_services]), timeout=5))
    assert SERVICE.encode() in listed
    assert b"temporal.api.operatorservice.v1.OperatorService" in listed


def test_garbage_instead_of_a_message(raw: Raw):
    with pytest.raises(grpc.RpcError):
        raw.channel.unary_unary(f"/{SERVICE}/StartWorkflowExecution")(b"\xff\xff\xff", timeout=5)
    assert raw("GetSystemInfo").server_version


def test_system_info(raw: Raw):
    info = raw("GetSystemInfo")
    announced = {field.name for field, on in info.capabilities.ListFields() if on}
    assert announced >= {
        "signal_and_query_header",
        "internal_error_differentiation",
        "activity_failure_include_heartbeat",
        "encoded_failure_attributes",
        "upsert_memo",
        "eager_workflow_start",
        "sdk_metadata",
        "count_group_by_execution_status",
    }
    assert info.server_version


def test_cluster_info(raw: Raw):
    info = raw("GetClusterInfo")
    assert info.cluster_id and info.cluster_name and info.server_version
    assert info.history_shard_count >= 1


# --- namespaces --------------------------------------------------------------------------------------------------


def test_the_default_namespace(raw: Raw):
    reply = raw("DescribeNamespace", namespace="default")
    info = reply.namespace_info
    assert (info.name, info.state) == ("default", 1)
    assert info.id
    assert info.capabilities.eager_workflow_start and info.capabilities.sync_update and info.capabilities.async_update
    assert info.limits.blob_size_limit_error == info.limits.memo_size_limit_error == 2 * MIB
    assert reply.config.workflow_execution_retention_ttl.ToSeconds() >= 3600
    assert raw("DescribeNamespace", namespace="", id=info.id).namespace_info.name == "default"


@pytest.fixture(scope="module")
def namespace(raw: Raw) -> str:
    name = new_id("ns")
    raw("RegisterNamespace", namespace=name, description="d", owner_email="o@example.com",
        workflow_execution_retention_period=secs(86400), data={"k": "v"})  # fmt: skip
    return name


def test_a_new_namespace(raw: Raw, namespace: str, address: str, eventually):
    reply = raw("DescribeNamespace", namespace=namespace)
    info = reply.namespace_info
    assert (info.name, info.description, info.owner_email, dict(info.data)) == (
        namespace, "d", "o@example.com", {"k": "v"},
    )  # fmt: skip
    assert reply.config.workflow_execution_retention_ttl.ToSeconds() == 86400
    assert namespace in [item.namespace_info.name for item in raw("ListNamespaces").namespaces]

    here = Raw(address, namespace)

    def start() -> Run | None:
        try:
            return here.start()
        except grpc.RpcError:
            return None

    run = eventually(start)
    run.complete_task(complete_workflow())
    assert run.status == "COMPLETED"
    with refused("NOT_FOUND", f"workflow not found for ID: {run.workflow_id}", "NotFoundFailure"):
        raw.run(run.workflow_id).describe()


def test_a_namespace_is_changed(raw: Raw, namespace: str):
    raw("UpdateNamespace", namespace=namespace, update_info={"description": "changed", "data": {"k2": "v2"}},
        config={"workflow_execution_retention_ttl": secs(2 * 86400)})  # fmt: skip
    reply = raw("DescribeNamespace", namespace=namespace)
    assert reply.namespace_info.description == "changed"
    assert dict(reply.namespace_info.data) == {"k": "v", "k2": "v2"}
    assert reply.namespace_info.owner_email == "o@example.com"
    assert reply.config.workflow_execution_retention_ttl.ToSeconds() == 2 * 86400


def test_namespaces_that_are_refused(raw: Raw):
    day = secs(86400)
    with refused("ALREADY_EXISTS", 'Namespace "default" already exists', "NamespaceAlreadyExistsFailure"):
        raw("RegisterNamespace", namespace="default", workflow_execution_retention_period=day)
    text = "A valid retention period is not set on request."
    with refused("INVALID_ARGUMENT", text):
        raw("RegisterNamespace", namespace=new_id("ns"))
    with refused("INVALID_ARGUMENT", text):
        raw("RegisterNamespace", namespace=new_id("ns"), workflow_execution_retention_period=secs(1800))
    with refused("NOT_FOUND", "Namespace nope is not found.", "NamespaceNotFoundFailure"):
        raw("DescribeNamespace", namespace="nope")
    with refused("INVALID_ARGUMENT", "Namespace not set on request."):
        raw("DescribeNamespace", namespace="")
    with refused("NOT_FOUND", "Namespace nope is not found.", "NamespaceNotFoundFailure"):
        raw("UpdateNamespace", namespace="nope")


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("PollWorkflowTaskQueue", {"task_queue": {"name": "q"}}),
        ("PollActivityTaskQueue", {"task_queue": {"name": "q"}}),
        ("DescribeWorkflowExecution", {"execution": {"workflow_id": "w"}}),
        ("SignalWorkflowExecution", {"workflow_execution": {"workflow_id": "w"}, "signal_name": "s"}),
        ("ListWorkflowExecutions", {}),
        ("CountWorkflowExecutions", {}),
        ("GetWorkflowExecutionHistory", {"execution": {"workflow_id": "w"}}),
        ("QueryWorkflow", {"execution": {"workflow_id": "w"}, "query": {"query_type": "q"}}),
    ],
)
def test_every_call_checks_its_namespace(raw: Raw, method: str, fields: dict):
    with refused("NOT_FOUND", "Namespace nope is not found.", "NamespaceNotFoundFailure"):
        raw(method, namespace="nope", **fields)


# --- search attributes -------------------------------------------------------------------------------------------


def test_search_attributes_are_listed(raw: Raw, custom_attributes: dict):
    reply = raw("ListSearchAttributes")
    assert set(reply.custom_attributes) >= set(custom_attributes)
    assert reply.custom_attributes["WireInt"] == 3
    for name in ("WorkflowId", "RunId", "WorkflowType", "StartTime", "CloseTime", "ExecutionStatus", "TaskQueue",
                 "ExecutionTime", "HistoryLength", "BuildIds", "ParentWorkflowId", "RootWorkflowId"):  # fmt: skip
        assert name in reply.system_attributes
        assert name not in reply.custom_attributes


def test_adding_an_attribute_again_is_fine(raw: Raw, custom_attributes: dict):
    raw("AddSearchAttributes", search_attributes={"WireInt": "INDEXED_VALUE_TYPE_INT"})
    raw("AddSearchAttributes", search_attributes={"WireInt": "INDEXED_VALUE_TYPE_TEXT"})
    assert raw("ListSearchAttributes").custom_attributes["WireInt"] == 3


def test_system_attributes_are_reserved(raw: Raw):
    with refused("INVALID_ARGUMENT", "Search attribute WorkflowId is reserved by system."):
        raw("AddSearchAttributes", search_attributes={"WorkflowId": "INDEXED_VALUE_TYPE_KEYWORD"})


def test_an_attribute_is_removed(raw: Raw):
    raw("AddSearchAttributes", search_attributes={"WireGone": "INDEXED_VALUE_TYPE_KEYWORD"})
    assert "WireGone" in raw("ListSearchAttributes").custom_attributes
    raw("RemoveSearchAttributes", search_attributes=["WireGone"])
    assert "WireGone" not in raw("ListSearchAttributes").custom_attributes


def test_a_value_of_the_wrong_type_is_refused(raw: Raw, custom_attributes: dict):
    with refused("INVALID_ARGUMENT", pattern="WireInt"):
        raw.start(search_attributes=search_attributes(WireInt=("Int", "not a number")))


def test_a_search_attribute_above_its_limit_is_refused(raw: Raw, custom_attributes: dict):
    with refused("INVALID_ARGUMENT", pattern=r"size limit|exceeds"):
        raw.start(search_attributes=search_attributes(WireKeyword=("Keyword", "x" * 3000)))
