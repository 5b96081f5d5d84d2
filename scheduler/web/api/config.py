"""`/api/v1/config`: the calling rules that hold for every campaign, the rows of `scheduler_config`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Request, Response

from scheduler.rules.policy import ALL_KEYS, read_config
from scheduler.service import operations
from scheduler.service.runtime import Runtime
from scheduler.store import reports
from scheduler.web.access import Admin, Reader, RuntimeOf
from scheduler.web.api.asked import found
from scheduler.web.api.models import ConfigEdit, ConfigItem, ConfigList
from scheduler.web.api.route import noun
from scheduler.web.api.settings import as_texts
from scheduler.web.problems import responses
from scheduler.web.reach import require_everything
from scheduler.web.replies import tagged

router = noun("config")
ConfigKey = Annotated[Literal[*ALL_KEYS], Path(examples=["working_hours_end"])]  # type: ignore[valid-type]


@router.get("/config", response_model=ConfigList, operation_id="list_config", responses=responses(304))
def list_config(request: Request, caller: Reader, runtime: RuntimeOf) -> Response:
    """Every rule as it is written, and whether it can be used."""
    require_everything(caller)
    return tagged(request, ConfigList(items=read_items(runtime)))


@router.get("/config/{key}", response_model=ConfigItem, operation_id="read_config", responses=responses(404))
def read_one(caller: Reader, runtime: RuntimeOf, key: ConfigKey) -> Any:
    """One rule. There is no row for a limit of a provider until somebody writes one."""
    require_everything(caller)
    return found(
        next((one for one in read_items(runtime) if one.config_key == key), None), "row of scheduler_config for", key
    )


@router.patch("/config", response_model=ConfigList, operation_id="set_config")
def set_config(caller: Admin, runtime: RuntimeOf, body: ConfigEdit) -> Any:
    """Change rules, all that are named or none. The daemons act on it at their next look. Answers with those rows."""
    require_everything(caller)
    texts = as_texts(body.values)
    operations.set_config_rows(texts, reason=body.reason, runtime=runtime)
    return ConfigList(items=[one for one in read_items(runtime) if one.config_key in texts])


def read_items(runtime: Runtime) -> list[ConfigItem]:
    rows = runtime.database.read(reports.list_config)
    read = read_config({row["config_key"]: row["config_value"] for row in rows})
    problems = dict(read.problems) | {key: f"{key}: there is no such setting; misspelled?" for key in read.unknown}
    return [
        ConfigItem.model_validate({
            **row, "valid": row["config_key"] not in problems, "problem": problems.get(row["config_key"])
        })
        for row in rows
    ]
